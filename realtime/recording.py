"""The recording sink: H.264 through PyAV, written beside the file and renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.codec.context import Flags
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from engines.errors import SinkError
from engines.paths import is_folder, may_be_folder
from realtime import pyav
from realtime.frames import Image, Painted, VideoInfo
from realtime.sinks import Sink

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
SLOW_PRESET, FAST_PRESET = "veryfast", "superfast"
QUALITY_CRF = "19"
HELD_S = 1.0
# What was cut off in front of a clip is still in its file, hidden; decoders of sound need the end of it (Opus 80 ms).
# Matroska cannot hide it: there the pictures begin later by as much as is copied.
RUN_UP_S = Fraction(1, 10)
LEAST_JUMP_S = Fraction(1, 10)
# Tags that muxers write themselves, or that would make a track of its own (timecode).
_OF_ONE_FILE = (
    "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode", "rotate", "vendor_id"
)  # fmt: skip
_STATISTICS = ("BPS", "NUMBER_OF_", "_STATISTICS_", "DURATION-")


class Recording(Sink):
    """Writes painted frames with their own presentation times to a video file.

    path: the file; its folder must exist. Until all is complete only a file beside it is written, of a name of its own.
    info: of the source: size, time base, colours and pixel shape go into the file.
    audio_from: a file whose audio and subtitles are copied, packet for packet, and whose tags are (title, language).
    whole_audio: also what lasts beyond the last frame.
    repeatable: the same can be painted again, so Ctrl-C leaves a file that is there already as it was.
    tell: takes a line where subtitles have to be left out, and where a file is left as it was.
    live: it cannot be repeated. While nothing comes (a lost camera), the last painting is written again every second,
    so that the file is as long as the recording was. An error of anything else completes the file, a full disk leaves
    what there was room for, and a crash the file beside it, which plays up to its last second or two.
    preset: x264's speed; quality: its constant rate factor. open_container: replaces `av.open` (for tests of a full
    disk).
    Sides with an odd number of pixels are kept: H.264 can hold them without chroma subsampling only (yuv444p).
    Raises SinkError, here, in `write` and at the end. Unless it is live, nothing is left behind then, nor after an
    error of anything else. Ctrl-C completes the file at its last frame, unless it would replace a repeatable one.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        audio_from: str | None = None,
        whole_audio: bool = False,
        tell: Callable[[str], object] = lambda line: None,
        live: bool = False,
        repeatable: bool = False,
        preset: str = FAST_PRESET,
        quality: str = QUALITY_CRF,
        open_container: Callable[..., Any] = av.open,
    ) -> None:
        self._path = path
        self._info = info
        self._whole_audio = whole_audio
        self._live = live
        self._repeatable = repeatable
        self._tell = tell
        self._quality = quality
        self._broken = self._sent = False  # whether it has failed; whether packets are in the file
        self._last: Painted | None = None
        self._written_s = 0.0
        self._last_tick = -1
        self._end = Fraction(0)
        self._output: Any = None
        self._copied: _Copied | None = None
        _check_target(path)
        try:
            self._partial = _made_beside(path)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._output = open_container(os.fspath(self._partial), mode="w", options=_muxer_options(path, live))
            self._stream = self._add_video(preset)
            if audio_from is not None:
                self._copied = _Copied(audio_from, self._output, self._stream, path, tell)
            self._open()
        except pyav.ERRORS as error:
            self._discard()
            raise self._failed(error) from error
        except BaseException:
            self._discard()
            raise
        self._reformatter = VideoReformatter()
        self._swscale = pyav.swscale_matrix(info.colour, info.height_px)

    def write(self, painted: Painted) -> bool:
        frame = painted.frame
        self._encode(painted.image, frame.time, frame.duration)
        self._end = frame.time + (frame.duration or self._step())
        self._last, self._written_s = painted, time.perf_counter()
        try:
            if self._copied is not None:
                self._copied.copy_until(frame.time)
        except pyav.ERRORS as error:
            raise self._failed(error) from error
        return True

    def idle(self) -> bool:
        """With presentation times the last frame stays until the next one comes; a live one is also kept up to date."""
        now = time.perf_counter()
        if self._live and self._last is not None and now - self._written_s > HELD_S:
            self._written_s = now
            moment = self._last.frame.time + Fraction(now - self._last.frame.captured_s).limit_denominator(90_000)
            self._encode(self._last.image, moment, None)
            self._end = moment + self._step()
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        wanted = kind is None or interrupted or self._live
        if self._last is None or self._broken or not wanted:
            self._end_early()
            return
        if interrupted and self._repeatable and self._path.exists():
            self._discard()
            self._tell(f"ended early: {self._path} is left as it was, and what was painted for it is gone")
            return
        try:
            self._complete(whole=kind is None and self._whole_audio)
        except pyav.ERRORS as problem:
            failed = self._failed(problem)
            self._end_early()
            raise failed from problem
        except BaseException:
            self._end_early()
            raise

    def _complete(self, *, whole: bool) -> None:
        self._mux(self._stream.encode(None))
        if self._copied is not None:
            self._copied.copy_until(None if whole else self._end)
            self._copied.close()
        output, self._output = self._output, None
        output.close()
        self._partial.replace(self._path)

    def _mux(self, packets: list[Any]) -> None:
        self._output.mux(packets)
        self._sent = self._sent or bool(packets)

    def _encode(self, image: Image, moment: Fraction, duration: Fraction | None) -> None:
        base = self._info.time_base
        # Times that stand still or run backwards (damaged files) are moved on by one tick: the encoder refuses them.
        tick = max(round(moment / base), self._last_tick + 1)
        self._last_tick = tick
        try:
            frame = self._frame(image)
            frame.pts, frame.time_base = tick, base
            frame.duration = max(1, round((duration or self._step()) / base))
            self._mux(self._stream.encode(frame))
        except pyav.ERRORS as error:
            raise self._failed(error) from error

    def _frame(self, image: Any) -> Any:
        """What the encoder takes, of what the loop gave."""
        self._check_size(image.shape[1], image.shape[0])
        rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
        return pyav.from_rgb(self._reformatter, rgb, self._stream.pix_fmt, self._info.colour, self._swscale)

    def _check_size(self, width: int, height: int) -> None:
        if (width, height) != (self._info.width_px, self._info.height_px):
            raise SinkError(
                f"a frame is {width}x{height}, the recording {self._info.width_px}x{self._info.height_px}; "
                "a recording has one size"
            )

    def _open(self) -> None:
        self._output.start_encoding()

    def _codec(self, preset: str) -> tuple[str, str, dict[str, str]]:
        """The encoder, its pixel format and its options."""
        odd = self._info.width_px % 2 or self._info.height_px % 2
        return "libx264", "yuv444p" if odd else "yuv420p", {"preset": preset, "crf": self._quality}

    def _step(self) -> Fraction:
        return 1 / self._info.rate if self._info.rate else Fraction(1, 30)

    def _add_video(self, preset: str) -> Any:
        info = self._info
        encoder, pixel_format, options = self._codec(preset)
        stream = self._output.add_stream(encoder, rate=info.rate or 30)
        stream.width, stream.height = info.width_px, info.height_px
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        context.time_base = info.time_base
        # Without B-frames packets stand in the order of presentation, so that uneven durations come out exact.
        context.max_b_frames = 0
        # Else the last frame is as long as one of the average rate: there is no next one that would end it.
        context.flags |= Flags.frame_duration
        stream.options = options
        if info.pixel_aspect != 1:
            context.sample_aspect_ratio = info.pixel_aspect
        context.color_range = info.colour.range or pyav.LIMITED
        context.colorspace = info.colour.matrix if info.colour.matrix != 0 else 2
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        return stream

    @property
    def _is_kept(self) -> bool:
        """Whether what is in the file is to stay, though it cannot be completed."""
        return self._live and self._sent

    def _end_early(self) -> None:
        """Close what was begun, and keep it, if it cannot be repeated, or remove it."""
        if not self._is_kept:
            self._discard()
            return
        self._close()
        with contextlib.suppress(OSError):
            self._partial.replace(self._path)

    def _close(self) -> None:
        """Close what was begun; its own troubles do not matter any more."""
        if self._copied is not None:
            self._copied.close()
        output, self._output = self._output, None
        if output is not None:
            with contextlib.suppress(*pyav.ERRORS):
                output.close()

    def _discard(self) -> None:
        """Close and remove what was begun."""
        self._close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: BaseException) -> SinkError:
        """The error that this recording ends with: whatever ends the loop, there is nothing to complete any more."""
        self._broken = True
        if isinstance(error, SinkError):
            return error
        # Muxers know of some audio only once their header is written that they cannot hold it.
        invalid = getattr(error, "errno", None) == errno.EINVAL
        if invalid and self._last is None and self._copied is not None and self._copied.audible:
            return self._copied.unfit(self._path, error)
        left = "it ends there" if self._is_kept else "nothing is left of it"
        return SinkError(f"{self._path} cannot be written: {pyav.reason(error)}; {left}")


class _Copied:
    """What a file has beside its pictures: copies its audio and subtitles into a container, packet for packet, as far
    as the video has come; and at once the tags of the file and its streams, and what each stream is for.

    video: the container's stream of pictures. tell: called with a line where subtitles do not fit into the container.
    """

    def __init__(self, where: str, output: Any, video: Any, path: Path, tell: Callable[[str], object]) -> None:
        self.where = where
        self._input: Any = av.open(f"file:{where}" if "://" not in where else where)
        streams: Any = self._input.streams
        self.audible = bool(streams.audio)
        self._into: dict[int, Any] = {}
        self._at: dict[int, int] = {}  # when the last packet of each stream was decoded, in its own ticks
        left_out = []
        try:
            output.metadata.update(_lasting(self._input.metadata))
            if (painted := pyav.video_of(self._input)) is not None:
                _describe(video, painted)
            for stream in streams.audio:
                self._add(stream, output)
            for stream in streams.subtitles:
                try:
                    self._add(stream, output)
                except ValueError:  # before anything is added: the container does not hold such subtitles
                    left_out.append(stream.codec_context.name if stream.codec_context else "of an unknown kind")
        except pyav.ERRORS as error:
            self._input.close()
            raise self.unfit(path, error) from error
        if left_out:
            kinds = ", ".join(dict.fromkeys(left_out))
            other = "" if path.suffix.lower() == ".mkv" else "; .mkv holds most kinds"
            tell(f"the subtitles of {where} ({kinds}) are left out: {path.suffix} cannot hold them{other}")
        self._start = pyav.start_of(self._input)
        copied = [stream for stream in streams if stream.index in self._into]
        self._packets: Iterator[Any] = iter(self._input.demux(copied)) if copied else iter(())
        self._ahead: Any = None
        self._output = output

    def unfit(self, path: Path, error: BaseException) -> SinkError:
        """The error that the audio cannot be in a file such as `path`."""
        other = "convert it first" if path.suffix.lower() == ".mkv" else "write to .mkv"
        return SinkError(f"the audio of {self.where} does not fit into {path.suffix} ({pyav.reason(error)}); {other}")

    def _add(self, stream: Any, output: Any) -> None:
        """A stream of the output for packets of `stream`. Raises ValueError: the container cannot hold it."""
        copy = output.add_stream_from_template(stream)
        _describe(copy, stream)
        self._into[stream.index] = copy

    def copy_until(self, moment: Fraction | None) -> None:
        """Copy the packets that begin before `moment` (seconds of presentation); None: all that are left."""
        while (packet := self._ahead or next(self._packets, None)) is not None:
            self._ahead = None
            if packet.dts is None:
                continue
            base = pyav.exact(packet.time_base) or Fraction(1, 1)
            if packet.is_discard and (packet.dts + (packet.duration or 0)) * base - self._start < -RUN_UP_S:
                continue
            if moment is not None and packet.dts * base - self._start >= moment:
                self._ahead = packet
                return
            shift = round(self._start / base)
            packet.dts -= shift
            if packet.pts is not None:
                packet.pts -= shift
            self._move_on(packet, base)
            packet.stream = self._into[packet.stream.index]
            self._output.mux(packet)

    def _move_on(self, packet: Any, base: Fraction) -> None:
        """Move on by a tick, as pictures are, sound that stands still or runs back a little: muxers refuse it.

        base: seconds a tick. Raises SinkError where it runs back by more; muxers would not say why.
        """
        if packet.stream.type == "subtitle":  # many lines may begin at once
            return
        index = packet.stream.index
        behind = self._at.get(index, packet.dts - 1) - packet.dts
        if behind * base > LEAST_JUMP_S:
            at_s = float(self._at[index] * base)
            raise SinkError(
                f"{self.where} goes back in time at {at_s:.2f} s, as files do that were joined; convert it first, "
                "for example: ffmpeg -i IN OUT.mkv"
            )
        if behind >= 0:
            # A tick of whichever counts slower, so that it is one in the container, too.
            into = pyav.exact(self._into[index].time_base) or base
            packet.dts += behind + math.ceil(into / base)
            packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        self._at[index] = packet.dts

    def close(self) -> None:
        self._input.close()


def _made_beside(path: Path) -> Path:
    """A new, empty file beside `path` that nobody else writes to, with the rights of any new file. Raises OSError."""
    while True:
        # A part of a long name is enough: with more at its end it could be longer than names may be.
        beside = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.partial{path.suffix}")
        with contextlib.suppress(FileExistsError):
            beside.touch(exist_ok=False)
            return beside


def _describe(copy: Any, stream: Any) -> None:
    """Give a stream of the output the tags of the input's, and what it is for (the default, a comment ...)."""
    copy.metadata.update(_lasting(stream.metadata))
    copy.disposition = (stream.disposition & ~Disposition.attached_pic).value  # PyAV 15 takes the number alone


def _lasting(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that are true of the painted file, too: not those that the writing program tells of its own file."""
    return {
        name: text
        for name, text in tags.items()
        if name.lower() not in _OF_ONE_FILE and not name.upper().startswith(_STATISTICS)
    }


def _muxer_options(path: Path, live: bool) -> dict[str, str]:
    if not live:
        return {} if path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
    # Pieces of a second, each of which tells all of itself, reach the disk at once; at the end an MP4 file becomes one.
    if path.suffix.lower() == ".mkv":
        return {"flush_packets": "1", "cluster_time_limit": "1000"}
    # Without an empty index in front FFmpeg 8 crashes as it ends a file without a packet.
    return {"flush_packets": "1", "movflags": "+hybrid_fragmented+empty_moov", "frag_duration": "1000000"}


def _check_target(path: Path) -> None:
    """Raise SinkError unless a recording can be begun at `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise SinkError(f"{path} is no video file name; it must end in {', '.join(SUFFIXES)}")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise SinkError unless the file `path` can be written: its folder is there, writable, and not full."""
    folder = path.parent
    if not may_be_folder(folder):
        raise SinkError(f"the folder {folder} does not exist; make it first, or write elsewhere")
    if is_folder(path):
        raise SinkError(f"{path} is a folder; give the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"the folder {folder} cannot be written to; choose another, or change its permissions")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is longer than names may be
        raise SinkError(f"{path} cannot be written: {pyav.reason(error)}; give another name") from error
    if shutil.disk_usage(folder).free == 0:
        raise SinkError(f"the disk of {folder} is full; free some space")
