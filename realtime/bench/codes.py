"""A frame number drawn into a frame, which can still be read after the frame was painted.

A painter changes colours, contrast and even which tones are dark, and smears edges; what it keeps is that two large
neighbouring areas of different brightness stay different. So each bit is a pair of blocks, black beside white or white
beside black, and only the sign of their difference counts. Pairs with a known bit say whether the tones are the right
way round, and a checksum refuses what was damaged: a number is read as it was drawn, or not at all.
"""

from __future__ import annotations

import binascii
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.frames import Image

NUMBERS = 2**16
_COLUMNS, _ROWS = 12, 6  # blocks; two columns make a pair
# Bits in reading order: known ones at the beginning and the end, between them the number and its CRC-16.
_FIRST, _LAST = (1, 0), (0, 1)
_DATA_BITS, _CHECK_BITS = 16, 16
_SHARE_OF_HEIGHT = 0.6  # in the middle of the frame: above and below the scene goes on
_MARGIN = 0.25  # of a block's height, left out above and below: there the painter mixes neighbours
# What is read, in shares of a block's width from the edge that it shares with the other of its pair. A painter may
# flatten large plain areas until black and white meet in the middle of them, but holds them apart where they touch.
_NEAR, _FAR = 0.05, 0.3
_LEAST_CONTRAST = 4.0  # levels of 255; a smaller difference could be grain of the painting
_BLACK, _WHITE = 16, 240
_LUMA = np.array([0.299, 0.587, 0.114])


def draw(image: Image, number: int) -> Image:
    """A copy of RGB uint8 `image` (height, width, 3; sides 64 and up) with `number` modulo NUMBERS drawn into it."""
    coded = image.copy()
    tops, lefts = _grid(image)
    for position, bit in enumerate(_bits(number % NUMBERS)):
        row, pair = divmod(position, _COLUMNS // 2)
        for side in range(2):
            column = 2 * pair + side
            shade = _WHITE if bit == side else _BLACK
            coded[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]] = shade
    return coded


def read(image: Image) -> int | None:
    """The number (modulo NUMBERS) drawn into what RGB uint8 `image` is a painting of; None if it cannot be told."""
    blocks = _brightness(image)
    steps = (blocks[:, 1::2] - blocks[:, 0::2]).ravel()  # of each pair, in reading order
    if np.abs(steps).min() < _LEAST_CONTRAST:
        return None
    bits = steps > 0
    known = np.array(_FIRST + _LAST, bool)
    marks = np.concatenate([bits[: len(_FIRST)], bits[-len(_LAST) :]])
    if (marks != known).all():
        bits = ~bits  # the painter made dark of bright
    elif not (marks == known).all():
        return None
    told = bits[len(_FIRST) : -len(_LAST)]
    number = _number(told[:_DATA_BITS])
    return number if _number(told[_DATA_BITS:]) == _check(number) else None


def _bits(number: int) -> list[int]:
    data = f"{number:0{_DATA_BITS}b}{_check(number):0{_CHECK_BITS}b}"
    return [*_FIRST, *map(int, data), *_LAST]


def _number(bits: NDArray[np.bool_]) -> int:
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _check(number: int) -> int:
    # Not from 0: then a picture with nothing in it but the known bits would be the number 0.
    return binascii.crc_hqx(number.to_bytes(2, "big"), 0xFFFF)


def _grid(image: Image) -> tuple[list[int], list[int]]:
    """Where rows and columns of blocks begin and end, in pixels."""
    height, width = image.shape[:2]
    first, last = height * (1 - _SHARE_OF_HEIGHT) / 2, height * (1 + _SHARE_OF_HEIGHT) / 2
    tops = np.linspace(first, last, _ROWS + 1).round().astype(int).tolist()
    lefts = np.linspace(0, width, _COLUMNS + 1).round().astype(int).tolist()
    return tops, lefts


def _brightness(image: Image) -> NDArray[np.float64]:
    """Mean luma of each block beside its pair's edge: (_ROWS, _COLUMNS), 0..255."""
    tops, lefts = _grid(image)
    told = np.empty((_ROWS, _COLUMNS))
    for row, column in np.ndindex(told.shape):
        margin = int((tops[row + 1] - tops[row]) * _MARGIN)
        near, far = ((lefts[column + 1] - lefts[column]) * share for share in (_NEAR, _FAR))
        if column % 2:
            left, right = lefts[column] + near, lefts[column] + far
        else:
            left, right = lefts[column + 1] - far, lefts[column + 1] - near
        part = image[tops[row] + margin : tops[row + 1] - margin, int(left) : ceil(right)]
        told[row, column] = np.dot(cv2.mean(part)[:3], _LUMA)
    return told
