from __future__ import annotations

import torch
from torch import Tensor

from engines.training import losses
from engines.training.features import LAYERS
from engines.training.gatys import optimise


def network(images: Tensor) -> dict[str, Tensor]:
    """Two random layers under all names: enough to have a content and a style."""
    generator = torch.Generator().manual_seed(1)
    kernels = torch.randn(6, 3, 3, 3, generator=generator), torch.randn(6, 6, 3, 3, generator=generator)
    first = torch.nn.functional.conv2d(images, kernels[0], padding=1).relu()
    second = torch.nn.functional.conv2d(first, kernels[1], padding=1, stride=2).relu()
    return {name: first if place < 2 else second for place, name in enumerate(LAYERS)}


def gram_distance(image: Tensor, style: Tensor) -> float:
    found, wanted = network(image), network(style)
    return float(sum(losses.style_gram(found[name], losses.gram(wanted[name])) for name in LAYERS))


def test_the_painting_takes_on_the_style_and_keeps_the_content() -> None:
    generator = torch.Generator().manual_seed(0)
    photo, style = torch.rand(1, 3, 24, 32, generator=generator), torch.rand(1, 3, 20, 20, generator=generator) ** 3
    told: list[int] = []
    painted = optimise(network, photo, style, steps=30, tell=lambda: told.append(1))
    assert painted.shape == photo.shape and 0 <= float(painted.min()) <= float(painted.max()) <= 1
    assert gram_distance(painted, style) < 0.3 * gram_distance(photo, style)
    layer = "relu4_1"
    to_photo = losses.relative(network(painted)[layer], network(photo)[layer])
    assert float(to_photo) < float(losses.relative(network(painted.flip(3))[layer], network(photo)[layer]))
    assert 25 <= len(told) <= 40
    assert torch.equal(painted, optimise(network, photo, style, steps=30))


def test_a_photo_in_its_own_style_stays_about_as_it_is() -> None:
    generator = torch.Generator().manual_seed(2)
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 3, 3, generator=generator), (32, 32), mode="bilinear")
    other = torch.rand(1, 3, 32, 32, generator=generator)
    own, foreign = (optimise(network, photo, style, steps=20) for style in (photo, other))
    assert float((own - photo).abs().mean()) < 0.03 < float((foreign - photo).abs().mean())
