"""The sizes that --size asks for."""

from __future__ import annotations

import re

from engines.api import MAX_SIDE_PX, MIN_SIDE_PX
from engines.errors import InputError
from engines.sizes import Size, SizeRange

__all__ = ["Size", "SizeRange", "parse_sizes"]

_SIZE = re.compile(r"(\d{1,6})[xX×](\d{1,6})")


def parse_sizes(text: str) -> SizeRange:
    """Sizes from "640x360" (one fixed size) or "320x180:640x360:1920x1080" (least, usual, most); widths come first.

    Raises InputError: not of that form, sides that are not MIN_SIDE_PX..MAX_SIDE_PX, sizes that do not grow.
    """
    parts = text.split(":")
    found = [_SIZE.fullmatch(part.strip()) for part in parts]
    if len(parts) not in (1, 3) or None in found:
        raise InputError(f"size is {text!r}; give one, such as 640x360, or least:usual:most")
    sizes = [(int(match[1]), int(match[2])) for match in found if match is not None]
    for width, height in sizes:
        if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_SIDE_PX:
            raise InputError(f"size {width}x{height} is outside; each side must be {MIN_SIDE_PX} to {MAX_SIDE_PX} px")
    least, usual, most = sizes if len(sizes) == 3 else sizes * 3
    return SizeRange(least, usual, most)
