"""Marks that a network leaves and no painter would: a grid of its up-sampling, a frame along the picture's edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GRID_PX = 8  # the longest period that is looked for: that of three pixel-shuffles by 2
BORDER_PX = 4
INSIDE_PX = 16
_TOGETHER = 16  # lines that make a band
# How many bins off a grid frequency its neighbours are: outside the window's lobe, well inside the next harmonic.
_NEAR = (3, 13)

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]


def grid_energy(image: Image) -> float:
    """How far the grid frequencies stand out of the luma's spectrum: about 1 = not at all, 10 = plainly visible.

    The frequencies are the harmonics k / 8, k = 1 .. 4, per pixel along both axes: grids of period 8, 4 and 2 px (and
    8/3) have all their energy there (Odena et al. 2016, Deconvolution and Checkerboard Artifacts, tell where such
    grids come from). Every line of the picture is transformed by itself (Hann window), so that a grid counts that is
    stronger in some places than in others, and the geometric mean over bands of 16 lines is taken, so that a grid in
    smooth places, where it is seen, is not drowned by texture elsewhere. The power at each frequency is divided by
    what its neighbours let expect (a parabola through their logarithms), and the mean over frequencies and axes is
    told.

    image: RGB uint8 (height, width, 3), sides from 256 px (a shorter one has too few frequencies; then nan).
    """
    luma = _luma(image)
    ratios = [ratio for lines in (luma, luma.T) for ratio in _peaks(lines)]
    return float(np.mean(ratios)) if ratios else float("nan")


@dataclass(frozen=True, slots=True)
class BorderMark:
    """How the outermost 4 pixels differ from the 16 that follow, mean over the four sides.

    colour: mean |difference| of the mean R, G and B. gradient: |difference| of the mean step between neighbouring
    pixels' luma. Both in steps of 0..255. A photo or painting has a mark of its own, because its edge shows other
    things than its inside: it means something beside another picture's only.
    """

    colour: float
    gradient: float


def border_mark(image: Image) -> BorderMark:
    """image: RGB uint8 (height, width, 3), sides from 40 px."""
    colours, gradients = [], []
    for turn in range(4):
        turned = np.rot90(image, turn)
        edge, inside = turned[:BORDER_PX], turned[BORDER_PX : BORDER_PX + INSIDE_PX]
        means = edge.mean(axis=(0, 1)), inside.mean(axis=(0, 1))
        colours.append(float(np.abs(means[0] - means[1]).mean()))
        gradients.append(abs(_steps(edge) - _steps(inside)))
    return BorderMark(float(np.mean(colours)), float(np.mean(gradients)))


def _peaks(lines: Plane) -> list[float]:
    """At each harmonic: power there / power of its neighbours. lines: (lines, length)."""
    length = lines.shape[1] // GRID_PX * GRID_PX
    if length < 256:
        return []
    window = np.hanning(length + 1)[:-1]
    part = lines[:, :length]
    spectrum = np.fft.rfft((part - part.mean(axis=1, keepdims=True)) * window, axis=1)
    # Some lines together: of a single one's power the logarithm would say more of chance than of the picture.
    whole = spectrum.shape[0] // _TOGETHER * _TOGETHER
    bands = (np.abs(spectrum[:whole]) ** 2).reshape(-1, _TOGETHER, spectrum.shape[1]).mean(axis=1)
    # A flat band has no spectrum to stand out of: the noise of rounding to whole steps is taken as there.
    power = np.log(bands + (window**2).sum() / 12).mean(axis=0)  # (length / 2 + 1,)
    off = np.array([sign * far for far in range(*_NEAR) for sign in (-1, 1)])
    curve = np.stack([np.ones(off.size), off, off**2], axis=1)
    peaks = []
    for harmonic in range(1, GRID_PX // 2 + 1):
        at = harmonic * length // GRID_PX
        near = length // 2 - np.abs(length // 2 - (at + off))  # beyond the highest frequency the spectrum is mirrored
        without_grid = np.linalg.lstsq(curve, power[near], rcond=None)[0][0]
        peaks.append(float(np.exp(power[at] - without_grid)))
    return peaks


def _steps(strip: Image) -> float:
    """Mean |difference| of neighbouring pixels' luma along both axes, none of them outside the strip."""
    luma = _luma(strip)
    return float((np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()) / 2)


def _luma(image: Image) -> Plane:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.float64)
