"""A picture through Gatys' optimisation: its size, its colours, and the memory it may take."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import InputError
from engines.training import gatys_picture
from engines.training.features import LAYERS
from engines.training.gatys import Step
from engines.training.gatys_picture import Painting, bytes_needed, bytes_there
from engines.training.gatys_recipe import Canvas, Recipe

RECIPE = Recipe(steps=6, scales=((1.0, 1.0),))


class Network:
    """One random layer under all names; remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.grey = True

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self.seen.append(tuple(images.shape[2:]))
        self.grey = self.grey and bool(torch.equal(images[:, 0], images[:, 2]))
        kernel = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(1))
        return dict.fromkeys(LAYERS, torch.nn.functional.conv2d(images, kernel, padding=1).relu())


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def nothing(step: Step) -> None:
    """Not watched."""


def test_a_large_photo_keeps_its_size_and_some_of_its_detail() -> None:
    photo, network = picture(400, 300), Network()
    photo[::2] //= 2  # lines that only the large photo shows
    work = Painting(photo, [(picture(90, 160, 1), 1.0)], RECIPE, Canvas(longest_px=100))
    assert work.size == (100, 75)
    painted = work.paint(network, nothing)
    assert painted.shape == photo.shape and painted.dtype == np.uint8
    assert set(network.seen) == {(100, 75), (65, 115)}  # the style has the painting's area
    lines = np.abs(np.diff(painted.astype(float), axis=0)).mean()
    own = np.abs(np.diff(photo.astype(float), axis=0)).mean()
    assert 0.25 * own < lines < 0.75 * own


def test_strokes_are_as_large_as_asked() -> None:
    network = Network()
    Painting(picture(80, 80), [(picture(40, 40, 1), 1.0)], RECIPE, Canvas(stroke=0.5)).paint(network, nothing)
    assert set(network.seen) == {(80, 80), (40, 40)}


def test_all_colours_kept_means_that_only_light_and_dark_are_painted() -> None:
    photo, style = picture(80, 96), picture(64, 64, 1)
    network = Network()
    kept = Painting(photo, [(style, 1.0)], RECIPE, Canvas(keep_colours=1.0)).paint(network, nothing)
    assert network.grey
    chroma = [cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(int) for image in (kept, photo)]
    inside = (kept.min(2) > 0) & (kept.max(2) < 255)
    assert np.abs(chroma[0] - chroma[1])[inside][:, 1:].max() <= 3
    assert np.abs(chroma[0] - chroma[1])[inside][:, 0].mean() > 0.5
    free = Painting(photo, [(style, 1.0)], RECIPE, Canvas()).paint(Network(), nothing)
    assert not np.array_equal(free, kept)


@pytest.mark.parametrize(
    ("canvas", "shape"),
    [
        (Canvas(), (1, 3, 90, 120)),
        (Canvas(longest_px=100), (1, 3, 75, 100)),
        (Canvas(keep_colours=1.0), (1, 1, 90, 120)),
    ],
)
def test_a_first_painting_is_seen_as_the_photo_is(canvas: Canvas, shape: tuple[int, ...]) -> None:
    photo, first, style = picture(90, 120), picture(90, 120, 2), picture(64, 64, 1)
    recipe = Recipe(steps=1, start="painting", scales=((1.0, 1.0),))
    told: list[Step] = []
    painted = Painting(photo, [(style, 1.0)], recipe, canvas).paint(Network(), told.append, first)
    assert told[0].best.shape == shape and painted.shape == photo.shape
    assert np.array_equal(painted, first) == (canvas == Canvas())


def test_a_painting_on_its_way_is_a_picture_of_the_photo_s_size() -> None:
    photo = picture(128, 96)
    work = Painting(photo, [(picture(64, 64, 1), 1.0)], Recipe(steps=4), Canvas())
    told: list[Step] = []
    work.paint(Network(), told.append)
    assert {tuple(step.best.shape[2:]) for step in told} == {(64, 48), (128, 96)}
    assert all(work.picture(step.best).shape == photo.shape for step in told)


def test_what_does_not_fit_the_memory_is_refused_before_anything_is_painted() -> None:
    photo, styles = picture(2000, 3000), [(picture(64, 64, 1), 1.0)]
    room = 3 * 2**30
    with pytest.raises(InputError, match=r"3000x2000 pixels takes about 5\.\d GB .* 3\.0 GB .* or --optimiser adam"):
        Painting(photo, styles, RECIPE, Canvas(longest_px=3000), room=room)
    Painting(photo, styles, RECIPE, Canvas(), room=room)
    assert bytes_needed(2000, 3000, "adam") < bytes_needed(2000, 3000, "lbfgs")
    assert (bytes_there("cpu") or 2**30) >= 2**20


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_is_told_in_a_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(gatys_picture, "paint", fail)
    with pytest.raises(InputError, match="does not suffice for 80x64 pixels; give a smaller --longest-side"):
        Painting(picture(64, 80), [(picture(64, 64, 1), 1.0)], RECIPE, Canvas()).paint(Network(), nothing)


def test_a_fault_of_ours_is_not_told_as_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(gatys_picture, "paint", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        Painting(picture(64, 80), [(picture(64, 64, 1), 1.0)], RECIPE, Canvas()).paint(Network(), nothing)


def test_a_tiny_picture_is_refused() -> None:
    with pytest.raises(InputError, match="the picture is 80x40; each side must have at least 64 pixels"):
        Painting(picture(40, 80), [(picture(64, 64, 1), 1.0)], RECIPE, Canvas())
