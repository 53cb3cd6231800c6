"""Recordings: sizes, times, audio, colours; and that nothing half-written is left."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray

from engines.errors import SinkError, SourceError
from realtime.files import FileSource
from realtime.frames import Colour, Frame, Image, Painted, VideoInfo
from realtime.recording import Recording

ROOT = Path(__file__).parents[1]
TIMES = tuple(Fraction(time, 1000) for time in (0, 33, 100, 150, 400))


def info(size: tuple[int, int] = (64, 64), **more: Any) -> VideoInfo:
    settings: dict[str, Any] = {"rate": Fraction(25), "time_base": Fraction(1, 1000), **more}
    return VideoInfo("test", size[0], size[1], **settings)


def painted(
    time: Fraction, size: tuple[int, int] = (64, 64), image: Image | None = None, duration: Fraction | None = None
) -> Painted:
    if image is None:
        image = np.full((size[1], size[0], 3), (200, 120, 40), np.uint8)
    return Painted(Frame(image, 0, time, 0.0, duration=duration), image, 0.0, 0.0)


def record(path: Path, frames: list[Painted], about: VideoInfo, **more: Any) -> Path:
    with Recording(path, about, **more) as recording:
        for one in frames:
            assert recording.write(one) is True
            assert recording.idle() is True
    return path


def write_sound(path: Path, seconds: float = 2.0, **options: str) -> Path:
    """A video with AAC audio that lasts `seconds`. options: of the container."""
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        sound = container.add_stream("aac", rate=16_000)
        for number in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        wave = (np.sin(np.arange(round(seconds * 16_000)) / 8) * 9000).astype(np.int16)
        for begin in range(0, len(wave), 1024):
            samples = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 16_000, begin, Fraction(1, 16_000)
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
        container.mux(video.encode(None))
    return path


def audio_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (packet.pts * Fraction(packet.time_base.numerator, packet.time_base.denominator), bytes(packet))
            for packet in container.demux(stream)
            if packet.dts is not None
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_times_of_a_variable_frame_rate_are_kept(tmp_path: Path, suffix: str) -> None:
    path = record(tmp_path / f"a{suffix}", [painted(time) for time in TIMES], info())
    source = FileSource(str(path))
    assert [frame.time for frame in iter(source.read, None)] == list(TIMES)
    source.close()


def test_the_last_frame_is_inside_the_duration(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", [painted(time) for time in TIMES], info())
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(0.44, abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_last_frame_is_as_long_as_it_was(tmp_path: Path, suffix: str) -> None:
    frames = [painted(Fraction(number, 10), duration=Fraction(1, 10)) for number in range(3)]
    frames.append(painted(Fraction(3, 10), duration=Fraction(2)))
    path = record(tmp_path / f"a{suffix}", frames, info(time_base=Fraction(1, 100)))
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(2.3, abs=0.002)
        packets = [packet for packet in container.demux(video=0) if packet.dts is not None]
    if suffix != ".mkv":  # which tells it of the whole file alone
        assert [packet.duration * packet.time_base for packet in packets][-1] == 2


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (64, 65), (639, 359)])
def test_sizes_are_kept_to_the_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    path = record(tmp_path / "a.mp4", [painted(time, size) for time in TIMES[:2]], info(size))
    source = FileSource(str(path))
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.image.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(frame.image[40, 40].astype(int), (200, 120, 40), atol=4)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        expected = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        assert container.streams.video[0].codec_context.pix_fmt == expected


@pytest.mark.parametrize(
    "colour", [Colour(1, 1, 1, 1), Colour(6, 1, 6, 6), Colour(1, 2, 1, 13), Colour(9, 1, 9, 14), Colour()]
)
def test_colours_and_their_tags_are_kept(tmp_path: Path, colour: Colour) -> None:
    path = record(tmp_path / "a.mp4", [painted(time) for time in TIMES], info(colour=colour))
    source = FileSource(str(path))
    frame = source.read()
    source.close()
    assert frame is not None
    np.testing.assert_allclose(frame.image[40, 40].astype(int), (200, 120, 40), atol=4)
    told = source.info.colour
    assert (told.matrix, told.primaries, told.transfer) == (colour.matrix, colour.primaries, colour.transfer)
    assert told.range == colour.range


def test_pixels_that_are_not_square_are_kept(tmp_path: Path) -> None:
    about = info(pixel_aspect=Fraction(16, 15))
    source = FileSource(str(record(tmp_path / "a.mp4", [painted(time) for time in TIMES], about)))
    source.close()
    assert source.info.pixel_aspect == Fraction(16, 15)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_audio_packet_is_copied(tmp_path: Path, suffix: str) -> None:
    sound = write_sound(tmp_path / f"sound{suffix}")
    frames = [painted(Fraction(number, 25)) for number in range(50)]
    path = record(tmp_path / f"a{suffix}", frames, info(), audio_from=str(sound), whole_audio=True)
    before, after = audio_packets(sound), audio_packets(path)
    assert [data for _, data in before] == [data for _, data in after]
    # Matroska rounds times to milliseconds.
    assert all(abs(one - other) < Fraction(1, 900) for (one, _), (other, _) in zip(before, after, strict=True))


def write_captioned(path: Path) -> Path:
    """A Matroska file with tags, a default and a comment track of sound, and a line of subtitles at 0.2 s."""
    captions = path.with_suffix(".srt")
    captions.write_text("1\n00:00:00,200 --> 00:00:00,900\nBonjour\n\n")
    sound = write_sound(path.with_name("sound.mkv"), 1.0)
    meant = [("eng", Disposition.default), ("ger", Disposition.comment), ("fre", Disposition.forced)]
    with (
        av.open(str(sound)) as one,
        av.open(str(sound)) as other,
        av.open(str(captions)) as third,
        av.open(str(path), "w") as output,
    ):
        output.metadata["title"] = "A walk"
        inputs = [*one.streams, other.streams.audio[0], *third.streams]
        copies = [output.add_stream_from_template(stream) for stream in inputs]
        for copy, (language, purpose) in zip(copies[1:], meant, strict=True):
            copy.metadata["language"] = language
            copy.disposition = purpose.value
        of = dict(zip(inputs, copies, strict=True))
        demuxed = [*one.demux(), *other.demux(audio=0), *third.demux()]
        for packet in sorted((one for one in demuxed if one.dts is not None), key=lambda one: one.dts * one.time_base):
            packet.stream = of[packet.stream]
            output.mux(packet)
    sound.unlink()
    captions.unlink()
    return path


def test_subtitles_tags_and_what_streams_are_for_are_kept(tmp_path: Path) -> None:
    source = write_captioned(tmp_path / "in.mkv")
    lines: list[str] = []
    frames = [painted(Fraction(number, 25)) for number in range(25)]
    path = record(tmp_path / "a.mkv", frames, info(), audio_from=str(source), whole_audio=True, tell=lines.append)
    assert lines == []
    with av.open(str(source)) as before, av.open(str(path)) as after:
        assert after.metadata["title"] == "A walk"
        assert [stream.type for stream in after.streams] == ["video", "audio", "audio", "subtitle"]
        assert [stream.metadata.get("language") for stream in after.streams] == [None, "eng", "ger", "fre"]
        assert [stream.disposition for stream in after.streams] == [stream.disposition for stream in before.streams]
        (line,) = [packet for packet in after.demux(subtitles=0) if packet.dts is not None]
        assert b"Bonjour" in bytes(line)
        assert (line.pts * line.time_base, line.duration * line.time_base) == (Fraction(1, 5), Fraction(7, 10))


def test_subtitles_that_do_not_fit_are_told_and_left_out(tmp_path: Path) -> None:
    source = write_captioned(tmp_path / "in.mkv")
    lines: list[str] = []
    frames = [painted(Fraction(number, 25)) for number in range(25)]
    path = record(tmp_path / "a.mp4", frames, info(), audio_from=str(source), tell=lines.append)
    (line,) = lines
    assert line.endswith("are left out: .mp4 cannot hold them; .mkv holds most kinds")
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "A walk"
        assert [stream.type for stream in container.streams] == ["video", "audio", "audio"]
        assert [stream.language for stream in container.streams.audio] == ["eng", "ger"]
        assert container.streams.audio[1].disposition == Disposition.comment


def write_silence(path: Path, codec: str, rate: int, values: NDArray[Any]) -> None:
    """One frame of mono sound, values (1, samples) of the codec's own type."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        kind = {np.dtype(np.uint8): "u8", np.dtype(np.int16): "s16"}[values.dtype]
        samples = av.AudioFrame.from_ndarray(values, format=kind, layout="mono")
        samples.sample_rate, samples.pts = rate, 0
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))


def test_tags_of_the_read_file_alone_are_not_kept(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "in.mp4", 1.0)
    path = record(tmp_path / "a.mkv", [painted(time) for time in TIMES], info(), audio_from=str(sound))
    with av.open(str(path)) as container:
        assert not {"MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS"} & set(container.metadata)


def test_audio_that_the_muxer_refuses_late_is_told(tmp_path: Path) -> None:
    write_silence(tmp_path / "in.webm", "libopus", 48_000, np.zeros((1, 960), np.int16))
    with pytest.raises(SinkError, match=r"the audio of .*in\.webm does not fit into \.mov .*; write to \.mkv"):
        Recording(tmp_path / "a.mov", info(), audio_from=str(tmp_path / "in.webm"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.webm"]


def test_audio_longer_than_the_video_is_kept_whole_or_cut(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.mp4")
    frames = [painted(Fraction(number, 25)) for number in range(10)]
    whole = record(tmp_path / "whole.mp4", frames, info(), audio_from=str(sound), whole_audio=True)
    cut = record(tmp_path / "cut.mp4", frames, info(), audio_from=str(sound))
    assert len(audio_packets(whole)) == len(audio_packets(sound))
    assert 0.3 < audio_packets(cut)[-1][0] < 0.45


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_was_cut_off_in_front_is_not_copied(tmp_path: Path, suffix: str) -> None:
    whole = write_sound(tmp_path / "whole.mp4")
    with av.open(str(whole)) as before, av.open(str(tmp_path / "cut.mp4"), "w") as after:
        copies = [after.add_stream_from_template(stream) for stream in before.streams]
        for packet in before.demux():
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                packet.dts -= round(1 / packet.time_base)
                packet.pts -= round(1 / packet.time_base)
                packet.stream = copies[packet.stream.index]
                after.mux(packet)
    source = FileSource(str(tmp_path / "cut.mp4"))
    frames = [painted(frame.time) for frame in iter(source.read, None)]
    source.close()
    assert len(frames) == 25 and frames[0].frame.time == 0
    path = record(tmp_path / f"a{suffix}", frames, info(), audio_from=str(tmp_path / "cut.mp4"), whole_audio=True)
    with av.open(str(path)) as container:
        assert container.duration is not None and container.duration / av.time_base < 1.2
    assert len(audio_packets(path)) == pytest.approx(16, abs=3)  # of 64 ms each


@pytest.mark.parametrize("name", ["sound.ts", "list.m3u8"])
def test_a_transport_stream_begins_at_0_whatever_its_clock_says(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "sound.ts", output_ts_offset="5")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsound.ts\n#EXT-X-ENDLIST\n")
    sound = tmp_path / name
    with av.open(str(sound)) as container:
        assert container.start_time is not None and container.start_time > av.time_base
    source = FileSource(str(sound))
    first = source.read()
    source.close()
    assert first is not None and 0 <= first.time < Fraction(1, 10)
    frames = [painted(Fraction(number, 25)) for number in range(50)]
    path = record(tmp_path / "a.mkv", frames, info(), audio_from=str(sound), whole_audio=True)
    assert abs(audio_packets(path)[0][0]) < Fraction(1, 10)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_stands_still_for_a_packet_does_not_end_it(tmp_path: Path, suffix: str) -> None:
    with av.open(str(write_sound(tmp_path / "sound.mkv", 1.0))) as before, av.open(str(tmp_path / "in.mkv"), "w") as to:
        copy = to.add_stream_from_template(before.streams.audio[0])
        packets = [packet for packet in before.demux(audio=0) if packet.dts is not None]
        packets[5].dts = packets[5].pts = packets[4].dts
        for packet in packets:
            packet.stream = copy
            to.mux(packet)
    frames = [painted(Fraction(number, 25)) for number in range(25)]
    path = record(tmp_path / f"a{suffix}", frames, info(), audio_from=str(tmp_path / "in.mkv"), whole_audio=True)
    before_, after = audio_packets(tmp_path / "in.mkv"), audio_packets(path)
    assert [data for _, data in before_] == [data for _, data in after]
    assert all(abs(one - other) < Fraction(1, 400) for (one, _), (other, _) in zip(before_, after, strict=True))


def test_sound_that_goes_back_in_time_is_told(tmp_path: Path) -> None:
    once = write_sound(tmp_path / "once.ts", 1.0).read_bytes()
    (tmp_path / "joined.ts").write_bytes(once + once)
    frames = [painted(Fraction(number, 25)) for number in range(50)]
    for suffix in (".mp4", ".mkv"):
        with pytest.raises(SinkError, match=r"goes back in time at 1\.\d\d s, .* convert it first"):
            record(tmp_path / f"a{suffix}", frames, info(), audio_from=str(tmp_path / "joined.ts"), whole_audio=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["joined.ts", "once.ts"]


def test_audio_that_does_not_fit_is_told(tmp_path: Path) -> None:
    write_silence(tmp_path / "a.wav", "pcm_u8", 8000, np.zeros((1, 800), np.uint8))
    with pytest.raises(SinkError, match=r"cannot be written|does not fit"):
        Recording(tmp_path / "a.mp4", info(), audio_from=str(tmp_path / "a.wav"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav"]


def test_times_that_stand_still_do_not_end_it(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 25), Fraction(1, 25), Fraction(1, 50), Fraction(2, 25)]
    source = FileSource(str(record(tmp_path / "a.mp4", [painted(time) for time in times], info())))
    got = [frame.time for frame in iter(source.read, None)]
    source.close()
    assert got == sorted(set(got))
    assert len(got) == 5


def test_a_live_recording_goes_on_with_the_last_painting_while_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("realtime.recording.time.perf_counter", lambda: now)
    about = info(time_base=Fraction(1, 90_000))
    with Recording(tmp_path / "a.mp4", about, live=True) as recording:
        recording.write(painted(Fraction(0)))
        for now in (0.5, 1.5, 2.0, 3.0):  # noqa: B007 - read by the clock above
            recording.idle()
        recording.write(painted(Fraction(7, 2)))
    source = FileSource(str(tmp_path / "a.mp4"))
    frames = list(iter(source.read, None))
    source.close()
    assert [frame.time for frame in frames] == [0, Fraction(3, 2), 3, Fraction(7, 2)]
    for frame in frames:
        np.testing.assert_allclose(frame.image[40, 40].astype(int), (200, 120, 40), atol=4)


def test_the_index_comes_first(tmp_path: Path) -> None:
    data = record(tmp_path / "a.mp4", [painted(time) for time in TIMES], info()).read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_ctrl_c_leaves_a_playable_file(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.mp4")
    with pytest.raises(KeyboardInterrupt), Recording(tmp_path / "a.mp4", info(), audio_from=str(sound)) as recording:
        for number in range(10):
            recording.write(painted(Fraction(number, 25)))
        raise KeyboardInterrupt
    source = FileSource(str(tmp_path / "a.mp4"))
    assert len(list(iter(source.read, None))) == 10
    source.close()
    assert audio_packets(tmp_path / "a.mp4")[-1][0] < Fraction(10, 25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "sound.mp4"]


def test_ctrl_c_leaves_an_old_file_of_what_can_be_painted_again(tmp_path: Path) -> None:
    path, lines = tmp_path / "a.mp4", []
    for old in (None, b"precious"):
        if old is not None:
            path.write_bytes(old)
        with (
            pytest.raises(KeyboardInterrupt),
            Recording(path, info(), repeatable=True, tell=lines.append) as recording,
        ):
            recording.write(painted(Fraction(0)))
            raise KeyboardInterrupt
        assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
        if old is None:
            assert not lines
            assert b"moov" in path.read_bytes()
    assert path.read_bytes() == b"precious"
    assert lines == [f"ended early: {path} is left as it was, and what was painted for it is gone"]


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Recording(tmp_path / "a.mp4", info()):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_two_recordings_to_one_place_do_not_disturb_each_other(tmp_path: Path) -> None:
    precious = tmp_path / ".a.partial.mp4"
    precious.write_text("precious")
    path, bright = tmp_path / "a.mp4", np.full((64, 64, 3), 250, np.uint8)
    with Recording(path, info()) as first, Recording(path, info()) as second:
        for time in TIMES:
            first.write(painted(time, image=bright))
            second.write(painted(time))
    source = FileSource(str(path))
    frames = list(iter(source.read, None))
    source.close()
    assert len(frames) == len(TIMES)
    assert frames[-1].image.mean() > 240  # the first one ended last
    assert sorted(one.name for one in tmp_path.iterdir()) == [".a.partial.mp4", "a.mp4"]
    assert precious.read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_a_recording_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = record(tmp_path / "a.mp4", [painted(time) for time in TIMES], info())
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = record(tmp_path / f"{'a' * 251}.mp4", [painted(time) for time in TIMES], info())
    assert path.stat().st_size > 0


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("precious")
    with pytest.raises(ValueError, match="broke"), Recording(tmp_path / "a.mp4", info()) as recording:
        recording.write(painted(Fraction(0)))
        raise ValueError("broke")
    assert (tmp_path / "a.mp4").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("problem", [SourceError("the camera is gone"), ZeroDivisionError("a fault")])
def test_an_error_of_others_completes_what_is_live(tmp_path: Path, problem: Exception) -> None:
    with (
        pytest.raises(type(problem), match=str(problem)),
        Recording(tmp_path / "a.mp4", info(), live=True) as recording,
    ):
        for time in TIMES:
            recording.write(painted(time))
        raise problem
    source = FileSource(str(tmp_path / "a.mp4"))
    assert [frame.time for frame in iter(source.read, None)] == list(TIMES)
    source.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


class FullDisk:
    """A container that takes some packets and then says that the disk is full."""

    def __init__(self, inner: Any, packets: int) -> None:
        self._inner, self._left = inner, packets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def mux(self, packets: Any) -> None:
        for packet in packets if isinstance(packets, list) else [packets]:
            if self._left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self._left -= 1
            self._inner.mux(packet)


@pytest.mark.parametrize(("packets", "live"), [(0, False), (3, False), (0, True)])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, packets: int, live: bool) -> None:
    def opened(*args: Any, **more: Any) -> FullDisk:
        return FullDisk(av.open(*args, **more), packets)

    with (
        pytest.raises(SinkError, match="No space left on device; nothing is left of it"),
        Recording(tmp_path / "a.mp4", info(), live=live, open_container=opened) as recording,
    ):
        for number in range(200):
            recording.write(painted(Fraction(number, 25)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("also", [False, True])
def test_of_a_live_one_a_full_disk_leaves_what_there_was_room_for(tmp_path: Path, suffix: str, also: bool) -> None:
    """Whatever else ends the loop."""

    def opened(*args: Any, **more: Any) -> FullDisk:
        return FullDisk(av.open(*args, **more), 3)

    path = tmp_path / f"a{suffix}"
    with (
        pytest.raises(SourceError if also else SinkError, match="gone" if also else "it ends there"),
        Recording(path, info(), live=True, open_container=opened) as recording,
    ):
        try:
            for number in range(200):
                recording.write(painted(Fraction(number, 25)))
        except SinkError:
            if not also:
                raise
            raise SourceError("gone") from None
    source = FileSource(str(path))
    assert len(list(iter(source.read, None))) == 3
    source.close()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends programs otherwise")
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_of_a_live_one_a_crash_leaves_a_file_that_plays(tmp_path: Path, suffix: str) -> None:
    program = f"""
import os, sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_realtime_recording import Recording, info, painted

with Recording(Path({str(tmp_path / "a")!r} + {suffix!r}), info(), live=True) as recording:
    for number in range(250):
        recording.write(painted(Fraction(number, 25)))
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=60)
    (left,) = tmp_path.iterdir()
    with av.open(str(left)) as container:
        times = []
        with contextlib.suppress(av.error.InvalidDataError):  # the last packet may be cut off
            for frame in container.decode(video=0):
                times.append(frame.time)  # noqa: PERF401 - all up to the one that fails
    assert len(times) > 25 and max(times) > 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_file_that_may_not_grow_is_told_by_the_system_itself(tmp_path: Path) -> None:
    program = f"""
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from engines.errors import SinkError, SourceError
from realtime.frames import Frame, Painted, VideoInfo
from realtime.recording import Recording
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(1)
try:
    about = VideoInfo("test", 128, 128, Fraction(25), Fraction(1, 25))
    with Recording(Path({str(tmp_path / "a.mp4")!r}), about) as recording:
        for number in range(100):
            image = noise.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            recording.write(Painted(Frame(image, number, Fraction(number, 25), 0.0), image, 0.0, 0.0))
except SinkError as error:
    print("told:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("told:"), done.stderr
    assert "cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_told_at_once(tmp_path: Path) -> None:
    for path, words in {
        tmp_path / "none" / "a.mp4": "does not exist",
        tmp_path / "a.txt": "must end in .mp4",
        tmp_path / "a": "must end in .mp4",
        tmp_path / f"{'long' * 99}.mp4": "cannot be written: File name too long; give another name",
    }.items():
        with pytest.raises(SinkError, match=words):
            Recording(path, info())
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError, match="is a folder"):
        Recording(tmp_path / "folder.mp4", info())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to")
def test_a_read_only_folder_is_told() -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        Recording(Path("/proc/self/a.mp4"), info())


def test_a_frame_of_another_size_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match="a frame is 80x64, the recording 64x64"),
        Recording(tmp_path / "a.mp4", info()) as recording,
    ):
        recording.write(painted(Fraction(0), (80, 64)))
    assert list(tmp_path.iterdir()) == []
