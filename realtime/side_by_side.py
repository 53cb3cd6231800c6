"""Pages of several pictures with captions below them: laid out once, filled with a picture for each place."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engines.errors import InputError
from realtime.frames import Image

PAPER, INK, FAINT = (250, 248, 244), (30, 30, 30), (90, 90, 90)
GAP_PX = 12
LEAST_CELL_PX = 190  # narrower captions have to be cut off too often
_LEAST_PICTURE_PX = 120
_TITLE, _TEXT = cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SIMPLEX
_MOST_WASTE = 0.1
_USUAL_ASPECT = 1.6  # of a page: what screens are like


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands below a picture: a title, and lines of text."""

    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What a page may take: its width and height in px, and the pixels of each picture. even: its sides are even."""

    width: int
    height: int
    picture_area: int
    even: bool = False


@dataclass(frozen=True, slots=True)
class _Grid:
    """columns, rows; cell: width and caption: height of each place, picture: (width, height) of each picture, in px."""

    columns: int
    rows: int
    cell: int
    picture: tuple[int, int]
    caption: int

    @property
    def step(self) -> tuple[int, int]:
        return self.cell + GAP_PX, self.picture[1] + self.caption + GAP_PX

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the page."""
        across, down = self.step
        return self.columns * across + GAP_PX, self.rows * down + GAP_PX


class Page:
    """A grid of places for pictures of one shape, with captions that never change.

    shape: (width, height) of the pictures as they look (square pixels); they are made smaller to fit the room, never
    larger. captions: one for each place, in the order of reading. Captions have ASCII letters; what is too long is
    broken into lines, and a word too long for a line is cut. The grid is the one with the largest pictures; of those
    nearly alike the one that looks most like a screen and has the fewest empty places. Raises InputError: so many do
    not fit legibly.
    """

    def __init__(self, captions: Sequence[Caption], shape: tuple[int, int], room: Room) -> None:
        self._grid, written = _best(captions, shape, room)
        width, height = self._grid.size
        if room.even:
            width, height = width + width % 2, height + height % 2
        self.width_px, self.height_px = width, height
        self._paper = np.full((height, width, 3), PAPER, np.uint8)
        for place, lines in enumerate(written):
            self._write(place, lines)

    def filled(self, pictures: Sequence[Image]) -> Image:
        """The page, RGB uint8 (height_px, width_px, 3), a new array.

        pictures: RGB uint8, one for each place, of any size and pixel shape: those of the page's shape fill their
        place; `fitted` puts another into it.
        """
        page = self._paper.copy()
        for place, picture in enumerate(pictures):
            left, top = self._at(place)
            width, height = self._grid.picture
            page[top : top + height, left : left + width] = _resized(picture, (width, height))
        return page

    def fitted(self, picture: Image) -> Image:
        """A picture of another shape as one of a place's: as large as can be, on paper. RGB uint8."""
        width, height = self._grid.picture
        scale = min(width / picture.shape[1], height / picture.shape[0])
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        place = np.full((height, width, 3), PAPER, np.uint8)
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        place[top : top + size[1], left : left + size[0]] = _resized(picture, size)
        return place

    def box(self, place: int) -> tuple[int, int, int, int]:
        """Where a place's picture lies: left, top, width, height, in px."""
        return (*self._at(place), *self._grid.picture)

    def _at(self, place: int) -> tuple[int, int]:
        row, column = divmod(place, self._grid.columns)
        across, down = self._grid.step
        left = GAP_PX + column * across + (self._grid.cell - self._grid.picture[0]) // 2
        return left, GAP_PX + row * down

    def _write(self, place: int, lines: Sequence[tuple[str, bool]]) -> None:
        left, top, width, height = self.box(place)
        left -= (self._grid.cell - width) // 2
        scale = _letters(self._grid.cell)
        baseline = top + height
        for text, title in lines:
            baseline += _line_px(scale, title)
            face, ink = (_TITLE, INK) if title else (_TEXT, FAINT)
            size = _size(scale, title)
            margin = (self._grid.cell - _text_px(text, face, size)) // 2
            place_px = (left + max(0, margin), baseline - round(7 * scale))
            cv2.putText(self._paper, text, place_px, face, size, ink, 1, cv2.LINE_AA)


def _best(
    captions: Sequence[Caption], shape: tuple[int, int], room: Room
) -> tuple[_Grid, list[list[tuple[str, bool]]]]:
    """The grid, and the lines of each caption (text, whether it is of the title)."""
    found = []
    for columns in range(1, len(captions) + 1):
        grid, written = _grid(captions, shape, room, columns)
        width, height = grid.size
        if width <= room.width and height <= room.height and max(grid.picture) >= min(_LEAST_PICTURE_PX, max(shape)):
            found.append((grid, written))
    if not found:
        raise InputError(
            f"{len(captions)} pictures of {shape[0]}x{shape[1]} do not fit legibly into {room.width}x{room.height}; "
            "compare fewer models"
        )
    largest = max(grid.picture[0] for grid, _ in found)
    near = [one for one in found if one[0].picture[0] >= (1 - _MOST_WASTE) * largest]

    def waste(one: tuple[_Grid, object]) -> float:
        grid = one[0]
        empty = grid.columns * grid.rows - len(captions)
        return empty / len(captions) + abs(math.log(grid.size[0] / grid.size[1] / _USUAL_ASPECT))

    return min(near, key=waste)


def _grid(
    captions: Sequence[Caption], shape: tuple[int, int], room: Room, columns: int
) -> tuple[_Grid, list[list[tuple[str, bool]]]]:
    """The largest pictures with so many columns; a page that is too large where not even small ones fit."""
    rows = math.ceil(len(captions) / columns)
    most = max(1, (room.width - GAP_PX) // columns - GAP_PX)
    scale = min(1.0, math.sqrt(room.picture_area / (shape[0] * shape[1])), most / shape[0])
    while True:
        picture = (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))
        cell = max(picture[0], LEAST_CELL_PX)
        written = [_lines(caption, cell) for caption in captions]
        letters = _letters(cell)
        caption = max(sum(_line_px(letters, title) for _, title in lines) for lines in written)
        grid = _Grid(columns, rows, cell, picture, caption)
        if grid.size[1] <= room.height or max(picture) < _LEAST_PICTURE_PX:
            return grid, written
        # Smaller pictures may break captions into more lines: then once more.
        free = (room.height - GAP_PX) // rows - GAP_PX - caption
        scale = min(0.99 * scale, max(1, free) / shape[1])


def _lines(caption: Caption, cell: int) -> list[tuple[str, bool]]:
    scale = _letters(cell)
    told = [(line, True) for line in _broken(caption.title, _TITLE, _size(scale, True), cell)]
    for text in caption.lines:
        told += [(line, False) for line in _broken(text, _TEXT, _size(scale, False), cell)]
    return told


def _broken(text: str, face: int, size: float, cell: int) -> list[str]:
    """A text in lines that are no wider than a cell, broken at spaces."""
    lines: list[str] = []
    for word in _ascii(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _text_px(longer, face, size) <= cell:
            lines[-1] = longer
        else:
            lines.append(_cut(word, face, size, cell))
    return lines


def _cut(word: str, face: int, size: float, cell: int) -> str:
    if _text_px(word, face, size) <= cell:
        return word
    while len(word) > 1 and _text_px(f"{word}...", face, size) > cell:
        word = word[:-1]
    return f"{word}..."


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII: accents are left out, and what is no letter there is a question mark."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in plain)


def _letters(cell: int) -> float:
    """How large letters are, relative to the usual: wide cells have larger ones."""
    return min(1.6, max(1.0, cell / 320))


def _size(scale: float, title: bool) -> float:
    """OpenCV's font scale."""
    return (0.55 if title else 0.45) * scale


def _line_px(scale: float, title: bool) -> int:
    return round((26 if title else 20) * scale)


def _text_px(text: str, face: int, size: float) -> int:
    (width, _), _ = cv2.getTextSize(text, face, size, 1)
    return int(width)


def _resized(picture: Image, size: tuple[int, int]) -> Image:
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    smaller = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
