"""Even phases: an up-sampling whose four phases are equally sharp, at the least change of what it gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.nets.blocks import UpConv
from engines.training.artefacts import grid_energy
from engines.training.evaluation import to_image
from engines.training.even_phases import Patches, evened, phase_powers


def features(seed: int, side: int = 24) -> Tensor:
    """Soft and sharp channels, of different strengths (2, 6, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, 6, side, side, generator=generator)
    soft = F.avg_pool2d(F.pad(noise, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return F.relu(torch.cat([soft[:, :3] * 4, noise[:, 3:] * 0.3], 1))


@pytest.fixture
def layer() -> UpConv:
    """One whose kernels look to the right only: nothing in training forbids that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        layer = UpConv(6, 3).requires_grad_(requires_grad=False)
    layer.weight[:, :, :, 0] = 0
    return layer


def test_all_four_phases_become_equally_sharp(layer: UpConv) -> None:
    seen = Patches.of(features(seed) for seed in range(4))
    before = phase_powers(layer, seen)
    assert before.amax() > 1.2
    assert before.amin() < 0.8
    layer.weight.copy_(evened(layer, seen))
    assert torch.allclose(phase_powers(layer, seen), torch.ones(3, 4).double(), atol=1e-4)


def test_on_what_was_not_seen_too(layer: UpConv) -> None:
    layer.weight.copy_(evened(layer, Patches.of(features(seed) for seed in range(8))))
    assert torch.allclose(
        phase_powers(layer, Patches.of([features(99, side=64)])), torch.ones(3, 4).double(), atol=0.05
    )


def test_clipping_draws_no_grid_any_more(layer: UpConv) -> None:
    def grid(x: Tensor) -> float:
        painting = layer(x)
        return grid_energy(to_image(painting - painting.mean((2, 3), keepdim=True)))  # half of it is clipped

    x = features(5, side=160)[:1]
    assert grid(x) > 1.3
    layer.weight.copy_(evened(layer, Patches.of(features(seed) for seed in range(8))))
    assert grid(x) < 1.1


def test_the_picture_stays_what_it_was(layer: UpConv) -> None:
    x = features(7)
    before = layer(x)
    layer.weight.copy_(evened(layer, Patches.of(features(seed) for seed in range(8))))
    change = (layer(x) - before).square().mean() / before.var()
    symmetric = UpConv(6, 3)
    symmetric.weight.data = 0.5 * (layer.weight + layer.weight.flip(3))
    assert change < 0.02
    assert change < 0.25 * (symmetric(x) - before).square().mean() / before.var()


def test_the_change_is_the_least_of_what_the_layer_gives(layer: UpConv) -> None:
    """Not of the detail in it alone, which soft channels have little of."""
    seen = Patches.of(features(seed) for seed in range(8))
    x = torch.cat([features(seed, side=64) for seed in range(8)])
    x = x / x.square().mean((1, 2, 3), keepdim=True).sqrt()  # each counts alike
    former, before = layer.weight.clone(), layer(x)
    changes = []
    for least in (seen.whole, seen.detail):
        layer.weight.copy_(former)
        layer.weight.copy_(evened(layer, Patches(least, seen.detail)))
        changes.append((layer(x) - before).var(correction=0).item())
    assert changes[0] < 0.95 * changes[1]


def test_what_is_even_already_is_left_alone() -> None:
    layer = UpConv(6, 3).requires_grad_(requires_grad=False)
    seen = Patches.of(features(seed) for seed in range(4))
    layer.weight.copy_(evened(layer, seen))
    assert torch.allclose(evened(layer, seen), layer.weight, atol=1e-4)


def test_the_strength_of_one_picture_does_not_matter(layer: UpConv) -> None:
    ones = evened(layer, Patches.of([features(1), features(2)]))
    assert torch.allclose(ones, evened(layer, Patches.of([features(1), 100 * features(2)])), atol=1e-5)


def test_nothing_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was seen"):
        Patches.of([])
