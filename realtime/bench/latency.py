"""The true delay of the loop: numbers are drawn into frames at the source and read from the paintings behind the sink.

Stamps that travel with a frame tell what the loop believes. A number in the picture tells which frame is really seen,
also if an engine or a sink held a picture back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from engines.api import Engine, Look
from realtime.bench import codes
from realtime.bench.results import Run
from realtime.control import Control
from realtime.frames import Frame, Painted
from realtime.loop import run as run_loop
from realtime.sinks import Sink
from realtime.sources import Paced, Source
from realtime.stats import percentiles

DELAY = "delay"


class Ledger:
    """Which numbers were captured, and when. Written by the source's thread, read by the sink's."""

    def __init__(self) -> None:
        self._captured_s: list[float] = []

    @property
    def newest(self) -> int:
        """The number of the last frame that was captured, -1 before the first."""
        return len(self._captured_s) - 1

    def note(self, captured_s: float) -> None:
        """The next number was captured at this `time.perf_counter()`."""
        self._captured_s.append(captured_s)

    def find(self, code: int, newest: int) -> tuple[int, float] | None:
        """The last number up to `newest` that is drawn as `code`, and when it was captured; None if there is none."""
        number = newest - (newest - code) % codes.NUMBERS
        return None if number < 0 else (number, self._captured_s[number])


class CodedSource(Source):
    """Another source at its own pace, as a camera would give it, with each frame's number drawn into the frame."""

    live = True

    def __init__(self, inner: Source, ledger: Ledger) -> None:
        # Drawn before the frame is due: the drawing is no part of the delay.
        self._paced = Paced(_Drawn(inner))
        self._ledger = ledger
        self.info = inner.info

    def read(self) -> Frame | None:
        frame = self._paced.read()
        if frame is not None:
            self._ledger.note(frame.captured_s)
        return frame

    def stop(self) -> None:
        self._paced.stop()

    def close(self) -> None:
        self._paced.close()


class CodeReader:
    """Reads the number from each painting that a sink has taken.

    delays_s, delays_frames: of those that could be read; in frames: how many newer ones had been captured meanwhile.
    written: all paintings, also those whose number could not be read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.written = 0
        self.delays_s: list[float] = []
        self.delays_frames: list[int] = []

    def see(self, painted: Painted) -> None:
        """To be called as soon as `painted` was written."""
        newest, now = self._ledger.newest, time.perf_counter()
        self.written += 1
        code = codes.read(painted.image)
        found = None if code is None else self._ledger.find(code, newest)
        if found is not None:
            number, captured_s = found
            self.delays_s.append(now - captured_s)
            self.delays_frames.append(newest - number)


def measure(
    engine: Engine,
    look: Look,
    source: Source,
    open_sink: Callable[[Source], AbstractContextManager[Sink]],
    *,
    told: Callable[[int], object] = lambda frames: None,
) -> Run:
    """Run the loop over `source` (not live: it is played at its own pace here) until its end.

    told: called with numbers of frames that are done.
    """
    ledger = Ledger()
    reader = CodeReader(ledger)

    def watched(painted: Painted) -> None:
        reader.see(painted)
        told(1)

    engine.reset()
    coded = CodedSource(source, ledger)
    with open_sink(coded) as sink:
        report = run_loop(coded, engine, sink, Control(look), watched=watched)
    stages = dict(report.stages)
    more: dict[str, object] = {
        "captured": ledger.newest + 1,
        "written": reader.written,
        "codes_read": len(reader.delays_s),
        "share_read": round(len(reader.delays_s) / reader.written, 4) if reader.written else 0.0,
        "dropped": report.dropped,
    }
    if reader.delays_s:
        stages[DELAY] = percentiles(reader.delays_s)
        more["delay_frames"] = _in_frames(reader.delays_frames)
        more["delays_ms"] = [round(delay * 1000, 2) for delay in reader.delays_s]
    info = source.info
    return Run(f"{info.width_px}x{info.height_px}", look.style.name, round(report.rate, 2), stages, more)


def _in_frames(delays: list[int]) -> dict[str, int]:
    # Whole frames, as they are counted: between two of them there is nothing.
    p50, p95, p99 = np.percentile(delays, (50, 95, 99), method="inverted_cdf").tolist()
    return {"p50": p50, "p95": p95, "p99": p99}


class _Drawn(Source):
    """Another source with each frame's place in the order of delivery drawn into it."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self._next = 0
        self.live = inner.live
        self.info = inner.info

    def read(self) -> Frame | None:
        frame = self._inner.read()
        if frame is None:
            return None
        image = codes.draw(frame.image, self._next)
        self._next += 1
        return replace(frame, image=image)

    def stop(self) -> None:
        self._inner.stop()

    def close(self) -> None:
        self._inner.close()
