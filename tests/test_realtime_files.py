"""Video files: times, rotation, colours, and everything that is no video."""

from __future__ import annotations

import socket
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from engines.errors import SourceError
from realtime.files import FileSource, is_url, without_login
from realtime.frames import Image

TIMES_MS = (0, 33, 100, 150, 400)
CAN_TURN = hasattr(av.video.stream.VideoStream, "set_display_rotation")
BLUE, ORANGE = (30, 60, 200), (230, 120, 40)


def picture(width: int = 96, height: int = 64) -> Image:
    """Blue on the left, orange on the right, a white mark in the upper left corner."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = BLUE, ORANGE
    image[:16, :16] = 255
    return image


def write_video(
    path: Path,
    *,
    image: Image | None = None,
    times_ms: tuple[int, ...] = TIMES_MS,
    rotation: float = 0,
    mirrored: bool = False,
    matrix: int = 1,
    colour_range: int = 1,
    faststart: bool = True,
    moving: bool = False,
) -> Path:
    image = picture() if image is None else image
    options = {"movflags": "+faststart"} if faststart and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.max_b_frames = 0
        context.color_range, context.colorspace = colour_range, matrix
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        reformatter = VideoReformatter()
        for number, time_ms in enumerate(times_ms):
            moved = np.ascontiguousarray(np.roll(image, 17 * number * moving, axis=(0, 1)))
            frame = reformatter.reformat(
                av.VideoFrame.from_ndarray(moved, "rgb24"),
                format="yuv420p",
                src_colorspace=5 if matrix == 1 else 1,  # of RGB: without meaning, but see realtime/pyav.py
                dst_colorspace=1 if matrix == 1 else 5,
                src_color_range=2,
                dst_color_range=colour_range,
            )
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def assert_colour(image: Image, x: int, y: int, colour: tuple[int, int, int]) -> None:
    # 6 of 255: H.264 at its default quality, and rounding to 8 bit YCbCr and back.
    np.testing.assert_allclose(image[y, x].astype(int), colour, atol=6)


def test_variable_frame_times_are_exact(tmp_path: Path) -> None:
    source = FileSource(str(write_video(tmp_path / "a.mp4")))
    frames = list(iter(source.read, None))
    assert [frame.time for frame in frames] == [Fraction(time, 1000) for time in TIMES_MS]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert source.live is False
    assert source.info.frames == 5
    assert source.read() is None
    source.close()


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_colours_are_right_in_every_matrix_and_range(tmp_path: Path, matrix: int, colour_range: int) -> None:
    source = FileSource(str(write_video(tmp_path / "a.mp4", matrix=matrix, colour_range=colour_range)))
    frame = source.read()
    source.close()
    assert frame is not None
    assert source.info.colour.matrix == matrix
    assert source.info.colour.range == colour_range
    assert_colour(frame.image, 30, 40, BLUE)
    assert_colour(frame.image, 70, 40, ORANGE)


@pytest.mark.skipif(not CAN_TURN, reason="this PyAV cannot write a display matrix")
@pytest.mark.parametrize(
    ("rotation", "mirrored", "expected"),
    [
        (0, False, lambda image: image),
        (90, False, lambda image: np.rot90(image, 1)),
        (-90, False, lambda image: np.rot90(image, -1)),
        (180, False, lambda image: np.rot90(image, 2)),
        (0, True, np.fliplr),
    ],
)
def test_frames_are_upright(tmp_path: Path, rotation: int, mirrored: bool, expected: object) -> None:
    source = FileSource(str(write_video(tmp_path / "a.mp4", rotation=rotation, mirrored=mirrored)))
    frame = source.read()
    source.close()
    assert frame is not None
    assert callable(expected)
    upright = expected(picture())
    assert (source.info.height_px, source.info.width_px) == upright.shape[:2]
    assert frame.image.shape == upright.shape
    assert frame.image.flags.c_contiguous
    assert np.abs(frame.image.astype(int) - upright).mean() < 6


def test_a_size_can_be_asked_for(tmp_path: Path) -> None:
    source = FileSource(str(write_video(tmp_path / "a.mp4")), size=(80, 80))
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.image.shape == (80, 80, 3)


def test_repeating_goes_on_in_time_and_makes_new_shots(tmp_path: Path) -> None:
    source = FileSource(str(write_video(tmp_path / "a.mp4")), repeat=True)
    frames = [source.read() for _ in range(12)]
    source.close()
    assert [frame.shot for frame in frames if frame] == [0] * 5 + [1] * 5 + [2] * 2
    times = [frame.time for frame in frames if frame]
    assert times == sorted(set(times))
    assert source.info.frames is None


def test_odd_names_are_files_not_protocols(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4").rename(tmp_path / "data:take 1#?.mp4")
    source = FileSource(str(path))
    assert source.read() is not None
    source.close()


def test_urls_are_told_from_paths() -> None:
    assert is_url("rtsp://camera/1")
    assert is_url("https://example.org/a.mp4")
    assert not is_url("C:/videos/a.mp4")
    assert not is_url("videos/a.mp4")


def test_files_that_are_no_videos_are_told(tmp_path: Path) -> None:
    good, encoded = cv2.imencode(".png", picture())
    assert good
    (tmp_path / "picture.png").write_bytes(bytes(encoded))
    (tmp_path / "picture.mp4").write_bytes(bytes(encoded))
    (tmp_path / "photo.jpg").write_bytes(bytes(cv2.imencode(".jpg", picture())[1]))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 200)
    (tmp_path / "notes.txt").write_text("not a video at all\n" * 200)
    whole = write_video(tmp_path / "tail.mp4", faststart=False).read_bytes()
    (tmp_path / "no-index.mp4").write_bytes(whole[: len(whole) // 2])
    for name, words in {
        "missing.mp4": "does not exist",
        f"{'long' * 99}.mp4": "cannot be opened|does not exist",
        "picture.png": "is a picture, not a video",
        "photo.jpg": "is a picture, not a video",
        "picture.mp4": "is a picture, not a video",
        "empty.mp4": "is empty",
        "text.mp4": "cannot be read as a video",
        "notes.txt": "cannot be read as a video",
        "no-index.mp4": "cannot be read as a video",
        ".": "is a folder",
    }.items():
        with pytest.raises(SourceError, match=words) as caught:
            FileSource(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_off_is_told_when_its_end_is_reached(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "a.mp4", image=noise, times_ms=tuple(range(0, 2000, 40)), moving=True).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    source = FileSource(str(tmp_path / "cut.mp4"))
    with pytest.raises(SourceError, match="truncated"):
        list(iter(source.read, None))
    source.close()


def test_damaged_packets_are_skipped_and_nothing_but_damage_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", times_ms=tuple(range(0, 6000, 40)), moving=True)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    whole = path.read_bytes()

    def hurt(numbers: range) -> FileSource:
        data = bytearray(whole)
        for place, size in (packets[number] for number in numbers):
            data[place : place + size] = b"\xff" * size
        path.write_bytes(data)
        return FileSource(str(path))

    source = hurt(range(70, 72))
    times = [frame.time for frame in iter(source.read, None)]
    source.close()
    assert 140 <= len(times) < 150 and times[-1] == Fraction(5960, 1000)
    source = hurt(range(20, 150))
    with pytest.raises(SourceError, match="cannot be decoded"):
        list(iter(source.read, None))
    source.close()


def test_audio_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="has no video in it"):
        FileSource(str(tmp_path / "a.wav"))


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp3"), "w") as container:
        sound = container.add_stream("mp3", rate=44_100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width = picture().shape[:2]
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic.value
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 44_100, 0
        container.mux([*sound.encode(samples), *sound.encode(None)])
        container.mux([*cover.encode(av.VideoFrame.from_ndarray(picture(), "rgb24")), *cover.encode(None)])
    with av.open(str(tmp_path / "a.mp3")) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(SourceError, match="has no video in it"):
        FileSource(str(tmp_path / "a.mp3"))


def test_a_stream_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        FileSource("tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("rtsp://anna:pass@word@camera:554/1?a=b@c", "rtsp://camera:554/1?a=b@c"),
        ("rtsp://anna:secret@camera", "rtsp://camera"),
        ("https://example.org/a@b.mp4", "https://example.org/a@b.mp4"),
        ("videos/a@b.mp4", "videos/a@b.mp4"),
    ],
)
def test_the_password_of_a_camera_is_not_told(where: str, told: str) -> None:
    assert without_login(where) == told


def test_a_camera_that_is_not_there_is_told_without_its_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and listens to nobody
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(SourceError, match=f"^rtsp://{address}/1 cannot be opened") as told:
            FileSource(f"rtsp://anna:secret@{address}/1")
    assert "secret" not in str(told.value)
