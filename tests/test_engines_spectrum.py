from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from grain import picture
from numpy.typing import NDArray

from engines.nets import finish
from engines.pixels import ZERO
from engines.recolour import MOST_MEMORY
from engines.spectrum import (
    LEAST_AMPLIFIED,
    MOST_AMPLIFIED,
    REACH_PX,
    SHARE,
    SPECTRUM,
    TILE_PX,
    SpectrumMatcher,
    filter_to,
    spectrum_of,
)

Picture = NDArray[np.uint8]
ACROSS, DOWN = (1.1, 0.7), (0.7, 1.1)


def strokes(way: tuple[float, float], seed: int = 0) -> Picture:
    """Grain drawn out more across or down, of equal strength, RGB uint8 (120, 160, 3)."""
    grain = np.random.default_rng(seed).normal(0, 1, (120, 160))
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=way[0], sigmaY=way[1])
    return np.repeat(np.clip(128 + 12 * grain / grain.std(), 0, 255)[..., None], 3, 2).astype(np.uint8)


def matched(painting: Picture, style: Picture, strength: float = 1.0) -> Picture:
    return added(painting, SpectrumMatcher(), spectrum_of(style), strength, 0.0)


def added(painting: Picture, matcher: SpectrumMatcher, goal: NDArray[np.float64], *numbers: float) -> Picture:
    """With what the matcher tells of its luma added to all colours."""
    change = matcher.of(cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY), goal.astype(np.float32), *numbers)
    return (change[..., None].astype(int) - ZERO + painting).clip(0, 255).astype(np.uint8)


def test_a_wave_is_a_peak_at_its_frequency() -> None:
    rows, columns = 5, 3  # waves in a tile, down and across
    y, x = np.mgrid[:96, :128]
    wave = 128 + 50 * np.cos(2 * np.pi / TILE_PX * (rows * y + columns * x))
    found = spectrum_of(np.repeat(np.rint(wave)[..., None], 3, 2).astype(np.uint8))
    assert found.shape == SPECTRUM
    assert np.unravel_index(found.argmax(), SPECTRUM) == (rows, columns)
    far = (np.abs(np.arange(SPECTRUM[0]) - rows) > 1)[:, None] | (np.abs(np.arange(SPECTRUM[1]) - columns) > 1)
    assert found[rows, columns] > found[far].max() + 5


def test_detail_runs_more_as_the_styles_does() -> None:
    def run_down(image: Picture) -> float:
        """How much stronger waves across are than waves down, in the logarithm: strokes down are many waves across."""
        found = spectrum_of(image)
        return float(found[0, 3:6].mean() - found[3:6, 0].mean())

    painting, style = strokes(ACROSS), strokes(DOWN, 1)
    images = (painting, matched(painting, style), style)
    before, after, goal = map(run_down, images)
    assert before < -1 and goal > 1
    assert (after - before) / (goal - before) == pytest.approx(SHARE, abs=0.15)
    far = [np.abs(spectrum_of(image) - spectrum_of(style)).mean() for image in images]
    assert far[1] < (1 - SHARE / 2) * far[0]


def test_what_runs_as_the_styles_does_is_hardly_changed() -> None:
    other, same = (matched(strokes(ACROSS), strokes(way, 1)).astype(int) for way in (DOWN, ACROSS))
    assert np.abs(same - strokes(ACROSS)).mean() < 0.25 * np.abs(other - strokes(ACROSS)).mean()


def test_light_and_dark_stay_where_they_are() -> None:
    painting = picture(8)
    changed = matched(painting, strokes(DOWN))
    assert np.abs(changed.astype(int) - painting).mean() > 1
    assert np.abs(cv2.blur(changed, (31, 31)).astype(int) - cv2.blur(painting, (31, 31))).max() <= 2


def test_strength_0_changes_nothing_and_half_of_it_half() -> None:
    painting, style = picture(8) // 2 + 60, strokes(DOWN)
    assert np.array_equal(matched(painting, style, 0.0), painting)
    half, whole = (matched(painting, style, strength).astype(float) - painting for strength in (0.5, 1.0))
    assert np.abs(half - whole / 2).max() <= 1


def test_what_is_flat_stays_so() -> None:
    for level in (0, 90, 255):
        flat = np.full((80, 100, 3), level, np.uint8)
        assert np.array_equal(matched(flat, picture(12)), flat)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (121, 90)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    painting = np.ascontiguousarray(cv2.resize(picture(8), size[::-1]))
    assert not np.array_equal(matched(painting, strokes(DOWN)), painting)


def test_what_is_smaller_than_a_tile_stays_as_it_is() -> None:
    painting = np.ascontiguousarray(picture(8)[: TILE_PX - 1])
    assert np.array_equal(matched(painting, strokes(DOWN)), painting)


def test_gains_have_bounds_and_keep_phases() -> None:
    random, places = np.random.default_rng(0), np.arange(64)
    for _ in range(8):
        own, of_style = random.uniform(-3, 12, (2, *SPECTRUM))
        # As those of pictures are: of the first and the last column half is told twice.
        for spectrum in (own, of_style):
            for column in (0, -1):
                spectrum[1:, column] += spectrum[:0:-1, column]
            spectrum[0, 0] = -3
        kernel = filter_to(own, of_style)
        assert kernel.shape == (2 * REACH_PX + 1, 2 * REACH_PX + 1) and kernel.sum() == pytest.approx(0, abs=1e-12)
        # Around its middle a filter that keeps phases is real.
        turn = np.exp(2j * np.pi * REACH_PX / 64 * places)
        gains = 1 + np.fft.fft2(kernel, (64, 64)) * turn * turn[:, None]
        assert np.abs(gains.imag).max() < 1e-9
        assert gains.real.min() > 0.5 * LEAST_AMPLIFIED and gains.real.max() < 1.2 * MOST_AMPLIFIED


def test_the_filter_changes_slowly_and_at_once_with_the_scene() -> None:
    goal, smooth = spectrum_of(strokes(DOWN, 5)), SpectrumMatcher()
    first, second, other = strokes(ACROSS), strokes((1.2, 0.5), 1), picture(1, 2)

    def alone(painting: Picture) -> Picture:
        return added(painting, SpectrumMatcher(), goal, 1.0, 0.0)

    def next_one(painting: Picture) -> Picture:
        return added(painting, smooth, goal, 1.0, MOST_MEMORY)

    next_one(first)
    assert not np.array_equal(next_one(second), alone(second))
    assert np.array_equal(next_one(other), alone(other))
    next_one(first)
    smooth.reset()
    assert np.array_equal(next_one(second), alone(second))


def test_tensors_get_the_same() -> None:
    paintings, style = [strokes(ACROSS), picture(9)], strokes(DOWN, 1)
    own, wanted = [spectrum_of(painting) for painting in paintings], spectrum_of(style)
    grey = torch.from_numpy(np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in paintings]))[:, None].float()
    spectra = finish.spectrum_of(grey)
    assert np.abs(spectra.numpy() - own).max() < 1e-3
    kernels = finish.spectral_filter(spectra, torch.from_numpy(wanted).float().expand(2, -1, -1))
    assert np.abs(kernels.numpy() - [filter_to(one, wanted) for one in own]).max() < 1e-4
    change = finish.filtered(grey, kernels).round()
    for painting, ours in zip(paintings, change, strict=True):
        assert np.abs(ours[0].numpy()[..., None] + painting - matched(painting, style)).max() <= 1


def test_of_a_large_picture_some_rows_of_tiles_are_enough() -> None:
    grey = np.random.default_rng(0).integers(90, 166, (736, 1280), dtype=np.uint8)
    large = np.repeat(cv2.GaussianBlur(grey, (0, 0), sigmaX=1.1, sigmaY=0.7)[..., None], 3, 2)
    found, part = spectrum_of(large), spectrum_of(np.ascontiguousarray(large[:240, :400]))
    assert np.abs(found - part)[1:].mean() < 0.1
    theirs = finish.spectrum_of(torch.from_numpy(large[..., 0].copy())[None, None].float())
    assert np.abs(theirs[0].numpy() - found).max() < 1e-3
