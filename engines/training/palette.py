"""How far a painting's colours are from its style picture's, wherever in the picture they stand."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 32
QUANTILES = 256
_SEED = 20150826


def quantile_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Sliced Wasserstein distance of the colours of two pictures, in units of CIE Lab; 0 = the same palette.

    Rabin et al. 2011 (Wasserstein Barycenter and its Application to Texture Mixing): the colours are projected on fixed
    directions, and along each the mean distance of equal quantiles is taken. A shift of all colours by v is told as
    about |v| / 2, the mean of |v · direction|. one, other: the pictures' `projected_quantiles`.
    """
    return float(np.abs(one - other).mean())


def projected_quantiles(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The quantiles of a picture's colours along each direction: (DIRECTIONS, QUANTILES), in units of CIE Lab.

    picture: RGB uint8 (height, width, 3), of any size.
    """
    colours = lab(picture).reshape(-1, 3)
    along = np.sort(_directions() @ colours.T, axis=1)  # (directions, pixels)
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES * along.shape[1] - 0.5
    known = np.arange(along.shape[1])
    return np.stack([np.interp(places, known, row) for row in along])


def lab(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RGB uint8 (height, width, 3) -> CIE Lab float32: L 0..100, a and b about -127..127 (sRGB, D65)."""
    scaled = np.asarray(picture, np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)


def _directions() -> NDArray[np.float32]:
    """Unit vectors spread evenly by chance over the sphere, always the same ones: (DIRECTIONS, 3)."""
    drawn = np.random.default_rng(_SEED).normal(size=(DIRECTIONS, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)
