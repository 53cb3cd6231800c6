"""Sizes of frames that a bundle is for: one size, or a range with the size that is usual in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from engines.errors import InputError

Size: TypeAlias = tuple[int, int]  # width, height, in pixels


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes of frames, each (width, height) in px: every width and every height from `least` to `most`.

    usual: the one to be fastest at. All three alike: one fixed size. Raises InputError unless
    least <= usual <= most in both.
    """

    least: Size
    usual: Size
    most: Size

    def __post_init__(self) -> None:
        for side in (0, 1):
            if not 0 < self.least[side] <= self.usual[side] <= self.most[side]:
                raise InputError(f"sizes {self} do not grow; give least:usual:most, such as 320x180:640x360:1920x1080")

    def __str__(self) -> str:
        told = [f"{width}x{height}" for width, height in (self.least, self.usual, self.most)]
        return told[0] if self.fixed else ":".join(told)

    @property
    def fixed(self) -> bool:
        """Whether there is but one size."""
        return self.least == self.most

    def holds(self, height: int, width: int) -> bool:
        """Whether a frame of this size is in the range."""
        return self.least[0] <= width <= self.most[0] and self.least[1] <= height <= self.most[1]

    def or_usual(self, size: Size) -> Size:
        """`size`, or the usual one where it is not in the range."""
        width, height = size
        return size if self.holds(height, width) else self.usual

    def told(self) -> dict[str, list[int]]:
        """As bundle.json holds it."""
        return {"least": list(self.least), "usual": list(self.usual), "most": list(self.most)}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """From what `told` gave. Raises KeyError, TypeError, ValueError (garbled), InputError (they do not grow)."""
        least, usual, most = ((int(width), int(height)) for width, height in (told[key] for key in cls.__slots__))
        return cls(least, usual, most)
