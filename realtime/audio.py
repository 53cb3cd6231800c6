"""The sound of a stream, timed like its pictures: of the file that is played, or of a microphone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol, Self

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from engines.errors import SinkError
from realtime import pyav
from realtime.listening import open_microphone

RATE_HZ, LAYOUT, BITRATE = 48_000, "stereo", 160_000
KEPT_BLOCKS = 1000  # of a microphone, while nothing goes out: some ten seconds
# Times that differ by less are rounding: an encoder wants its samples without holes.
_ROUNDING = RATE_HZ // 50


class Audio(Protocol):
    """Sound for a stream. Used by one thread."""

    def begin(self, output: Any, start_s: float, codec: str) -> None:
        """Add the sound to a container whose time 0 is the clock's `start_s`. codec: by FFmpeg's name."""
        ...

    def follow(self, time_s: float, moment_s: float) -> None:
        """The picture of the file's time `time_s` was there at the clock's `moment_s`."""
        ...

    def until(self, moment_s: float) -> Iterator[Any]:
        """Packets of what is heard until the clock's `moment_s`."""
        ...

    def close(self) -> None: ...


class _Encoder:
    """The track of a stream: frames go in with the moment at which they are heard, packets come out."""

    def __init__(self, output: Any, start_s: float, codec: str) -> None:
        self._stream: Any = output.add_stream(codec, rate=RATE_HZ, layout=LAYOUT)
        self._stream.bit_rate = BITRATE
        self._start_s = start_s
        self._next_tick = 0  # samples of the stream

    def encode(self, frame: Any, heard_s: float) -> Iterator[Any]:
        tick = round((heard_s - self._start_s) * RATE_HZ)
        if tick < self._next_tick - _ROUNDING:
            return  # heard before the connection was there
        frame.pts = self._next_tick if abs(tick - self._next_tick) <= _ROUNDING else tick
        frame.time_base = Fraction(1, RATE_HZ)
        self._next_tick = frame.pts + frame.samples
        yield from self._stream.encode(frame)


class FileAudio(Audio):
    """The first audio track of a file, decoded as far as its pictures have come.

    container: the file `where`, opened; closed by `close`.
    """

    def __init__(self, container: Any, where: str) -> None:
        self._container, self._where = container, where
        self._file_start = pyav.start_of(container)
        self._frames = self._decoded()
        self._ahead: Any = None
        self._encoder: _Encoder | None = None
        self._offset_s: float | None = None  # moment of the clock at which the file's time 0 was shown

    @classmethod
    def of(cls, where: str) -> Self | None:
        """The audio of a file, None if it has none. Raises SinkError: it cannot be read."""
        try:
            container: Any = av.open(f"file:{where}" if "://" not in where else where)
        except pyav.ERRORS as error:
            raise SinkError(f"the audio of {where} cannot be read: {pyav.reason(error)}; use --no-audio") from error
        if container.streams.audio:
            return cls(container, where)
        container.close()
        return None

    def begin(self, output: Any, start_s: float, codec: str) -> None:
        self._encoder = _Encoder(output, start_s, codec)

    def follow(self, time_s: float, moment_s: float) -> None:
        self._offset_s = moment_s - time_s

    def until(self, moment_s: float) -> Iterator[Any]:
        """See `Audio.until`. Damaged packets are left out; raises SinkError: there is nothing else."""
        assert self._encoder is not None, "begin comes first"
        while self._offset_s is not None and (frame := self._ahead or next(self._frames, None)) is not None:
            self._ahead = None
            heard_s = self._offset_s + float(frame.pts * (pyav.exact(frame.time_base) or 0) - self._file_start)
            if heard_s > moment_s:
                self._ahead = frame
                return
            yield from self._encoder.encode(frame, heard_s)

    def close(self) -> None:
        self._container.close()

    def _decoded(self) -> Iterator[Any]:
        resampler = AudioResampler(format="fltp", layout=LAYOUT, rate=RATE_HZ)
        try:
            for frame in pyav.decoded(self._container.demux(audio=0)):
                yield from resampler.resample(frame)
        except pyav.ERRORS as error:
            raise SinkError(
                f"the audio of {self._where} cannot be decoded: {pyav.reason(error)}; use --no-audio"
            ) from error


class Microphone(Audio):
    """A microphone, by sounddevice (extra `mic`); what it hears has the moment at which it was heard.

    device: a number or a part of a name, "" for the system's own choice. Raises SinkError: not installed, not there.
    """

    def __init__(self, device: str = "") -> None:
        self._heard: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=KEPT_BLOCKS)
        self._encoder: _Encoder | None = None
        self._stream = open_microphone(device, RATE_HZ, self._hear)

    def begin(self, output: Any, start_s: float, codec: str) -> None:
        self._encoder = _Encoder(output, start_s, codec)

    def follow(self, time_s: float, moment_s: float) -> None:
        """A microphone knows itself when it heard what."""

    def until(self, moment_s: float) -> Iterator[Any]:
        assert self._encoder is not None, "begin comes first"
        while self._heard and self._heard[0][0] <= moment_s:
            heard_s, samples = self._heard.popleft()
            frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout=LAYOUT)
            frame.sample_rate = RATE_HZ
            yield from self._encoder.encode(frame, heard_s)

    def close(self) -> None:
        self._stream.close()

    def _hear(self, samples: NDArray[np.float32], count: int, times: Any, status: object) -> None:
        """Its clock is not ours, but runs as fast."""
        ago_s = times.currentTime - times.inputBufferAdcTime
        self._heard.append((time.perf_counter() - ago_s, samples[:, 0].copy()))
