"""Pictures whose fine detail is known."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(grain: float, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain of this deviation, RGB uint8 (120, 160, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(70, 186, (4, 5, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + random.normal(0, grain, smooth.shape), 0, 255).astype(np.uint8)
