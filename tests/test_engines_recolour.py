from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.nets import colour
from engines.recolour import Recolourer, statistics

PALETTE = np.concatenate([[0.6, 0.4, 0.3], [0.2, 0.05, 0.0, 0.05, 0.15, 0.02, 0.0, 0.02, 0.1]]).astype(np.float32)


def picture(seed: int, most: int = 256) -> NDArray[np.uint8]:
    """Blocks of one colour, so that every second pixel has the statistics of all."""
    blocks = np.random.default_rng(seed).integers(0, most, (12, 15, 3), dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(4, 0).repeat(4, 1))


def mapped(image: NDArray[np.uint8], colour_map: NDArray[np.float32]) -> NDArray[np.float64]:
    colours = image.reshape(-1, 3).astype(np.float64)
    return colours @ colour_map[:9].reshape(3, 3).T.astype(np.float64) + colour_map[9:]


@pytest.mark.parametrize("most", [256, 40, 2])
def test_it_is_the_map_that_training_computes(most: int) -> None:
    image = picture(0, most)
    tensor = torch.tensor(image).permute(2, 0, 1)[None].double() / 255
    mean, covariance = colour.statistics(tensor)
    ours = statistics(image)
    np.testing.assert_allclose(ours[0], mean[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(ours[1], covariance[0].numpy(), atol=1e-6)
    palette = torch.tensor(PALETTE).double()[None]
    matrix, offset = colour.transport(mean, covariance, palette[:, :3], palette[:, 3:].reshape(1, 3, 3))
    wanted = 2 * (matrix[0] @ tensor[0].flatten(1)).T.numpy() + 2 * offset.numpy() - 1
    np.testing.assert_allclose(mapped(image, Recolourer().of(image, PALETTE, 0.0)), wanted, atol=2e-3)


def test_the_style_s_statistics_come_out() -> None:
    image = picture(1)
    seen = 0.5 + 0.5 * mapped(image, Recolourer().of(image, PALETTE, 0.0))
    root = PALETTE[3:].reshape(3, 3)
    np.testing.assert_allclose(seen.mean(0), PALETTE[:3], atol=1e-4)
    np.testing.assert_allclose(np.cov(seen.T, bias=True), root @ root, atol=2e-3)


def test_statistics_are_held_by_as_much_as_is_asked() -> None:
    first, second = picture(2), picture(3, 90)
    recolourer = Recolourer()
    kept = recolourer.of(first, PALETTE, 0.0)
    assert np.array_equal(recolourer.of(second, PALETTE, 1.0), kept)
    halfway = recolourer.of(second, PALETTE, 0.5)
    fresh = recolourer.of(second, PALETTE, 0.0)
    assert np.array_equal(fresh, Recolourer().of(second, PALETTE, 0.0))
    assert np.abs(halfway - kept).max() > 1e-3 and np.abs(halfway - fresh).max() > 1e-3
