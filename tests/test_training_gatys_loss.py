"""Gatys' loss: in tiles it is the loss of the whole, and its gradient too."""

from __future__ import annotations

import pytest
import torch

from engines.nets import vgg
from engines.nets.vgg import Vgg16, Vgg19
from engines.training import losses
from engines.training.features import LossNetwork
from engines.training.gatys_loss import GRID_PX, MARGIN_PX, WHOLE_PX, Wanted, tiles_of
from engines.training.gatys_recipe import Recipe

RECIPE = Recipe(
    content={"relu2_1": 1.0, "relu4_1": 2.0, "relu5_1": 1.0}, style={"relu1_1": 1.0, "relu3_1": 3.0, "relu5_1": 1.0}
)


@pytest.fixture(params=[Vgg16, Vgg19])
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LossNetwork:
    """VGG's own layers and what their places see, with few channels."""
    monkeypatch.setattr(vgg, "BLOCKS", tuple((24,) * len(widths) for widths in vgg.BLOCKS))
    found = LossNetwork(request.param())
    found.calibrate(torch.rand(2, 3, 64, 64))
    return found


def pictures(*sizes: tuple[int, int], channels: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(1, channels, *size, generator=generator) for size in sizes]


def test_the_loss_is_what_the_paper_says(network: LossNetwork) -> None:
    photo, painting, one, other = pictures((64, 80), (64, 80), (48, 50), (70, 40))
    parts = Wanted(network, photo, [(one, 0.25), (other, 0.75)], RECIPE).judge(painting.requires_grad_(True))
    with torch.no_grad():
        found, wanted, a, b = (network(picture) for picture in (painting, photo, one, other))
        content = sum(share / 4 * losses.relative(found[name], wanted[name]) for name, share in RECIPE.content.items())
        style = sum(
            share / 5 * losses.style_gram(found[name], 0.25 * losses.gram(a[name]) + 0.75 * losses.gram(b[name]))
            for name, share in RECIPE.style.items()
        )
    assert parts.content == pytest.approx(float(content), rel=1e-4)
    assert parts.style == pytest.approx(float(style), rel=1e-4)
    assert parts.loss == pytest.approx(parts.content + RECIPE.style_weight * parts.style, rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_give_the_loss_and_gradient_of_the_whole(network: LossNetwork, channels: int) -> None:
    height, width = 213, 187  # no multiples of the grid
    photo, painting, style = pictures((height, width), (height, width), (64, 50), channels=channels)
    found = []
    for tiles in (None, tiles_of(height, width, tile_px=4 * GRID_PX, whole_px=0)):
        leaf = painting.clone().requires_grad_(True)
        parts = Wanted(network, photo, [(style, 1.0)], RECIPE, tiles).judge(leaf)
        assert leaf.grad is not None
        found.append((parts, leaf.grad))
    (whole, gradient), (tiled, by_tiles) = found
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-4)
    # Rounding alone: what a tile's edge would change is hundreds of times as large.
    assert float((by_tiles - gradient).abs().max()) < 1e-4 * float(gradient.abs().max())


@pytest.mark.parametrize("size", [(700, 640), (1500, 3000), (64, 16_000), (1024, 1040)])
def test_tiles_cover_every_place_once_and_have_a_bound(size: tuple[int, int]) -> None:
    tiles = tiles_of(*size)
    covered = torch.zeros(size, dtype=torch.int8)
    for tile in tiles:
        top, bottom, left, right = tile.own
        covered[top:bottom, left:right] += 1
        assert top % GRID_PX == left % GRID_PX == tile.seen[0] % GRID_PX == tile.seen[2] % GRID_PX == 0
        assert (tile.seen[1] - tile.seen[0]) * (tile.seen[3] - tile.seen[2]) <= WHOLE_PX * 1.3
        assert all(
            abs(own - seen) >= MARGIN_PX or seen in (0, end)
            for own, seen, end in zip(tile.own, tile.seen, (0, size[0], 0, size[1]), strict=True)
        )
    assert bool((covered == 1).all())


def test_smoothness_is_a_part_of_the_loss(network: LossNetwork) -> None:
    photo, style = pictures((64, 64), (64, 64))
    rough = photo.clone().requires_grad_(True)
    plain = Wanted(network, photo, [(style, 1.0)], Recipe()).judge(rough)
    smooth = Wanted(network, photo, [(style, 1.0)], Recipe(total_variation=2.0)).judge(rough)
    assert smooth.loss - plain.loss == pytest.approx(2 * float(losses.total_variation(photo)), rel=1e-3)
