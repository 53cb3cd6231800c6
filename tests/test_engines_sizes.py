from __future__ import annotations

import pytest

from engines.errors import InputError
from engines.sizes import SizeRange

RANGE = SizeRange((320, 180), (640, 360), (1920, 1080))


def test_what_a_range_holds() -> None:
    assert RANGE.holds(180, 320) and RANGE.holds(1080, 1920) and RANGE.holds(400, 400)
    assert not RANGE.holds(179, 320) and not RANGE.holds(1080, 1921)
    assert not RANGE.fixed and str(RANGE) == "320x180:640x360:1920x1080"


def test_one_size() -> None:
    one = SizeRange((640, 360), (640, 360), (640, 360))
    assert one.fixed and str(one) == "640x360" and one.holds(360, 640) and not one.holds(640, 360)


def test_told_and_read_back() -> None:
    assert SizeRange.of(RANGE.told()) == RANGE


def test_sizes_that_do_not_grow() -> None:
    with pytest.raises(InputError, match="do not grow"):
        SizeRange((320, 180), (640, 100), (1920, 1080))


def test_a_size_or_the_usual_one() -> None:
    assert RANGE.or_usual((1280, 720)) == (1280, 720)
    assert RANGE.or_usual((256, 256)) == (640, 360)
