"""Whether the loop holds out: memory and frame time over a long run at full load."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import cycle

import numpy as np

from engines.api import Engine, Look
from realtime.bench.results import Run
from realtime.control import Control
from realtime.frames import Painted
from realtime.loop import run as run_loop
from realtime.sinks import Sink
from realtime.sources import Source
from realtime.stats import KEPT_FRAMES, percentiles

PARTS = 5
SAMPLES = 200
SHORTEST_GAP_S = 0.02
# What may be added to the memory, fitted over the time after the warm-up, without calling it growth: the statistics of
# the loop itself fill up to about 5 MB with their last 20,000 frames, and allocators keep a little of what they freed.
GROWTH_MB, GROWTH_SHARE = 8.0, 0.02
DRIFT_PERCENT = 10.0
CHANGE_S, FADE_FRAMES = 1.0, 15  # of style, where there are several


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory of the process, so many seconds after the beginning."""

    at_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a soak showed.

    slope_mb_per_minute: fitted to the samples after the warm-up, which is the first fifth of the time.
    drift_percent: how much longer the median frame took in the last fifth than in the first; None: too few frames.
    """

    start_mb: float
    end_mb: float
    peak_mb: float
    slope_mb_per_minute: float
    growth_mb: float
    drift_percent: float | None
    flat: bool
    steady: bool

    def line(self) -> str:
        """The verdict in a sentence."""
        memory = "memory is flat" if self.flat else f"MEMORY GROWS ({self.growth_mb:+.0f} MB after the warm-up)"
        if self.drift_percent is None:
            return f"{memory}; too few frames to tell whether the pace is steady"
        pace = "the pace is steady" if self.steady else f"THE PACE CHANGES ({self.drift_percent:+.0f} %)"
        return f"{memory}; {pace}"


def judge(samples: Sequence[Sample], medians_ms: Sequence[float | None]) -> Verdict:
    """Judge memory samples (at least two, in order) and the median frame time of each part of the run, in order.

    Memory is flat if the growth fitted over the time after the warm-up is at most GROWTH_MB, or GROWTH_SHARE of the
    memory at the beginning if that is more. The pace is steady if it drifts by at most DRIFT_PERCENT either way.
    """
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    settled = [sample for sample in samples if sample.at_s >= first_s + (last_s - first_s) / PARTS]
    slope = growth = 0.0
    if len(settled) > 1 and settled[-1].at_s > settled[0].at_s:
        # A line through all samples: single steps of the allocator at the ends count little.
        fit = statistics.linear_regression([one.at_s for one in settled], [one.memory_mb for one in settled])
        slope, growth = fit.slope * 60, fit.slope * (settled[-1].at_s - settled[0].at_s)
    first, last = medians_ms[0], medians_ms[-1]
    drift = (last / first - 1) * 100 if first and last else None
    return Verdict(
        start_mb=round(samples[0].memory_mb, 1),
        end_mb=round(samples[-1].memory_mb, 1),
        peak_mb=round(max(sample.memory_mb for sample in samples), 1),
        slope_mb_per_minute=round(slope, 3),
        growth_mb=round(growth, 2),
        drift_percent=None if drift is None else round(drift, 1),
        flat=growth <= max(GROWTH_MB, GROWTH_SHARE * samples[0].memory_mb),
        steady=drift is not None and abs(drift) <= DRIFT_PERCENT,
    )


class Watch(Sink):
    """Hands frames to another sink for so long, then asks for the end; notes frame times and memory on the way.

    memory_mb: tells the resident memory now. What is noted has its place from the beginning: it must not look like
    growth. Of each part of the run the last KEPT_FRAMES frame times are kept.
    """

    def __init__(self, inner: Sink, seconds: float, memory_mb: Callable[[], float]) -> None:
        self._inner = inner
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._times_s = np.full((PARTS, KEPT_FRAMES), np.nan)
        self._counts = [0] * PARTS
        self._gap_s = max(SHORTEST_GAP_S, seconds / SAMPLES)
        self._last_s: float | None = None
        self._begin_s = time.perf_counter()
        self.samples = [Sample(0.0, memory_mb())]

    def write(self, painted: Painted) -> bool:
        wanted = self._inner.write(painted)
        now = time.perf_counter()
        if self._last_s is not None:
            part = min(PARTS - 1, int((now - self._begin_s) / self._seconds * PARTS))
            self._times_s[part, self._counts[part] % KEPT_FRAMES] = now - self._last_s
            self._counts[part] += 1
        self._last_s = now
        return self._goes_on() and wanted

    def idle(self) -> bool:
        return self._inner.idle() and self._goes_on()

    def medians_ms(self) -> list[float | None]:
        """The median time between two frames in each part of the run; None where there were none."""
        rows = [row[~np.isnan(row)] for row in self._times_s]
        return [percentiles(row).p50_ms if len(row) else None for row in rows]

    def sample(self) -> None:
        """Note the memory now."""
        self.samples.append(Sample(round(time.perf_counter() - self._begin_s, 3), self._memory_mb()))

    def _goes_on(self) -> bool:
        at_s = time.perf_counter() - self._begin_s
        if at_s - self.samples[-1].at_s >= self._gap_s:
            self.sample()
        return at_s < self._seconds


def measure(
    engine: Engine,
    looks: Sequence[Look],
    source: Source,
    open_sink: Callable[[Source], AbstractContextManager[Sink]],
    minutes: float,
    memory_mb: Callable[[], float],
    *,
    told: Callable[[int], object] = lambda frames: None,
) -> Run:
    """Run the loop over `source` (which must not end before) for so many minutes of the clock, as fast as it can.

    looks: where there are several, each second begins a fade to the style of the next one, round and round.
    memory_mb: tells the resident memory now. told: called with numbers of frames that are done.
    """
    control = Control(looks[0], fade_s=FADE_FRAMES / float(source.info.rate or 25))
    styles = cycle([look.style for look in [*looks[1:], looks[0]]])
    begin_s = time.perf_counter()
    changes = 0

    def watched(painted: Painted) -> None:
        nonlocal changes
        told(1)
        if len(looks) > 1 and time.perf_counter() - begin_s >= (changes + 1) * CHANGE_S:
            control.choose(next(styles))
            changes += 1

    engine.reset()
    threads = threading.active_count()
    with open_sink(source) as sink:
        watch = Watch(sink, minutes * 60, memory_mb)
        report = run_loop(source, engine, watch, control, watched=watched)
        watch.sample()
    left = threading.active_count() - threads
    medians_ms = watch.medians_ms()
    verdict = judge(watch.samples, medians_ms)
    more = {
        "minutes": minutes,
        "painted": report.frames,
        "style_changes": changes,
        "threads_left": left,
        **asdict(verdict),
        "verdict": verdict.line(),
        "p50_ms_of_each_fifth": medians_ms,
        "memory": [[sample.at_s, round(sample.memory_mb, 2)] for sample in watch.samples],
    }
    info = source.info
    names = ",".join(look.style.name for look in looks)
    return Run(f"{info.width_px}x{info.height_px}", names, round(report.rate, 2), dict(report.stages), more)
