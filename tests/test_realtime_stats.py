"""Percentiles, rates and counts of a run, from stamps that are set by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from realtime.frames import Frame, Painted
from realtime.stats import STAGES, Stats, percentiles

IMAGE = np.zeros((2, 2, 3), np.uint8)


def add(stats: Stats, captured_s: float, *, paint_s: float = 0.02, write_s: float = 0.004) -> None:
    frame = Frame(IMAGE, 0, Fraction(0), captured_s, read_s=0.003)
    taken_s = captured_s + 0.001
    done_s = taken_s + paint_s
    picked_s = done_s + 0.002
    stats.add(Painted(frame, IMAGE, taken_s, done_s), picked_s, picked_s + write_s)


def test_n_stamps_make_n_minus_one_intervals() -> None:
    stats = Stats()
    for number in range(11):
        add(stats, 100 + number * 0.1)
    report = stats.report()
    assert report.frames == 11
    assert report.seconds == pytest.approx(1.0)
    assert report.rate == pytest.approx(10.0)
    assert report.stages["interval"].p50_ms == pytest.approx(100)


def test_stages_are_told_apart_and_add_up() -> None:
    stats = Stats()
    for number in range(20):
        add(stats, number * 0.1)
    told = stats.report().stages
    assert {name: told[name].p50_ms for name in STAGES} == {
        "read": pytest.approx(3),
        "wait": pytest.approx(1),
        "paint": pytest.approx(20),
        "hand": pytest.approx(2),
        "write": pytest.approx(4),
        "total": pytest.approx(27),
    }


def test_late_frames_and_dropped_ones_are_counted() -> None:
    stats = Stats()
    add(stats, 0)
    add(stats, 1, paint_s=0.5)
    stats.dropped = 3
    report = stats.report()
    assert (report.late, report.dropped) == (1, 3)
    assert "3 dropped" in report.line()


def test_an_empty_and_a_single_frame_run_have_no_rate() -> None:
    stats = Stats()
    assert stats.report().rate == 0
    assert stats.report().stages == {}
    assert stats.now() == (0.0, 0.0)
    add(stats, 5)
    assert stats.report().rate == 0
    assert stats.report().frames == 1
    assert stats.now() == (0.0, 0.0)


def test_now_tells_the_recent_rate_not_that_of_the_whole_run() -> None:
    stats = Stats()
    for number in range(5):
        add(stats, float(number))
    for number in range(50):
        add(stats, 10 + number * 0.02)
    rate, latency_s = stats.now()
    assert rate == pytest.approx(50, rel=0.05)
    assert latency_s == pytest.approx(0.027)


def test_percentiles_are_of_the_values() -> None:
    told = percentiles([number / 1000 for number in range(101)])
    assert (told.p50_ms, told.p95_ms, told.p99_ms) == (50, 95, 99)
