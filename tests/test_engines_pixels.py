"""Bytes of pictures, taken and changed: the same as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from engines.pixels import ZERO, added, added_to_all, every, looked_up, slopes, taken_away


@pytest.mark.parametrize("step_px", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(384, 384), (97, 101), (232, 412), (5, 3), (1, 1), (2, 4000)])
def test_every_so_many_pixels_are_taken(size: tuple[int, int], step_px: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    taken = every(picture, step_px)
    assert np.array_equal(taken, picture[::step_px, ::step_px])
    assert not np.shares_memory(taken, picture)


def test_every_colour_has_a_table_of_its_own() -> None:
    rng = np.random.default_rng(1)
    picture, tables = (rng.integers(0, 256, size, dtype=np.uint8) for size in ((31, 45, 3), (3, 256)))
    out = np.empty_like(picture)
    looked_up(picture, tables, out)
    wanted = np.stack([tables[k][picture[:, :, k]] for k in range(3)], 2)
    assert np.array_equal(out, wanted)
    looked_up(picture, tables, picture)  # in place
    assert np.array_equal(picture, wanted)


SIZES = pytest.mark.parametrize("size", [(31, 45, 3), (232, 408), (1, 1)])


def signed(picture: np.ndarray) -> np.ndarray:
    return picture.astype(int)


@SIZES
def test_differences_are_cut_off_at_half_of_the_range(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 256, size, dtype=np.uint8) for _ in range(2))
    wanted = (signed(one) - signed(other) + ZERO).clip(0, 255)
    for k in range(3):
        pictures = one.copy(), other.copy(), np.empty_like(one)
        taken_away(pictures[0], pictures[1], np.empty_like(one), pictures[k])  # in place of both, and of neither
        assert np.array_equal(pictures[k], wanted)
        assert all(np.array_equal(pictures[j], (one, other)[j]) for j in range(2) if j != k)


@SIZES
def test_changes_are_added_and_cut_off_at_the_ends(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    picture, change = (rng.integers(0, 256, size, dtype=np.uint8) for _ in range(2))
    wanted = (signed(picture) + signed(change) - ZERO).clip(0, 255)
    kept, out = picture.copy(), np.empty_like(picture)
    added(kept, change, np.empty_like(picture), out)
    assert np.array_equal(out, wanted) and np.array_equal(kept, picture)
    added(kept, change, change, kept)  # in place, and in the place of the change
    assert np.array_equal(kept, wanted)


def test_all_colours_get_the_same() -> None:
    rng = np.random.default_rng(4)
    picture, change = (rng.integers(0, 256, size, dtype=np.uint8) for size in ((31, 45, 3), (31, 60)))
    wanted = (signed(picture) + signed(change[:, :45, None]) - ZERO).clip(0, 255)
    added_to_all(picture, change[:, :45], np.empty_like(picture), picture)
    assert np.array_equal(picture, wanted)


def test_slopes_are_steps_per_pixel_wherever_they_are_put() -> None:
    rows, columns = np.mgrid[0:20, 0:30]
    picture = (2 * columns + 5 * rows).astype(np.uint8)
    room = np.empty((2, 20, 30), np.float32)
    for across, down in (slopes(picture), slopes(picture, (room[0], room[1]))):
        assert (across[1:-1, 1:-1] == 2).all() and (down[1:-1, 1:-1] == 5).all()
    assert np.array_equal(room, slopes(picture))
