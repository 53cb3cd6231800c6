"""The verdict over a long run, from samples made by hand, and a short real one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.bundle import Bundle
from engines.identity import IdentityEngine
from engines.regions import Mask
from realtime.bench import soak
from realtime.bench.soak import Sample, judge
from realtime.frames import Frame, Painted
from realtime.sinks import NullSink
from realtime.synthetic import SyntheticSource

STEADY = [20.0] * 5


def samples(memory_mb: Sequence[float], minutes: float = 10) -> list[Sample]:
    return [
        Sample(at_s, value)
        for at_s, value in zip(np.linspace(0, 60 * minutes, len(memory_mb)).tolist(), memory_mb, strict=True)
    ]


def test_flat_memory_and_a_steady_pace() -> None:
    noise = np.random.default_rng(3).normal(0, 1, 200)
    verdict = judge(samples((300 + noise).tolist()), STEADY)
    assert verdict.flat
    assert verdict.steady
    assert abs(verdict.slope_mb_per_minute) < 0.1
    assert verdict.line() == "memory is flat; the pace is steady"


def test_growing_memory_is_told_with_its_slope() -> None:
    verdict = judge(samples([300 + 2 * minute for minute in np.linspace(0, 10, 200)]), STEADY)
    assert not verdict.flat
    assert verdict.slope_mb_per_minute == pytest.approx(2)
    assert verdict.growth_mb == pytest.approx(16, abs=0.2)  # over the eight minutes after the warm-up
    assert (verdict.start_mb, verdict.end_mb, verdict.peak_mb) == (300, 320, 320)
    assert "MEMORY GROWS (+16 MB" in verdict.line()


def test_what_happens_in_the_warm_up_is_no_growth() -> None:
    verdict = judge(samples([100.0] * 30 + [400.0] * 170), STEADY)
    assert verdict.flat
    assert verdict.slope_mb_per_minute == 0


def test_a_peak_is_kept_and_falling_memory_is_flat() -> None:
    verdict = judge(samples([300, 900, *np.linspace(300, 200, 100).tolist()]), STEADY)
    assert verdict.flat
    assert verdict.peak_mb == 900


@pytest.mark.parametrize(("last", "steady", "drift"), [(21.0, True, 5.0), (26.0, False, 30.0), (14.0, False, -30.0)])
def test_drift_is_from_the_first_to_the_last_fifth(last: float, steady: bool, drift: float) -> None:
    verdict = judge(samples([300.0] * 10), [20.0, 99.0, 99.0, 99.0, last])
    assert verdict.steady is steady
    assert verdict.drift_percent == pytest.approx(drift)
    assert ("THE PACE CHANGES" in verdict.line()) is not steady


def test_too_few_frames_are_no_verdict_on_the_pace() -> None:
    verdict = judge(samples([300.0, 300.0]), [None, None, 20.0, None, 20.0])
    assert verdict.drift_percent is None
    assert not verdict.steady
    assert "too few frames" in verdict.line()


def test_frame_times_are_told_by_the_fifth_they_fall_into(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [50.0]
    monkeypatch.setattr(soak.time, "perf_counter", lambda: clock[0])
    watch = soak.Watch(NullSink(), 10.0, lambda: 300.0)
    image = np.zeros((64, 64, 3), np.uint8)
    painted = Painted(Frame(image, 0, Fraction(0), 0.0), image, 0.0, 0.0)
    goes_on = True
    while goes_on:
        clock[0] += 0.1 if clock[0] < 55 else 0.2
        goes_on = watch.write(painted)
    assert clock[0] == pytest.approx(60, abs=0.21)
    assert [round(median or 0) for median in watch.medians_ms()] == [100, 100, 100, 200, 200]
    assert len(watch.samples) > 50


def test_the_loop_runs_as_long_as_it_shall(tiny_bundle: Bundle) -> None:
    memory = growing()
    begin = time.perf_counter()
    run = soak.measure(
        IdentityEngine(),
        [Look(tiny_bundle.style("ember"))],
        SyntheticSource((64, 64)),
        lambda source: NullSink(),
        minutes=0.01,
        memory_mb=lambda: next(memory),
    )
    assert time.perf_counter() - begin >= 0.6
    assert run.more["painted"] >= 2
    assert not run.more["flat"]
    assert run.more["peak_mb"] == run.more["end_mb"] > run.more["start_mb"] == 100
    assert run.stages["interval"].p50_ms > 0
    assert (run.more["style_changes"], run.more["threads_left"]) == (0, 0)


def test_several_styles_are_changed_by_the_clock(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "CHANGE_S", 0.05)
    names: list[str] = []

    class Notes(IdentityEngine):
        def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
            names.append(look.style.name)
            return super().stylise(image, look)

    looks = [Look(tiny_bundle.style(name)) for name in ("ember", "moss")]
    run = soak.measure(
        Notes(),
        looks,
        SyntheticSource((64, 64), frames=100_000),
        lambda source: NullSink(),
        minutes=0.01,
        memory_mb=lambda: 100.0,
    )
    assert run.style == "ember,moss" and run.more["style_changes"] >= 3
    assert {"ember", "moss"} < set(names)  # and fades between them


def growing() -> Iterator[float]:
    return (100.0 + 50 * number for number in count())
