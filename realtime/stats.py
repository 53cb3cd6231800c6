"""What a run did: latency per stage as percentiles (means hide stutter), the rate, dropped and late frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realtime.frames import Painted

STAGES = ("read", "wait", "paint", "hand", "write", "total")
KEPT_FRAMES = 20_000
LATE_AFTER_S = 0.1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one stage, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """A finished (or running) run.

    frames: written to the sink. rate: frames per second between the first and the last of them (n-1 intervals).
    dropped: left out because a newer one was there. late: more than LATE_AFTER_S from capture to written (live only).
    stages: read (and decode), wait (for the painter), paint, hand (wait for the sink), write, and total from
    capture to written; `interval` is the time between two written frames.
    """

    frames: int
    seconds: float
    rate: float
    dropped: int
    late: int
    stages: dict[str, Percentiles]

    def as_json(self) -> dict[str, Any]:
        """The report as plain numbers."""
        return asdict(self)

    def line(self) -> str:
        """The report in a few words."""
        words = f"{self.frames} frames, {self.rate:.1f} frames/s"
        if "paint" in self.stages:
            words += f", paint p50 {self.stages['paint'].p50_ms:.0f} ms"
        if self.dropped:
            words += f", {self.dropped} dropped"
        return words


class Stats:
    """Collects the stamps of written frames; any thread may read while one writes.

    The last KEPT_FRAMES are kept for percentiles, so that a stream of days needs no more memory than one of minutes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[tuple[float, ...]] = deque(maxlen=KEPT_FRAMES)
        self._written: deque[float] = deque(maxlen=KEPT_FRAMES)
        self._first_s = 0.0
        self.frames = 0
        self.late = 0
        self.dropped = 0  # counted by the loop's slots

    def add(self, painted: Painted, picked_s: float, written_s: float) -> None:
        """Note one frame: picked up by the sink at `picked_s`, written at `written_s` (perf_counter seconds)."""
        frame = painted.frame
        row = (
            frame.read_s,
            painted.taken_s - frame.captured_s,
            painted.done_s - painted.taken_s,
            picked_s - painted.done_s,
            written_s - picked_s,
            written_s - frame.captured_s,
        )
        with self._lock:
            if self.frames == 0:
                self._first_s = written_s
            self.frames += 1
            self.late += row[-1] > LATE_AFTER_S
            self._rows.append(row)
            self._written.append(written_s)

    def now(self, over_s: float = 1.0) -> tuple[float, float]:
        """Rate (frames/s) and median latency (s) of about the last `over_s` seconds; zeros before two frames."""
        with self._lock:
            recent: list[float] = []
            latencies: list[float] = []
            for written, row in zip(reversed(self._written), reversed(self._rows), strict=True):
                if recent and recent[0] - written > over_s:
                    break
                recent.append(written)
                latencies.append(row[-1])
        if len(recent) < 2 or recent[0] <= recent[-1]:
            return 0.0, 0.0
        return (len(recent) - 1) / (recent[0] - recent[-1]), float(np.median(latencies))

    def report(self) -> Report:
        """What has happened so far."""
        with self._lock:
            rows = np.array(self._rows, np.float64).reshape(-1, len(STAGES))
            written = np.array(self._written, np.float64)
            frames, late, first_s = self.frames, self.late, self._first_s
        seconds = float(written[-1] - first_s) if frames > 1 else 0.0
        stages = {}
        if len(rows):
            stages = {name: percentiles(rows[:, column]) for column, name in enumerate(STAGES)}
        if len(written) > 1:
            stages["interval"] = percentiles(np.diff(written))
        rate = (frames - 1) / seconds if seconds > 0 else 0.0
        return Report(frames, seconds, rate, self.dropped, late, stages)


def percentiles(values_s: Iterable[float]) -> Percentiles:
    """Of times in seconds, at least one."""
    p50, p95, p99 = np.percentile(np.fromiter(values_s, np.float64) * 1000.0, (50, 95, 99))
    return Percentiles(round(float(p50), 3), round(float(p95), 3), round(float(p99), 3))
