"""What moves a look by itself: a tempo that is tapped, or how loud it is, drives the strength or the mix."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from engines.errors import InputError
from engines.styles import Style, fade
from realtime.control import Director, Setting

LEAST_BPM, MOST_BPM = 30.0, 300.0
TAPS = 8  # that a tempo is told by, at most
_STEPS = 64  # levels that are told apart: a look that hardly changes shall not change at all

By = Literal["off", "tempo", "sound"]
Of = Literal["strength", "mix"]


class Tempo:
    """A beat, tapped or told. clock: in seconds. For several threads."""

    def __init__(self, bpm: float = 120.0, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._bpm = _checked(bpm)
        self._beat_s = clock()  # when some beat was
        self._taps: list[float] = []

    @property
    def bpm(self) -> float:
        """Beats per minute."""
        return self._bpm

    def tell(self, bpm: float) -> None:
        """Set the tempo; the beat goes on from where it is. Raises InputError."""
        phase = self._phase()
        self._bpm = _checked(bpm)
        self._beat_s = self._clock() - phase * 60 / self._bpm
        self._taps.clear()

    def tap(self) -> float:
        """A beat is now; from the second one on the taps tell the tempo. Returns it, in beats per minute."""
        now_s = self._clock()
        if self._taps and now_s - self._taps[-1] > 60 / LEAST_BPM:
            self._taps.clear()
        self._taps = [*self._taps, now_s][-TAPS:]
        if len(self._taps) > 1:
            beat_s = (self._taps[-1] - self._taps[0]) / (len(self._taps) - 1)
            self._bpm = min(max(60 / max(beat_s, 1e-6), LEAST_BPM), MOST_BPM)
        self._beat_s = now_s
        return self._bpm

    def level(self) -> float:
        """1 at a beat, down to 0 before the next."""
        return (1 - self._phase()) ** 2

    def _phase(self) -> float:
        return ((self._clock() - self._beat_s) * self._bpm / 60) % 1.0


@dataclass(frozen=True, slots=True)
class Drive:
    """What drives what. depth: how far, 0..1. to: the style that a driven mix goes to, at depth and level 1."""

    by: By = "off"
    of: Of = "strength"
    depth: float = 0.5
    to: Style | None = None


class Driven(Director):
    """A director whose settings are moved by a drive. level: how loud it is now, 0..1; None where nothing listens."""

    def __init__(self, director: Director, tempo: Tempo, level: Callable[[], float] | None = None) -> None:
        self.tempo = tempo
        self._director, self._level = director, level
        self._lock = threading.Lock()
        self._drive = Drive()
        self._last: tuple[Setting, Drive, int, Setting] | None = None

    @property
    def drive(self) -> Drive:
        return self._drive

    def set(self, drive: Drive) -> None:
        """Change the drive, from the next frame on. Raises InputError; see `check`."""
        self.check(drive)
        with self._lock:
            self._drive = drive

    def check(self, drive: Drive) -> None:
        """Raises InputError: nothing listens, or a mix without its goal."""
        if drive.by == "sound" and self._level is None:
            raise InputError("nothing listens; start with --listen")
        if drive.of == "mix" and drive.by != "off" and drive.to is None:
            raise InputError("a mix that is driven needs drive_to, the style that it goes to")

    def at(self, time_s: float) -> Setting:
        """See `Director.at`."""
        setting = self._director.at(time_s)
        with self._lock:
            drive = self._drive
        if drive.by == "off":
            return setting
        level = self.tempo.level() if drive.by == "tempo" else (self._level or float)()
        step = math.ceil(min(max(level, 0.0), 1.0) * _STEPS)
        last = self._last
        if last is None or last[0] is not setting or last[1] is not drive or last[2] != step:
            last = self._last = (setting, drive, step, _driven(setting, drive, step / _STEPS))
        return last[3]


def _driven(setting: Setting, drive: Drive, level: float) -> Setting:
    look = setting.look
    if drive.of == "strength":
        return replace(setting, look=replace(look, strength=look.strength * (1 - drive.depth * (1 - level))))
    assert drive.to is not None  # `Driven.set` saw to it
    return replace(setting, look=replace(look, style=fade(look.style, drive.to, drive.depth * level)))


def _checked(bpm: float) -> float:
    if not LEAST_BPM <= bpm <= MOST_BPM:
        raise InputError(f"bpm is {bpm:g}; it must be a number from {LEAST_BPM:g} to {MOST_BPM:g}")
    return float(bpm)
