from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from grain import picture
from numpy.typing import NDArray

from engines.bands import FINE, bands_of
from engines.nets import finish
from engines.nets import whole_graph as wg
from engines.recolour import MOST_MEMORY
from engines.sharpening import LEAST_GAIN, MOST_GAIN, Sharpener, gain_to

AS_IT_IS = np.concatenate([np.eye(3).ravel() * 2 / 255, -np.ones(3)]).astype(np.float32)
HALF = AS_IT_IS / 2


def fine(image: NDArray[np.uint8]) -> float:
    return float(bands_of(image)[FINE].mean())


def sharpened(
    frame: NDArray[np.uint8],
    style: NDArray[np.uint8],
    colour_map: NDArray[np.float32] = AS_IT_IS,
    strength: float = 1.0,
    memory: float = 0.0,
    sharpener: Sharpener | None = None,
) -> NDArray[np.uint8]:
    sharpener = sharpener or Sharpener()
    sharpener.see(frame)
    goal = bands_of(style).astype(np.float32)
    return sharpener.of(frame, lambda: gain_to(sharpener.places(frame), colour_map, goal), strength, memory).copy()


@pytest.mark.parametrize(("own", "style"), [(8, 10), (11, 6)])
def test_a_frame_gets_its_styles_fine_detail(own: float, style: float) -> None:
    frame, goal = picture(own), picture(style, 1)
    assert abs(fine(sharpened(frame, goal)) / fine(goal) - 1) < 0.1 < abs(fine(frame) / fine(goal) - 1)


def test_detail_is_measured_as_the_network_sees_it() -> None:
    # Colours drawn together by the map: there is half of the detail that the frame itself has.
    frame, sharpener, goal = picture(8), Sharpener(), bands_of(picture(8, 1)).astype(np.float32)
    sharpener.see(frame)
    half, whole = (gain_to(sharpener.places(frame), colour_map, goal) for colour_map in (HALF, AS_IT_IS))
    assert half / whole == pytest.approx(2, rel=0.1)


def test_gains_have_bounds() -> None:
    frame, sharpener = picture(12), Sharpener()
    sharpener.see(frame)
    soft = cv2.GaussianBlur(frame, (5, 5), 1.1, borderType=cv2.BORDER_REPLICATE).astype(float)
    for bound, beyond in ((LEAST_GAIN, 0.5 * LEAST_GAIN), (MOST_GAIN, 2 * MOST_GAIN)):
        for gain in (bound, beyond):
            ours = sharpener.of(frame, lambda gain=gain: gain, 1.0, 0.0)
            assert np.abs(ours - (soft + bound * (frame - soft))).max() <= 1


def test_strength_is_the_share_of_it() -> None:
    frame, goal = picture(6), picture(12, 1)
    assert np.array_equal(sharpened(frame, goal, strength=0.0), frame)
    none, half, whole = (fine(sharpened(frame, goal, strength=s)) for s in (0.0, 0.5, 1.0))
    assert half == pytest.approx((none + whole) / 2, rel=0.03)


def test_what_is_flat_stays_so() -> None:
    flat = np.full((120, 160, 3), 90, np.uint8)
    assert np.array_equal(sharpened(flat, picture(12)), flat)


def test_gains_change_slowly_and_at_once_with_the_scene() -> None:
    goal, first, second, other = picture(9, 5), picture(8), picture(10, 1), picture(24, 2)
    smooth = Sharpener()
    sharpened(first, goal, memory=MOST_MEMORY, sharpener=smooth)
    slowly = sharpened(second, goal, memory=MOST_MEMORY, sharpener=smooth)
    assert fine(slowly) > 1.05 * fine(sharpened(second, goal, memory=MOST_MEMORY))
    cut = sharpened(other, goal, memory=MOST_MEMORY, sharpener=smooth)
    assert np.array_equal(cut, sharpened(other, goal, memory=MOST_MEMORY))
    smooth.reset()
    assert np.array_equal(
        sharpened(second, goal, memory=MOST_MEMORY, sharpener=smooth), sharpened(second, goal, memory=MOST_MEMORY)
    )


@pytest.mark.parametrize("size", [(16, 16), (67, 31), (128, 200)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    frame = np.ascontiguousarray(cv2.resize(picture(8), size[::-1]))
    assert sharpened(frame, picture(12)).shape == (*size, 3)


def test_tensors_get_the_same_in_training_and_on_a_gpu() -> None:
    frames, goals = [picture(6), picture(14)], [picture(12, 1), picture(7, 2)]
    strengths = (1.0, 0.4)
    ours = np.stack(
        [sharpened(f, g, HALF, s).transpose(2, 0, 1) for f, g, s in zip(frames, goals, strengths, strict=True)]
    )
    images = torch.from_numpy(np.stack([frame.transpose(2, 0, 1) for frame in frames])).float()
    bands = torch.from_numpy(np.stack([bands_of(goal) for goal in goals])).float()
    device = wg.sharpened(images, torch.from_numpy(np.stack([HALF] * 2)), bands, torch.tensor(strengths)).numpy()
    assert np.abs(device - ours).max() <= 2
    matrices = torch.eye(3).expand(2, 3, 3) / 2
    whole = 255 * finish.sharpened(images / 255, matrices, bands).numpy()
    assert np.abs(whole[0] - ours[0]).mean() < 0.8 and np.abs(whole[0] - ours[0]).max() < 6  # bytes, in between too


def test_the_gradient_passes() -> None:
    image = torch.rand(2, 3, 24, 24, requires_grad=True)
    bands = finish.bands(torch.rand(2, 3, 24, 24))
    finish.sharpened(image, torch.eye(3).expand(2, 3, 3), bands).square().sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and (image.grad.abs().sum((1, 2, 3)) > 0).all()
