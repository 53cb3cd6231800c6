from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.training.edges import edge_similarity

Image = NDArray[np.uint8]


def drawing(shift: int = 0) -> Image:
    image = np.full((96, 128, 3), 60, np.uint8)
    cv2.circle(image, (50 + shift, 48), 28, (200, 180, 90), -1)
    cv2.rectangle(image, (80 + shift, 20), (118, 80), (20, 120, 220), -1)
    return image


def test_the_same_edges_are_one_whatever_the_tone() -> None:
    assert edge_similarity(drawing(), drawing()) == pytest.approx(1)
    assert edge_similarity(255 - drawing(), drawing()) == pytest.approx(1)


def test_the_more_the_outlines_differ_the_less_they_are_alike() -> None:
    found = [edge_similarity(drawing(shift), drawing()) for shift in (0, 2, 6)]
    assert found == sorted(found, reverse=True) and found[-1] < 0.9
    noise = np.random.default_rng(0).integers(0, 256, drawing().shape, dtype=np.uint8)
    assert abs(edge_similarity(noise, drawing())) < 0.2
