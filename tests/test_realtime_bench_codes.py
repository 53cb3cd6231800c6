"""Numbers drawn into frames: read through everything that a painter does, and refused when they are damaged."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest

from engines.api import Look
from engines.bundle import Bundle
from engines.registry import open_engine
from realtime.bench import codes
from realtime.frames import Image
from realtime.synthetic import SyntheticSource

NUMBERS = (0, 1, 2, 255, 256, 12_345, 32_768, 65_535)


@cache
def scene(size: tuple[int, int] = (320, 180)) -> Image:
    frame = SyntheticSource(size).read()
    assert frame is not None
    return frame.image


def noisy(image: Image) -> Image:
    noise = np.random.default_rng(7).normal(0, 60, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def coloured(image: Image) -> Image:
    """Other colours, and less contrast: white becomes pale orange, black dark blue."""
    part = image.astype(np.float32) / 255
    pale, dark = np.array((250, 190, 130)), np.array((40, 50, 110))
    return np.asarray(part * pale + (1 - part) * dark).astype(np.uint8)


def uneven(image: Image) -> Image:
    """A strong shade from left to right, as a painter's background may have it."""
    shade = np.linspace(0.2, 1, image.shape[1], dtype=np.float32)[None, :, None]
    return np.asarray(image * shade).astype(np.uint8)


PAINTERS: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda image: image,
    "recoloured": coloured,
    "noisy": noisy,
    "inverted": lambda image: 255 - image,
    "inverted, recoloured and noisy": lambda image: noisy(coloured(255 - image)),
    "blurred": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 5), np.uint8),
    "shaded": uneven,
    "faint": lambda image: (image // 16 + 100).astype(np.uint8),
    "a bright sky becomes dark": lambda image: (128 + 127 * np.sin(image / 50)).astype(np.uint8),
}


@pytest.mark.parametrize("painter", list(PAINTERS))
def test_a_number_is_read_from_its_painting(painter: str) -> None:
    for number in NUMBERS:
        assert codes.read(PAINTERS[painter](codes.draw(scene(), number))) == number


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (641, 359), (1280, 720)])
def test_frames_of_any_size_carry_it(size: tuple[int, int]) -> None:
    image = scene(size)
    before = image.copy()
    coded = codes.draw(image, 4711)
    assert codes.read(coded) == 4711
    np.testing.assert_array_equal(image, before)  # drawn into a copy
    assert coded.shape == image.shape
    np.testing.assert_array_equal(coded[: size[1] // 6], image[: size[1] // 6])  # the scene goes on around it


def test_numbers_start_again_after_the_last() -> None:
    assert codes.read(codes.draw(scene(), codes.NUMBERS + 5)) == 5


def test_a_picture_without_a_number_has_none() -> None:
    black = np.zeros((180, 320, 3), np.uint8)
    stripes = black.copy()
    stripes[:, ::40] = 255
    noise = np.random.default_rng(1).integers(0, 256, black.shape, np.uint8)
    for image in (scene(), black, 255 - black, stripes, noise):
        assert codes.read(image) is None


def test_a_damaged_number_is_not_guessed() -> None:
    coded = codes.draw(scene(), 4711)
    height, width = coded.shape[:2]
    for top, left in np.ndindex(6, 6):
        damaged = coded.copy()
        # One pair of blocks at a time: turned round, and wiped out.
        place = (
            slice(round(height * (0.2 + 0.1 * top)), round(height * (0.3 + 0.1 * top))),
            slice(round(width * left / 6), round(width * (left + 1) / 6)),
        )
        damaged[place] = coded[place][:, ::-1]
        assert codes.read(damaged) is None
        damaged[place] = 120
        assert codes.read(damaged) is None


def test_two_numbers_laid_over_each_other_give_the_stronger_or_none() -> None:
    first, second = (codes.draw(scene(), number).astype(np.float32) for number in (100, 1023))
    for share in np.linspace(0, 1, 21):
        told = codes.read((share * first + (1 - share) * second).astype(np.uint8))
        assert told in ({100, None} if share > 0.5 else {1023, None})


def test_it_survives_the_released_model(live_bundle: Bundle) -> None:
    look = Look(live_bundle.style("thousand-li"))  # but for fighting-temeraire the least contrast
    with open_engine("ort", live_bundle, threads=1) as engine:
        for number in (3, 500, 60_000):
            assert codes.read(engine.stylise(codes.draw(scene(), number), look)) == number
