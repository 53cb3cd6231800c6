"""A map of styles as a picture: thumbnails where the styles lie, moved apart where they would cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.style_space import Distances, Groups, Layout, Space, distances_of, layout
from engines.styles import Style
from realtime.frames import Image

THUMBNAIL_PX = 84
# Of groups, told apart by those who do not see all colours, too (Okabe and Ito 2008); the names say the rest.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a6a00", "#3a3a3a", "#56b4e9", "#8b3fa0")
_PAPER, _INK, _FRAME = (250, 248, 244), (40, 40, 40), (190, 184, 172)
_LABEL_PX, _GAP_PX, _MARGIN_PX = 16, 6, 24
_ROUNDS = 400
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.36


@dataclass(frozen=True, slots=True)
class StyleMap:
    """Styles and where they lie. The first `named` of them came with the model; groups: if they were asked for."""

    styles: tuple[Style, ...]
    named: int
    distances: Distances
    layout: Layout
    groups: Groups | None = None

    @classmethod
    def of(cls, space: Space, styles: Sequence[Style], named: int, groups: Groups | None = None) -> StyleMap:
        """Raises StyleError: a style of another bundle."""
        distances = distances_of(space.vectors(styles))
        return cls(tuple(styles), named, distances, layout(distances), groups)

    def colour(self, at: int) -> str | None:
        """Of the style's group, as #rrggbb; None without groups."""
        return None if self.groups is None else COLOURS[int(self.groups.labels[at]) % len(COLOURS)]


def drawn(found: StyleMap) -> Image:
    """The map as RGB uint8: thumbnails with their names, and a bar that tells the scale."""
    cell = np.array([THUMBNAIL_PX + 2 * _GAP_PX, THUMBNAIL_PX + _LABEL_PX + 2 * _GAP_PX], np.float64)
    places, scale = placed(found.layout.places, cell)
    places -= places.min(0) - cell / 2 - _MARGIN_PX
    width, height = (places.max(0) + cell / 2 + _MARGIN_PX).astype(int)
    # Room for the words below, however few styles there are.
    page = np.full((int(height) + 2 * _MARGIN_PX, max(int(width), 560), 3), _PAPER, np.uint8)
    for at, style in enumerate(found.styles):
        colour = found.colour(at)
        _draw(page, places[at], style, _FRAME if colour is None else _rgb(colour), named=at < found.named)
    bar = round(scale / 2)  # pixels of half a unit
    left, base = _MARGIN_PX, page.shape[0] - _MARGIN_PX
    cv2.line(page, (left, base), (left + bar, base), _INK, 2, cv2.LINE_AA)
    words = f"= 0.5 of the usual distance of two styles; stress {found.layout.stress:.2f}, moved apart where crowded"
    cv2.putText(page, words, (left + bar + 8, base + 4), _FONT, _SIZE, _INK, 1, cv2.LINE_AA)
    return page


def placed(places: NDArray[np.float64], cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Places (n, 2) in pixels at which cells of this width and height do not overlap, and the pixels of one unit.

    The unit is as large as gives the cells about three times their own area; then what still overlaps is moved apart.
    """
    extent = np.ptp(places, axis=0)
    area = 3 * len(places) * cell[0] * cell[1]
    # Where all lie on a line there is no area to scale by.
    scale = math.sqrt(area / max(extent[0] * extent[1], 0.05 * extent.max() ** 2)) if extent.max() > 0 else 1.0
    return apart(places * scale * (1, -1), cell), scale  # up is up


def apart(places: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (n, 2) at which cells of this width and height do not overlap, if there is room enough.

    Of two that overlap each goes half of the way, along the axis on which that is shorter.
    """
    itself = np.arange(len(places))
    order = np.sign(itself[:, None] - itself[None])[..., None]  # of two in one place the first one goes up and left
    found = places.copy()
    for _ in range(_ROUNDS):
        between = found[:, None] - found[None]
        over = cell - np.abs(between)
        over[itself, itself] = 0
        touching: NDArray[np.bool_] = np.all(over > 1e-6 * cell, axis=2)
        if not touching.any():
            break
        shorter = np.argmin(over / cell, axis=2)[..., None] == np.arange(2)
        direction = np.where(between == 0, order, np.sign(between))
        moves = np.where(touching[:, :, None] & shorter, 0.5 * over * direction, 0).sum(1)
        found = found + moves.clip(-cell, cell)
    return found


def _draw(page: Image, place: NDArray[np.float64], style: Style, colour: tuple[int, int, int], *, named: bool) -> None:
    height, width = style.thumbnail.shape[:2]
    scale = THUMBNAIL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(style.thumbnail, size, interpolation=cv2.INTER_AREA)
    left = int(place[0]) - size[0] // 2
    top = int(place[1]) - (size[1] + _LABEL_PX) // 2
    thick = 3 if named else 5
    page[top - thick : top + size[1] + thick, left - thick : left + size[0] + thick] = colour
    if not named:  # of the user's own: a double frame
        page[top - 3 : top + size[1] + 3, left - 3 : left + size[0] + 3] = _PAPER
        page[top - 1 : top + size[1] + 1, left - 1 : left + size[0] + 1] = colour
    page[top : top + size[1], left : left + size[0]] = small
    label = fitted(style.name, THUMBNAIL_PX + _GAP_PX)
    (wide, _), _ = cv2.getTextSize(label, _FONT, _SIZE, 1)
    base = top + size[1] + _LABEL_PX - 2
    cv2.putText(page, label, (int(place[0]) - wide // 2, base), _FONT, _SIZE, _INK, 1, cv2.LINE_AA)


def fitted(name: str, room_px: int) -> str:
    """The name in the letters that OpenCV has, shortened until it fits."""
    label = name.encode("ascii", "replace").decode()
    short = label
    while cv2.getTextSize(short, _FONT, _SIZE, 1)[0][0] > room_px and len(label) > 1:
        label = label[:-1]
        short = f"{label}.."
    return short


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
