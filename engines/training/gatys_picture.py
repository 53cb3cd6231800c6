"""A picture painted by Gatys' optimisation: from pictures to tensors and back, at any size, within the memory there is.

A picture is optimised at a size that is asked for, with its longer side at most so many pixels. A larger one is painted
smaller, enlarged, and gets half of its own fine detail back, as frames of a video do (`engines.working`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engines.api import MIN_SIDE_PX
from engines.chroma import with_colours_of
from engines.errors import InputError
from engines.nets.finish import luma
from engines.training import gatys_loss
from engines.training.evaluation import to_image, to_tensor
from engines.training.gatys import Step, paint
from engines.training.gatys_recipe import Canvas, Recipe, painting_size
from engines.training.metrics import FeatureNetwork
from engines.working import Working

Image = NDArray[np.uint8]
# Measured with VGG-16 (VGG-19 takes as much): the layers' activations and gradients for a pixel of a tile, and, for a
# pixel of the painting, the pairs of pictures that L-BFGS remembers (or Adam's two), the targets' features, and
# pictures in passing.
TILE_BYTES_PX = 3000
PAINTING_BYTES_PX = {"lbfgs": 750, "adam": 300}
_LEAST_STYLE_PX = 32
_EPS = 1e-4


def bytes_needed(height: int, width: int, optimiser: str) -> int:
    """About the memory that optimising a picture of this size takes, beside the program's own."""
    seen = min(height * width, gatys_loss.WHOLE_PX)
    return seen * TILE_BYTES_PX + height * width * PAINTING_BYTES_PX[optimiser]


def bytes_there(device: str) -> int | None:
    """Memory that can be had now on a device; None where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


class Painting:
    """One photo on its way to being painted."""

    def __init__(
        self,
        photo: Image,
        styles: Sequence[tuple[Image, float]],
        recipe: Recipe,
        canvas: Canvas,
        *,
        device: str = "cpu",
        room: int | None = None,
    ) -> None:
        """photo, styles: RGB uint8 (height, width, 3) of any sizes, each style with its weight above 0.

        room: bytes of memory that may be used; None: not known. Raises InputError: the picture is too small, or too
        large at this size for the memory.
        """
        height, width = photo.shape[:2]
        if min(height, width) < MIN_SIDE_PX:
            raise InputError(f"the picture is {width}x{height}; each side must have at least {MIN_SIDE_PX} pixels")
        self.size = painting_size(height, width, canvas.longest_px)
        needed = bytes_needed(*self.size, recipe.optimiser)
        if room is not None and needed > room:
            raise InputError(
                f"painting {self.size[1]}x{self.size[0]} pixels takes about {needed / 2**30:.1f} GB of memory, and "
                f"{room / 2**30:.1f} GB are there; give a smaller --longest-side"
                + (" or --optimiser adam" if recipe.optimiser == "lbfgs" else "")
            )
        self._recipe, self._canvas, self._device = recipe, canvas, device
        self._photo = photo
        self._small = _resized(photo, *self.size)
        self._styles = [(_style_of(style, self.size, canvas.stroke), weight) for style, weight in styles]

    def paint(self, network: FeatureNetwork, tell: Callable[[Step], object], first: Image | None = None) -> Image:
        """Optimise it. tell: called after every evaluation. Returns RGB uint8 of the photo's size.

        network: on the painting's device. first: of the photo's size, what a recipe that starts with a painting begins
        with; for others None. Raises InputError: the memory did not suffice.
        """
        photo, styles = to_tensor(self._small), [(to_tensor(style), weight) for style, weight in self._styles]
        begun = None if first is None else to_tensor(_resized(first, *self.size))
        if self._canvas.keep_colours == 1:
            photo = luma(photo)
            begun = None if begun is None else _matched(luma(begun), photo)
            styles = [(_matched(luma(style), photo), weight) for style, weight in styles]
        device = torch.device(self._device)
        try:
            found = paint(
                network,
                photo.to(device),
                [(style.to(device), weight) for style, weight in styles],
                self._recipe,
                first=None if begun is None else begun.to(device),
                tell=tell,
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._too_large() from error
        except RuntimeError as error:
            # The CPU's allocator has no error of its own.
            if "allocate memory" not in str(error):
                raise
            raise self._too_large() from error
        return self.picture(found)

    def picture(self, painting: Tensor) -> Image:
        """What the photo looks like with a painting of any size it went through. Returns RGB uint8 of its own size."""
        if tuple(painting.shape[2:]) != self.size:
            painting = F.interpolate(painting, self.size, mode="bicubic", align_corners=False)
        painted = to_image(painting.expand(-1, 3, -1, -1))
        painted = Working().finish(self._photo, self._small, painted, 1.0)
        return with_colours_of(self._photo, painted, self._canvas.keep_colours)

    def _too_large(self) -> InputError:
        height, width = self.size
        return InputError(f"the memory does not suffice for {width}x{height} pixels; give a smaller --longest-side")


def _style_of(style: Image, size: tuple[int, int], stroke: float) -> Image:
    """The style picture with the painting's area, times the square of the strokes' size."""
    height, width = style.shape[:2]
    scale = max(stroke * math.sqrt(size[0] * size[1] / (height * width)), _LEAST_STYLE_PX / min(height, width))
    return _resized(style, round(height * scale), round(width * scale))


def _resized(picture: Image, height: int, width: int) -> Image:
    if picture.shape[:2] == (height, width):
        return picture
    smaller = height < picture.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def _matched(style: Tensor, photo: Tensor) -> Tensor:
    """A style's or painting's light and dark with the photo's mean and deviation."""
    return (style - style.mean()) * (photo.std() / (style.std() + _EPS)) + photo.mean()
