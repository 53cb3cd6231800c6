from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.guide import guidance_size
from engines.memory import Recalled
from engines.renewal import Guided, Renewal
from engines.styles import Style

SIZE = (64, 96)
NOTHING = np.zeros((4, 4, 3), np.uint8)
STILL = Recalled(NOTHING, NOTHING, NOTHING, None, 0.0)
FIRST = replace(STILL, change=float("inf"))


def look(**numbers: Any) -> Look:
    numbers = {"smoothing": 1.0, "kernel_interval": 4, **numbers}
    return Look(Style("plain", {}, NOTHING, "b"), **numbers)


class Guide:
    """Tells slopes: rows and columns, and how often it was asked, with what hold."""

    def __init__(self) -> None:
        self.holds: list[float] = []

    def __call__(self, hold: float) -> Guided:
        self.holds.append(hold)
        rows, columns = np.mgrid[: guidance_size(*SIZE)[0], : guidance_size(*SIZE)[1]].astype(np.float32)
        asked = np.full_like(rows, len(self.holds))
        return Guided(np.stack([rows, columns, asked])[None], np.full(12, len(self.holds), np.float32))


def pan(x: float, y: float) -> Recalled:
    flow: NDArray[np.float32] = np.tile(np.array([x, y], np.float32), (32, 48, 1))
    return replace(STILL, flow=flow)


def test_it_is_asked_once_in_an_interval_and_holds_more_the_sooner() -> None:
    for interval, asked in ((1, 6), (2, 3), (4, 2)):
        renewal, guide, told = Renewal(), Guide(), look(kernel_interval=interval)
        renewal.of(SIZE, told, FIRST, guide)
        for _ in range(5):
            renewal.of(SIZE, told, STILL, guide)
        assert len(guide.holds) == asked
        assert guide.holds[0] == 0 and guide.holds[1:] == pytest.approx([0.9**interval] * (asked - 1))


@pytest.mark.parametrize("change", ["style", "size", "picture", "smoothing", "reset"])
def test_it_is_asked_at_once_where_the_last_answer_does_not_hold(change: str) -> None:
    renewal, guide, told = Renewal(), Guide(), look()
    renewal.of(SIZE, told, FIRST, guide)
    renewal.of(SIZE, told, STILL, guide)
    assert len(guide.holds) == 1
    other = look() if change == "style" else replace(told, smoothing=0.0) if change == "smoothing" else told
    if change == "reset":
        renewal.reset()
    size = (SIZE[0] + 8, SIZE[1]) if change == "size" else SIZE
    renewal.of(size, other, replace(STILL, change=0.05) if change == "picture" else STILL, guide)
    assert len(guide.holds) == 2
    assert (guide.holds[1] == 0) == (change in ("smoothing", "reset"))


def test_after_a_cut_no_statistics_are_held() -> None:
    renewal, guide = Renewal(), Guide()
    renewal.of(SIZE, look(), FIRST, guide)
    renewal.of(SIZE, look(), replace(STILL, change=0.2), guide)
    assert guide.holds == [0, 0]


def test_what_was_told_moves_with_the_picture() -> None:
    renewal, guide, told = Renewal(), Guide(), look()
    first = renewal.of(SIZE, told, FIRST, guide).guidance.copy()
    assert np.array_equal(renewal.of(SIZE, told, STILL, guide).guidance, first)
    # Four small pixels to the right and two down are two cells and one.
    moved = renewal.of(SIZE, told, pan(4, -2), guide)
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(moved.guidance[0, 0][inner], first[0, 0][inner] - 1, atol=1e-3)
    np.testing.assert_allclose(moved.guidance[0, 1][inner], first[0, 1][inner] + 2, atol=1e-3)
    assert np.array_equal(moved.guidance[0, 2], first[0, 2])  # no channel reaches into its neighbour
    again = renewal.of(SIZE, told, pan(4, -2), guide)
    np.testing.assert_allclose(again.guidance[0, 1][3:-3, 4:-5], first[0, 1][3:-3, 4:-5] + 4, atol=1e-3)
    assert len(guide.holds) == 1 and np.array_equal(again.colour_map, moved.colour_map)
