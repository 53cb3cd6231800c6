"""Video files and streams, read through PyAV: upright, in full-range RGB, with exact presentation times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from engines.api import MAX_SIDE_PX
from engines.errors import SourceError
from engines.paths import is_file, is_folder, is_there
from realtime import pyav
from realtime.frames import Frame, Image, VideoInfo
from realtime.sources import Source, fit

LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp", "mms")
OPEN_TIMEOUT_S = 10.0
_PICTURE_FORMATS = ("image2", "ico")
_TEXT_FORMATS = ("tty", "bin", "adf", "idf", "xbin")  # which FFmpeg shows as a terminal would


def is_url(text: str) -> bool:
    """Whether `text` names a stream or remote file (scheme://...) and not a file here."""
    scheme = text.partition("://")[0]
    return "://" in text and scheme.replace("+", "").isalnum() and len(scheme) > 1


def without_login(where: str) -> str:
    """A path or URL as it is told: without the name and the password of a camera, which others may see or hear of."""
    scheme, _, rest = where.partition("://")
    if not is_url(where):
        return where
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


class FileSource(Source):
    """A video file, or anything that PyAV opens by URL.

    where: a path, or scheme://... size: (width, height) to scale to; None keeps the file's own.
    repeat: begin again at the end; times go on, and each round is a shot of its own.
    accelerate: makes PyAV's HWAccel, where hardware is to decode.
    live: whether the URL is a live stream (by its scheme, or because it has no length). A file is not live.
    Raises SourceError, here and in `read`: missing, empty, truncated, not a video, a picture, lost.
    """

    def __init__(
        self,
        where: str,
        *,
        size: tuple[int, int] | None = None,
        repeat: bool = False,
        accelerate: Callable[[], Any] | None = None,
    ) -> None:
        self._where = without_login(where)
        self._size = size
        self._repeat = repeat
        self._container = _open(where, accelerate)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        container, where = self._container, self._where
        if not len(container.streams) or container.format.name in _TEXT_FORMATS:
            raise _unreadable(where)
        stream = pyav.video_of(container)
        if stream is None:
            raise SourceError(f"{where} has no video in it; give a video file, or a picture to `brushcast image`")
        if _is_picture(container.format.name):
            raise SourceError(f"{where} is a picture, not a video; use `brushcast image` for it")
        self._stream = stream
        scheme = where.partition("://")[0].lower()
        self.live = is_url(where) and (scheme in LIVE_SCHEMES or container.duration is None)
        self._stream.thread_type = "SLICE" if self.live else "AUTO"
        context: Any = self._stream.codec_context
        if context is None:
            raise SourceError(f"{where} holds video in a format that this PyAV cannot decode; convert it to H.264")
        if max(context.width, context.height) > MAX_SIDE_PX:
            raise SourceError(
                f"{where} is {context.width}x{context.height}; each side may have {MAX_SIDE_PX} pixels at most"
            )
        self._time_base = pyav.exact(self._stream.time_base) or Fraction(1, 90_000)
        self._rate = pyav.exact(self._stream.average_rate) or pyav.exact(self._stream.guessed_rate)
        self._start = pyav.start_of(container)
        self._reformatter = VideoReformatter()
        self._index = self._shot = 0
        self._shift = self._end = Fraction(0)
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise SourceError(f"{where} has no frame that can be decoded; it may be truncated")
        self._colour = pyav.colour_of(first, context)
        self._matrix = pyav.display_matrix(first)
        self._swscale = pyav.swscale_matrix(self._colour, first.height)
        self._next: av.VideoFrame | None = first
        self.info = self._info(first)

    def read(self) -> Frame | None:
        begin = time.perf_counter()
        decoded = self._next or next(self._decoded, None)
        self._next = None
        if decoded is None and self._repeat:
            decoded = self._rewound()
        if decoded is None:
            return None
        step = 1 / self._rate if self._rate else Fraction(1, 30)
        moment = self._end if decoded.pts is None else decoded.pts * self._base(decoded) - self._start + self._shift
        duration = decoded.duration * self._base(decoded) if decoded.duration else None
        self._end = moment + (duration or step)
        image = self._image(decoded)
        now = time.perf_counter()
        frame = Frame(image, self._index, moment, now, now - begin, duration, self._shot)
        self._index += 1
        return frame

    def close(self) -> None:
        self._container.close()

    def _rewound(self) -> av.VideoFrame | None:
        try:
            self._container.seek(0)
        except pyav.ERRORS as error:
            raise SourceError(f"{self._where} cannot be played again: {pyav.reason(error)}") from error
        self._shot += 1
        self._shift = self._end
        self._decoded = self._decode()
        return next(self._decoded, None)

    def _decode(self) -> Iterator[av.VideoFrame]:
        try:
            yield from pyav.decoded(self._packets())
        except SourceError:
            raise
        except pyav.ERRORS as error:
            raise SourceError(f"{self._where} cannot be decoded: {pyav.reason(error)}") from error

    def _packets(self) -> Iterator[Any]:
        corrupt = False  # whether the last packet that had content was: FFmpeg ends a cut-off file without an error
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                if corrupt or self._ends_before_its_index():
                    raise SourceError(
                        f"{self._where} ends after {float(self._end):.2f} s in the middle: it was truncated"
                    ) from None
                return
            except pyav.ERRORS as error:
                raise SourceError(
                    f"{self._where} cannot be read on after {float(self._end):.2f} s: "
                    f"{pyav.reason(error)}; it may be truncated"
                ) from error
            corrupt = packet.is_corrupt or (corrupt and packet.dts is None)
            yield packet

    def _ends_before_its_index(self) -> bool:
        """Whether the file's index names frames beyond its end, or its header a later end (Matroska)."""
        container, stream = self._container, self._stream
        if is_url(self._where):
            return False
        if "mov" in container.format.name:
            entries = getattr(stream, "index_entries", ())  # PyAV 15 has none
            return len(entries) > 0 and entries[len(entries) - 1].pos + entries[len(entries) - 1].size > container.size
        if "matroska" in container.format.name and container.duration and len(container.streams) == 1:
            return Fraction(container.duration, av.time_base) - (self._end - self._shift) > 1
        return False

    def _base(self, decoded: av.VideoFrame) -> Fraction:
        return pyav.exact(decoded.time_base) or self._time_base

    def _image(self, decoded: av.VideoFrame) -> Image:
        rgb = pyav.to_rgb(self._reformatter, decoded, self._colour, self._swscale)
        image = pyav.turned(np.asarray(rgb.to_ndarray(), np.uint8), self._matrix)
        return fit(image, (self.info.width_px, self.info.height_px))

    def _info(self, first: av.VideoFrame) -> VideoInfo:
        width, height = first.width, first.height
        aspect = pyav.exact(self._stream.sample_aspect_ratio) or Fraction(1)
        if self._matrix[0] == 0:
            width, height, aspect = height, width, 1 / aspect
        if self._size is not None:
            (width, height), aspect = self._size, Fraction(1)
        return VideoInfo(
            name=Path(self._where).name if not is_url(self._where) else self._where,
            width_px=width,
            height_px=height,
            rate=self._rate,
            time_base=self._time_base,
            frames=None if self.live or self._repeat else self._count(),
            colour=self._colour,
            pixel_aspect=aspect,
        )

    def _count(self) -> int | None:
        if self._stream.frames:
            return int(self._stream.frames)
        if self._container.duration and self._rate:
            return max(1, round(Fraction(self._container.duration, av.time_base) * self._rate))
        return None


def _open(where: str, accelerate: Callable[[], Any] | None) -> Any:
    """Open a container for reading. Raises SourceError with the cause in the user's terms."""
    if not is_url(where):
        path = Path(where)
        if not is_there(path):
            raise SourceError(f"{where} does not exist; give a video file, a URL, or `synthetic`")
        if is_folder(path):
            raise SourceError(f"{where} is a folder; give a video file")
        if is_file(path) and path.stat().st_size == 0:
            raise SourceError(f"{where} is empty; give a video file")
    try:
        # "file:" keeps FFmpeg from reading a name like a:b.mp4 as a protocol.
        told = {} if accelerate is None else {"hwaccel": accelerate()}
        name = where if is_url(where) else f"file:{where}"
        return av.open(name, timeout=OPEN_TIMEOUT_S if is_url(where) else None, **told)
    except av.error.InvalidDataError as error:
        raise _unreadable(without_login(where)) from error
    except pyav.ERRORS as error:
        how = "opened" if accelerate is None else "decoded by this machine's hardware"
        raise SourceError(f"{without_login(where)} cannot be {how}: {pyav.reason(error)}") from error


def _unreadable(where: str) -> SourceError:
    return SourceError(f"{where} cannot be read as a video; it is none, or it is truncated")


def _is_picture(format_name: str) -> bool:
    return format_name.endswith("_pipe") or format_name in _PICTURE_FORMATS
