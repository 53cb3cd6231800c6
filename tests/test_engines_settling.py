from __future__ import annotations

import numpy as np
import pytest

from engines.recolour import MOST_MEMORY
from engines.settling import Numbers, Settling


def far(ours: Numbers, theirs: Numbers) -> float:
    return float(np.abs(ours - theirs).max())


def test_numbers_follow_slowly_and_at_once_with_the_scene() -> None:
    settling = Settling(far, 0.5)
    first, second, other = np.array([0.0, 1.0]), np.array([0.4, 1.0]), np.array([3.0, 1.0])
    assert np.array_equal(settling.of(first, 1.0), first) and settling.anew
    half = settling.of(second, 0.5)
    assert half == pytest.approx(second + 0.5 * MOST_MEMORY * (first - second)) and not settling.anew
    assert np.array_equal(settling.of(other, 1.0), other) and settling.anew


def test_without_smoothing_and_after_a_reset_only_the_new_numbers_count() -> None:
    settling = Settling(far, 0.5)
    first, second = np.zeros(3), np.full(3, 0.2)
    settling.of(first, 1.0)
    assert np.array_equal(settling.of(second, 0.0), second) and settling.anew
    settling.reset()
    assert np.array_equal(settling.of(first, 1.0), first)
