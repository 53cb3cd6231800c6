"""Spectrum: which way a painting's detail runs, brought nearer to which way its style picture's does.

Between the two sweeps of the curves of detail (`engines.bands`), which tell how strong detail is but not its direction.
An engraving's hatching, a textile's threads and the strokes of one hand lie in directions of their own, and that is
what a texture's power spectrum holds (Galerne, Gousseau and Morel 2011, "Random phase textures: theory and synthesis",
sec. 2). So a painting's luma is filtered: the amplitude of each wave is multiplied by a power of the ratio of the
style's and its own. What all waves of one length together would gain is taken away again: that is the curves' business,
and more of what is fine flickers. Phases stay as they are, and with them what is shown.

Spectra are averaged over small windowed tiles (Welch 1967, "The use of fast Fourier transform for the estimation of
power spectra"), of a painting as of a style picture. That makes them smooth, and the filter no larger than a tile: a
convolution with one small kernel, which changes slowly.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.pixels import ZERO, Picture
from engines.settling import Latest, Numbers, Settling

TILE_PX = 16
ROWS, COLUMNS = TILE_PX, TILE_PX // 2 + 1  # of a spectrum: frequencies down and, as luma is real, half of those across
STEP_TILES, ENOUGH_TILES = 3, 256  # every so many tiles of a row are looked at, and of as many rows as are needed
REACH_PX = 4  # of the filter, from its middle
SHARE = 0.6  # of the way to the style's amplitudes, in the logarithm
LEAST_AMPLIFIED, MOST_AMPLIFIED = 0.5, 2.0
TAPER = 1.6  # of a Hann window as wide as the filter, cut off at 1
LEAST_POWER = 0.05  # of powers: of flat tiles there is none
SPECTRUM = (ROWS, COLUMNS)
_CUT = 1.0  # mean difference of the logarithms of powers from which it is another scene

_PLACES = np.arange(TILE_PX)
_TURNS = 2 * np.pi / TILE_PX * np.outer(_PLACES, _PLACES)
_WINDOW = np.sin(np.pi / TILE_PX * (_PLACES + 0.5)) ** 2  # Hann's
# Of a tile, whose mean goes as the window sees it: cosines, then sines, of its rows and then of their columns.
_WEIGHTS = (np.outer(_WINDOW, _WINDOW) / _WINDOW.sum() ** 2).astype(np.float32)
_ACROSS = np.concatenate([f(_TURNS[:, :COLUMNS]) for f in (np.cos, np.sin)], 1)  # (TILE_PX, 2 COLUMNS)
_DOWN = np.concatenate([f(_TURNS) for f in (np.cos, np.sin)])  # (2 ROWS, TILE_PX)
_ACROSS, _DOWN = (_ACROSS * _WINDOW[:, None]).astype(np.float32), (_DOWN * _WINDOW).astype(np.float32)
# Which waves are as long as one another, by whole numbers of them in a tile, and how many each of them stands for.
_RING = np.rint(np.hypot(np.minimum(_PLACES, TILE_PX - _PLACES)[:, None], _PLACES[:COLUMNS])).astype(int)  # SPECTRUM
_STANDS_FOR = np.broadcast_to(1.0 + ((_PLACES > 0) & (_PLACES < TILE_PX // 2))[:COLUMNS], SPECTRUM)
_IN_RING = np.bincount(_RING.ravel(), _STANDS_FOR.ravel())
# How much of a filter is kept at each of its places, so that it does not end abruptly.
_SIDE = 2 * REACH_PX + 1
_TAPER = np.minimum(1, TAPER * np.sin(np.pi / (_SIDE + 1) * np.arange(1, _SIDE + 1)) ** 2)
_TAPER = np.outer(_TAPER, _TAPER)


def spectrum_of(picture: Picture) -> Numbers:
    """RGB uint8 (h, w, 3), sides from TILE_PX, -> the logarithms of its luma's powers: SPECTRUM"""
    return _spectrum(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32))


def filter_to(own: Numbers, of_style: Numbers) -> NDArray[np.float64]:
    """What is to be added to a luma of the spectrum `own`, as a convolution of it: (side, side), whose sum is 0.

    own, of_style: see `spectrum_of`.
    """
    apart = of_style - own
    apart = apart - (np.bincount(_RING.ravel(), (_STANDS_FOR * apart).ravel()) / _IN_RING)[_RING]
    gains = np.exp(SHARE / 2 * apart).clip(LEAST_AMPLIFIED, MOST_AMPLIFIED)
    around = np.arange(-REACH_PX, REACH_PX + 1)
    kernel = np.fft.irfft2(gains, (TILE_PX, TILE_PX))[np.ix_(around, around)] * _TAPER
    kernel[REACH_PX, REACH_PX] -= 1
    # What the taper lets through of light and dark is taken away as the taper's own shape, which is no detail.
    return np.asarray(kernel - kernel.sum() / _TAPER.sum() * _TAPER, np.float64)


def step_rows(rows: int, columns: int) -> int:
    """Of so many tiles as there are in a picture, down and across: every how many rows of them are looked at."""
    return max(1, rows * columns // (STEP_TILES * ENOUGH_TILES))


class SpectrumMatcher:
    """Filters the luma of one stream's paintings. Not for several threads."""

    def __init__(self) -> None:
        self._settling, self._filter = Settling(_away, _CUT), Latest(filter_to)
        # New arrays would cost as much time as the arithmetic.
        self._change = np.empty((0, 0), np.uint8)
        self._values, self._filtered = (np.empty((0, 0), np.float32) for _ in range(2))

    def of(self, luma: Picture, of_style: NDArray[np.float32], strength: float, memory: float) -> Picture:
        """uint8 (h, w) -> what is to be added to it, and to all colours: uint8 (h, w) around ZERO, until the next call.

        of_style: SPECTRUM. strength: of the painting, 0..1: as much of the change. memory: see `engines.settling`. What
        is smaller than a tile stays as it is.
        """
        if self._change.shape != luma.shape:
            self._change = np.full_like(luma, ZERO)
            self._values, self._filtered = np.empty((2, *luma.shape), np.float32)
        if min(luma.shape) < TILE_PX:
            return self._change
        np.copyto(self._values, luma)
        own = self._settling.of(lambda: _spectrum(self._values), memory)
        kernel = strength * self._filter.of(own, of_style)
        # Of wider numbers, which takes OpenCV half of the time of bytes; then rounded, and cut off at the ends.
        cv2.filter2D(self._values, cv2.CV_32F, kernel, dst=self._filtered, borderType=cv2.BORDER_REPLICATE)
        cv2.addWeighted(self._filtered, 1, self._filtered, 0, ZERO, dst=self._change, dtype=cv2.CV_8U)
        return self._change

    def reset(self) -> None:
        """Forget the former paintings."""
        self._settling.reset()


def _spectrum(luma: NDArray[np.float32]) -> Numbers:
    """float32 (h, w) in 0..255 -> SPECTRUM"""
    rows, columns = luma.shape[0] // TILE_PX, luma.shape[1] // TILE_PX
    grid = luma[: rows * TILE_PX, : columns * TILE_PX].reshape(rows, TILE_PX, columns, TILE_PX)
    seen = grid[:: step_rows(rows, columns), :, ::STEP_TILES].transpose(0, 2, 1, 3)
    tiles = seen.reshape(-1, TILE_PX, TILE_PX)  # (n, TILE_PX, TILE_PX): a new array
    tiles -= np.tensordot(tiles, _WEIGHTS)[:, None, None]
    waves = (tiles.reshape(-1, TILE_PX) @ _ACROSS).reshape(-1, TILE_PX, 2 * COLUMNS)
    # One product of large matrices, which takes a part of the time of many small ones.
    waves = waves.transpose(1, 0, 2).reshape(TILE_PX, -1)
    cosines, sines = (_DOWN @ waves).reshape(2, ROWS, -1, 2 * COLUMNS)  # (ROWS, n, 2 COLUMNS) each
    real = cosines[..., :COLUMNS] - sines[..., COLUMNS:]
    imaginary = cosines[..., COLUMNS:] + sines[..., :COLUMNS]
    power = (real * real + imaginary * imaginary).mean(1)
    return np.asarray(np.log(power.astype(np.float64) + LEAST_POWER), np.float64)


def _away(own: Numbers, kept: Numbers) -> float:
    return float(np.abs(own - kept).mean())
