"""How steady a painted video is: warping error and sharpness, measured with NumPy and OpenCV alone.

The warping error is the evaluation metric of Lai et al. 2018 (Learning Blind Video Temporal Consistency): the painted
frame is compared with the painted frame before it, moved along with the *source* video, where the motion can be
trusted. What can be trusted follows Ruder et al. 2016 (Artistic Style Transfer for Videos, after Sundaram et al. 2010):
flow forth and back must agree, and motion boundaries do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError

# A pair of frames of which less than this share can be followed is a cut, or as good as one: it has no warping error.
MIN_VISIBLE_SHARE = 0.2
# Below this share of moving pixels a frame has no moving part whose sharpness means anything.
MIN_MOVING_SHARE = 0.005
MOVING_PX = 1.0

Flow: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Image: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SourceMotion:
    """How the picture got from the frame before (t-1) to this one (t).

    flow: float32 (height, width, 2), pixels (x, y): where each pixel of frame t was in frame t-1.
    visible: bool (height, width): True where that can be trusted (not occluded, not at a motion boundary,
    inside the frame).
    """

    flow: Flow
    visible: Mask

    @property
    def is_cut(self) -> bool:
        """True where too little of the picture can be followed for a comparison to mean anything."""
        return float(self.visible.mean()) < MIN_VISIBLE_SHARE

    def moving(self, threshold_px: float = MOVING_PX) -> Mask:
        """Pixels that can be followed and move more than `threshold_px` a frame: bool (height, width)."""
        fast = np.hypot(self.flow[..., 0], self.flow[..., 1]) > threshold_px
        return np.asarray(fast & self.visible, dtype=np.bool_)


def flow_between(image: Image, other: Image) -> Flow:
    """Dense flow by OpenCV's DIS, medium preset, at full size: where each pixel of `image` lies in `other`.

    image, other: RGB uint8 (height, width, 3) of one size. Returns float32 (height, width, 2), pixels (x, y).
    """
    _check_pair(image, other)
    # A fresh one for every pair: a result shall not depend on what was measured before.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    other_luma = cv2.cvtColor(other, cv2.COLOR_RGB2GRAY)
    start = np.zeros((*luma.shape, 2), dtype=np.float32)
    return np.asarray(dis.calc(luma, other_luma, start), dtype=np.float32)


def warp(image: NDArray[np.generic], flow: Flow) -> NDArray[np.float32]:
    """Fetch every pixel from where `flow` says (bilinear, borders repeated).

    image: uint8 or float (height, width) or (height, width, channels). flow: float32 (height, width, 2) in pixels.
    Returns float32 of the shape of `image`, in its range.
    """
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    moved = cv2.remap(np.asarray(image, dtype=np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def trusted(flow: Flow, back: Flow) -> Mask:
    """Where `flow` (this frame to the other) can be trusted, given `back` (the other to this): bool (height, width).

    The criteria of Ruder et al. 2016: not trusted where |w + w'|² > 0.01 (|w|² + |w'|²) + 0.5, w' being the way back
    from where w leads (occlusion), where |∇u|² + |∇v|² > 0.01 |w|² + 0.002 (motion boundary), or outside the frame.
    """
    height, width = flow.shape[:2]
    returned = warp(back, flow)
    length = (flow**2).sum(axis=-1)
    mismatch = ((flow + returned) ** 2).sum(axis=-1)
    agrees = mismatch <= 0.01 * (length + (returned**2).sum(axis=-1)) + 0.5
    gradient = np.zeros((height, width), dtype=np.float32)
    for axis in (0, 1):
        for component in (0, 1):
            gradient += np.asarray(np.gradient(flow[..., component], axis=axis), dtype=np.float32) ** 2
    smooth = gradient <= 0.01 * length + 0.002
    x = np.arange(width)[None, :] + flow[..., 0]
    y = np.arange(height)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.asarray(agrees & smooth & inside, dtype=np.bool_)


def source_motion(previous: Image, current: Image) -> SourceMotion:
    """The motion from frame t-1 (`previous`) to frame t (`current`), both RGB uint8 (height, width, 3).

    Raises InputError where their shapes or types differ.
    """
    flow = flow_between(current, previous)
    return SourceMotion(flow, trusted(flow, flow_between(previous, current)))


def warping_error(painted_previous: Image, painted: Image, motion: SourceMotion) -> float:
    """Mean squared difference of `painted` and the moved `painted_previous`, × 1000, over what can be trusted.

    painted_previous, painted: RGB uint8 (height, width, 3); the values are compared as 0..1, all channels alike.
    Returns nan where nothing can be trusted. Raises InputError for sizes that differ.
    """
    _check_pair(painted_previous, painted)
    if painted.shape[:2] != motion.flow.shape[:2]:
        raise InputError(f"a painting is {painted.shape[:2]}, its motion {motion.flow.shape[:2]}; they must be equal")
    if not motion.visible.any():
        return float("nan")
    difference = painted.astype(np.float32) - warp(painted_previous, motion.flow)
    return float((difference[motion.visible].astype(np.float64) ** 2).mean() / 255.0**2 * 1000.0)


def sharpness(image: Image, where: Mask | None = None) -> float:
    """Variance of the Laplacian (3x3) of the luma 0..255 of an RGB uint8 (height, width, 3) image.

    where: bool (height, width), the pixels that count; None: all. Returns nan where none counts.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    laplacian = np.asarray(cv2.Laplacian(luma, cv2.CV_32F), dtype=np.float64)
    values = laplacian if where is None else laplacian[where]
    return float(values.var()) if values.size else float("nan")


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What one painted clip measures; each figure is the mean over its frames.

    warping_error: mean squared x 1000 (values 0..1). sharpness, sharpness_moving: variance of the Laplacian.
    A figure without a frame to measure it on is nan. pairs: frame pairs measured; cuts: pairs left out as cuts.
    """

    warping_error: float
    sharpness: float
    sharpness_moving: float
    pairs: int
    cuts: int


class SteadinessMeter:
    """Measures a painted clip frame by frame. Give it the frames in their order; it keeps only the last painting."""

    def __init__(self) -> None:
        self._last: Image | None = None
        self._errors: list[float] = []
        self._sharp: list[float] = []
        self._sharp_moving: list[float] = []
        self._cuts = 0

    def add(self, painted: Image, motion: SourceMotion | None) -> None:
        """Take the next painting and the source's motion that leads to it (None for the first frame of a clip)."""
        self._sharp.append(sharpness(painted))
        if motion is not None and self._last is not None:
            if motion.is_cut:
                self._cuts += 1
            else:
                self._errors.append(warping_error(self._last, painted, motion))
                moving = motion.moving()
                if moving.mean() >= MIN_MOVING_SHARE:
                    self._sharp_moving.append(sharpness(painted, moving))
        self._last = painted

    def result(self) -> Steadiness:
        """The figures so far."""
        return Steadiness(
            _mean(self._errors), _mean(self._sharp), _mean(self._sharp_moving), len(self._errors), self._cuts
        )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _check_pair(one: Image, other: Image) -> None:
    if one.shape != other.shape or one.dtype != np.uint8 or other.dtype != np.uint8 or one.ndim != 3:
        raise InputError(
            f"two frames are {one.dtype} {one.shape} and {other.dtype} {other.shape};"
            " both must be uint8 (height, width, 3) of one size"
        )
