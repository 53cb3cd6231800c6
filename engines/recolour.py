"""Colour first, in closed form: the map that moves a frame's mean and covariance to the style picture's.

What `engines.nets.colour` does for tensors, with statistics that change slowly from frame to frame. Of three numbers by
three it is better done here than in a graph, where it would be a hundred nodes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.pixels import every

# Added to both covariances: no direction of colour is amplified without bound, and equal pictures map to themselves.
RIDGE = 5e-4
_STEP_PX = 2  # every so many pixels are looked at
MOST_MEMORY = 0.9  # share of the last frame's statistics at smoothing 1


class Recolourer:
    """Makes the colour maps of one stream. Not for several threads."""

    def __init__(self) -> None:
        self._mean, self._covariance = np.zeros(3), np.zeros((3, 3))

    def of(self, image: NDArray[np.uint8], palette: NDArray[np.float32], hold: float) -> NDArray[np.float32]:
        """`see` and `map_to` in one, for a single style."""
        self.see(image, hold)
        return self.map_to(palette)

    def see(self, image: NDArray[np.uint8], hold: float) -> None:
        """Look at a frame, RGB uint8 (h, w, 3) of any size. hold: share of the former statistics that is kept, 0..1."""
        mean, covariance = statistics(image)
        self._mean = mean + hold * (self._mean - mean)
        self._covariance = covariance + hold * (self._covariance - covariance)

    def map_to(self, palette: NDArray[np.float32]) -> NDArray[np.float32]:
        """The map for the colours c, 0..255, of what was seen to the -1..1 that the network sees.

        palette: of the style, 12 numbers. Returns float32 (12,): a matrix A row by row and an offset b, A c + b.
        """
        numbers = palette.astype(np.float64).ravel()
        matrix, offset = transport(self._mean, self._covariance, numbers[:3], numbers[3:].reshape(3, 3))
        return np.concatenate([(matrix * (2 / 255)).ravel(), 2 * offset - 1]).astype(np.float32)


def statistics(
    image: NDArray[np.uint8], step_px: int = _STEP_PX, where: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (3,) and covariance (3, 3) of the colours, scaled to 0..1, of RGB uint8 (h, w, 3); with RIDGE.

    where: (ceil(h/step_px), ceil(w/step_px)), the places that count, if there are any.
    """
    # Plane by plane, which is ten times as fast as by pixels; around the middle grey, for the precision of fp32.
    planes = np.stack(cv2.split(every(image, step_px))).reshape(3, -1)
    if where is not None and where.any():
        planes = planes[:, where.ravel()]
    colours = planes.astype(np.float32) - 128
    mean = colours.mean(1).astype(np.float64)
    products = (colours @ colours.T).astype(np.float64) / colours.shape[1]
    return (mean + 128) / 255, (products - np.outer(mean, mean)) / 255**2 + RIDGE * np.eye(3)


def palette_of(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """The palette (12,) of colours of this mean (3,) and covariance (3, 3): the mean, the covariance's root by rows."""
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, RIDGE**2))) @ vectors.T
    return np.concatenate([mean, root.ravel()]).astype(np.float32)


def transport(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    style_mean: NDArray[np.float64],
    style_root: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (3, 3) and offset (3,) of the optimal map between two Gaussians; style_root: of the style's covariance.

    A = Cs^1/2 (Cs^1/2 Cc Cs^1/2)^-1/2 Cs^1/2 (Pitié & Kokaram 2007, "The linear Monge-Kantorovitch colour mapping").
    """
    values, vectors = np.linalg.eigh(style_root @ covariance @ style_root)
    inverse_root = (vectors / np.sqrt(np.maximum(values, RIDGE**2))) @ vectors.T
    matrix = style_root @ inverse_root @ style_root
    return matrix, style_mean - matrix @ mean
