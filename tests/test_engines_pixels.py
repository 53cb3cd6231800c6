"""Bytes of pictures, taken and changed: the same as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from engines.pixels import every, looked_up


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
