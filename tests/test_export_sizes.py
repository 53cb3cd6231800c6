from __future__ import annotations

import pytest

from engines.errors import InputError
from export.sizes import SizeRange, parse_sizes


def test_one_and_three() -> None:
    assert parse_sizes("1280x720") == SizeRange((1280, 720), (1280, 720), (1280, 720))
    assert parse_sizes("320x180:640x360:1920x1080") == SizeRange((320, 180), (640, 360), (1920, 1080))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "give one"),
        ("640", "give one"),
        ("640x360:1280x720", "give one"),
        ("32x32", "each side must be 64 to 16384"),
        ("64x20000", "each side must be 64 to 16384"),
        ("640x360:320x180:1920x1080", "do not grow"),
    ],
)
def test_what_is_no_size(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_sizes(text)
