"""Pictures whose fine detail is known, and what is measured of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bands import FINE, bands_of


def picture(grain: float, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain of this deviation, RGB uint8 (120, 160, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(70, 186, (4, 5, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + random.normal(0, grain, smooth.shape), 0, 255).astype(np.uint8)


def fine_luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How strong the fine band of a picture's luma is, RGB uint8 (h, w, 3): the quantiles of `engines.bands.LEVELS`."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(bands_of(np.repeat(luma[..., None], 3, 2))[FINE, 0], np.float64)
