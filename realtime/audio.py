"""The audio of a playing file, encoded for a stream and timed like its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import av
from av.audio.resampler import AudioResampler

from engines.errors import SinkError
from realtime import pyav

CODEC, RATE_HZ, LAYOUT, BITRATE = "aac", 48_000, "stereo", 160_000
# Times that differ by less are rounding: an encoder wants its samples without holes.
_ROUNDING = RATE_HZ // 50


class FileAudio:
    """The first audio track of a file, decoded as far as its pictures have come. Not for several threads.

    container: the opened file, closed by `close`. `begin` adds the audio to a container, again after each break;
    `follow` tells where the pictures are; `until` gives the packets that are due.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        shifted = self._container.format.name in ("mpegts", "mpeg")
        self._file_start = Fraction(self._container.start_time or 0, av.time_base) if shifted else Fraction(0)
        self._frames = self._decoded()
        self._ahead: Any = None
        self._encoder: Any = None
        self._start_s = 0.0
        self._offset_s: float | None = None  # moment of the clock at which the file's time 0 was shown
        self._next_tick = 0  # samples of the stream

    @classmethod
    def of(cls, where: str) -> Self | None:
        """The audio of a file, None if it has none. Raises SinkError: it cannot be read."""
        try:
            container: Any = av.open(f"file:{where}" if "://" not in where else where)
        except pyav.ERRORS as error:
            raise SinkError(f"the audio of {where} cannot be read: {pyav.reason(error)}; use --no-audio") from error
        if container.streams.audio:
            return cls(container)
        container.close()
        return None

    def begin(self, output: Any, start_s: float) -> None:
        """Add the audio to a container whose time 0 is the clock's `start_s`."""
        self._encoder = output.add_stream(CODEC, rate=RATE_HZ, layout=LAYOUT)
        self._encoder.bit_rate = BITRATE
        self._start_s, self._next_tick = start_s, 0

    def follow(self, time_s: float, moment_s: float) -> None:
        """The picture of the file's time `time_s` was shown at the clock's `moment_s`."""
        self._offset_s = moment_s - time_s

    def until(self, moment_s: float) -> Iterator[Any]:
        """Packets of what is heard until the clock's `moment_s`."""
        while self._offset_s is not None and (frame := self._ahead or next(self._frames, None)) is not None:
            self._ahead = None
            heard_s = self._offset_s + float(frame.pts * pyav.exact(frame.time_base) - self._file_start)
            if heard_s > moment_s:
                self._ahead = frame
                return
            tick = round((heard_s - self._start_s) * RATE_HZ)
            if tick < self._next_tick - _ROUNDING:
                continue  # heard before the connection was there
            frame.pts = self._next_tick if abs(tick - self._next_tick) <= _ROUNDING else tick
            frame.time_base = Fraction(1, RATE_HZ)
            self._next_tick = frame.pts + frame.samples
            yield from self._encoder.encode(frame)

    def close(self) -> None:
        self._container.close()

    def _decoded(self) -> Iterator[Any]:
        resampler = AudioResampler(format="fltp", layout=LAYOUT, rate=RATE_HZ)
        for frame in self._container.decode(audio=0):
            yield from resampler.resample(frame)
