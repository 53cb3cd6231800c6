from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engines.bundle import PRECISIONS
from engines.errors import EngineError
from export.frames import frames_of, moving, panned, pictures
from export.parity import Row, demand, table
from export.tolerance import TOLERANCES


def row(worst: float = 0, mean: float = 0, alike: float = 1, broken: int = 0) -> Row:
    return Row("frame 64x64", worst, mean, 2, 0.5, alike, 0.99, broken)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (row(worst=3), "by 3; 2 is allowed"),
        (row(mean=0.6), "by 0.6 on average; 0.5 is allowed"),
        (row(alike=0.9), "SSIM 0.9000; 0.99 is the least"),
        (row(broken=7), "7 numbers that are not finite"),
        (row(worst=float("inf")), "by inf"),
    ],
)
def test_what_is_refused_and_why(bad: Row, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        demand([row(), bad])


@pytest.mark.parametrize(
    ("bad", "excess"),
    [
        (row(worst=1), 0.5),
        (row(mean=0.6), 1.2),
        (row(alike=0.97), 3),
        (row(broken=1), float("inf")),
        (Row("style", 0, 0, 1), 0),
    ],
)
def test_how_far_it_is_from_what_is_allowed(bad: Row, excess: float) -> None:
    assert bad.excess == pytest.approx(excess)


def test_what_is_good() -> None:
    demand([row(), row(2, 0.5, 0.99), Row("style", 0, 0, 1)])
    assert table([row(), Row("style", 0, 0, 1)]).count("\n") == 2


def test_every_precision_has_its_tolerance_and_they_widen() -> None:
    found = [TOLERANCES[precision] for precision in PRECISIONS]
    for narrow, wide in pairwise(found):
        assert narrow.steps < wide.steps and narrow.ssim > wide.ssim and narrow.mean_steps < wide.mean_steps


def test_frames_pan_over_a_picture() -> None:
    first, second = (moving(pictures()[0], 90, 160, index) for index in range(2))
    assert first.shape == second.shape == (90, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first[:, 2:], second[:, :-2])
    assert len(list(panned(frames_of(None), 64, 64, 2))) == 2 * len(pictures())
