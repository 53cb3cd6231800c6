"""A microphone, by sounddevice (extra `mic`), and how loud it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SinkError
from realtime import pyav

LEVEL_RATE_HZ = 16_000
# Levels, in dB of full scale, that are told as 0 and as 1: a quiet room, and somebody who speaks up near it.
SILENT_DB, LOUD_DB = -50.0, -14.0
RELEASE_S = 0.25  # in which a level falls to a third; it rises at once

# samples float32 (n, 1), their count, PortAudio's times and status; called by PortAudio's own thread
Hear = Callable[[NDArray[np.float32], int, Any, Any], None]


def open_microphone(device: str, rate_hz: int, hear: Hear) -> Any:
    """A stream of one channel that is running; its user closes it.

    device: a number or a part of a name, "" for the system's own choice. Raises SinkError: not installed, not there.
    """
    try:
        import sounddevice  # noqa: PLC0415 (an extra, which needs PortAudio)
    except (ModuleNotFoundError, OSError) as error:
        raise SinkError('a microphone needs sounddevice and PortAudio; run: pip install "brushcast[mic]"') from error
    try:
        stream = sounddevice.InputStream(
            device=int(device) if device.isdecimal() else device or None,
            samplerate=rate_hz,
            channels=1,
            dtype="float32",
            callback=hear,
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise SinkError(
            f"the microphone {device or 'of this system'} cannot be opened: {pyav.reason(error)}; "
            "`python -m sounddevice` lists those that are there"
        ) from error
    return stream


class Ear:
    """Listens to a microphone and tells how loud it is. Nothing that is heard is kept. Raises SinkError."""

    def __init__(self, device: str = "") -> None:
        self._level = 0.0
        self._stream = open_microphone(device, LEVEL_RATE_HZ, self._hear)

    def level(self) -> float:
        """0 in silence, 1 where it is loud; for any thread."""
        return self._level

    def close(self) -> None:
        self._stream.close()

    def _hear(self, samples: NDArray[np.float32], count: int, times: Any, status: object) -> None:
        power = float(np.square(samples).mean()) if count else 0.0
        decibels = 10 * math.log10(power + 1e-12)
        now = min(max((decibels - SILENT_DB) / (LOUD_DB - SILENT_DB), 0.0), 1.0)
        self._level = max(now, self._level * math.exp(-count / LEVEL_RATE_HZ / RELEASE_S))
