from __future__ import annotations

import numpy as np
import pytest

from engines.settling import Latest, Numbers, Settling


def far(ours: Numbers, theirs: Numbers) -> float:
    return float(np.abs(ours - theirs).max())


def test_numbers_follow_slowly_and_at_once_with_the_scene() -> None:
    settling = Settling(far, 0.5)
    first, second, other = np.array([0.0, 1.0]), np.array([0.4, 1.0]), np.array([3.0, 1.0])
    assert np.array_equal(settling.of(lambda: first, 0.9), first) and settling.anew
    assert settling.of(lambda: second, 0.4) == pytest.approx(second + 0.4 * (first - second)) and not settling.anew
    assert np.array_equal(settling.of(lambda: other, 0.9), other) and settling.anew


def test_without_memory_and_after_a_reset_only_the_new_numbers_count() -> None:
    settling = Settling(far, 0.5)
    first, second = np.zeros(3), np.full(3, 0.2)
    settling.of(lambda: first, 0.9)
    assert np.array_equal(settling.of(lambda: second, 0.0), second) and settling.anew
    settling.reset()
    assert np.array_equal(settling.of(lambda: first, 0.9), first)


def test_with_all_of_the_memory_nothing_is_measured_but_the_first_time() -> None:
    settling, told = Settling(far, 0.5), iter([np.zeros(3), np.ones(3)])
    for _ in range(3):
        assert not settling.of(lambda: next(told), 1.0).any()
    assert not settling.anew
    assert settling.of(lambda: next(told), 0.0).all()


def test_what_the_same_numbers_make_is_made_once() -> None:
    made: list[float] = []

    def add(numbers: Numbers, more: float) -> float:
        made.append(float(numbers.sum()) + more)
        return made[-1]

    latest, given = Latest(add), np.ones(3)
    assert latest.of(given, 0) == latest.of(np.ones(3), 0) == 3
    given += 1  # in place
    assert [latest.of(given, 0), latest.of(given, 1), latest.of(np.ones(3), 0)] == [6, 7, 3]
    assert made == [3, 6, 7, 3]
