from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engines.training import losses
from engines.training.features import LAYERS
from engines.training.gatys import Step, optimise, paint
from engines.training.gatys_recipe import Recipe


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


def small_pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, 32, 40, generator=generator), torch.rand(1, 3, 36, 36, generator=generator) ** 3


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["photo", "noise"])
def test_every_way_comes_nearer_to_the_style(optimiser: str, start: str) -> None:
    photo, style = small_pictures()
    told: list[Step] = []
    recipe = Recipe(steps=40, optimiser=optimiser, start=start, rate=0.05)
    painted = paint(network, photo, [(style, 1.0)], recipe, tell=told.append)
    assert gram_distance(painted, style) < 0.5 * gram_distance(photo, style)
    last = [step for step in told if tuple(step.best.shape) == tuple(photo.shape)]
    assert [step.number for step in told] == list(range(1, len(told) + 1)) and len(told) <= 40
    assert len(last) < len(told)  # it was painted smaller before
    losses_told = [step.parts.loss for step in last]
    assert losses_told == sorted(losses_told, reverse=True)  # of the best so far
    assert torch.equal(painted, last[-1].best.clamp(0, 1))
    assert torch.equal(painted, paint(network, photo, [(style, 1.0)], recipe))


def test_noise_is_another_with_another_seed() -> None:
    photo, style = small_pictures()
    painted = [paint(network, photo, [(style, 1.0)], Recipe(steps=2, start="noise", seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(painted[0], painted[1]) and not torch.equal(painted[0], painted[2])


def test_a_painting_that_is_given_is_where_it_begins() -> None:
    photo, style = small_pictures()
    first = style[:, :, :32, :1].expand_as(photo).contiguous()
    told: list[Step] = []
    recipe = Recipe(steps=12, start="painting", scales=((1.0, 1.0),))
    painted = paint(network, photo, [(style, 1.0)], recipe, first=first, tell=told.append)
    assert torch.equal(told[0].best, first) and told[-1].parts.loss < told[0].parts.loss
    assert torch.equal(painted, told[-1].best.clamp(0, 1))


@pytest.mark.parametrize(("start", "given"), [("painting", False), ("photo", True)])
def test_a_first_painting_is_for_one_start_only(start: str, given: bool) -> None:
    photo, style = small_pictures()
    with pytest.raises(ValueError, match="a first painting is for 'painting'"):
        paint(network, photo, [(style, 1.0)], Recipe(steps=2, start=start), first=photo if given else None)


def test_several_styles_are_mixed_by_their_weights() -> None:
    photo, style = small_pictures()
    other = 1 - style
    shares = [
        paint(network, photo, [(style, a), (other, b)], Recipe(steps=20))
        for a, b in ((9.0, 1.0), (1.0, 1.0), (1.0, 9.0))
    ]
    to_style = [gram_distance(painted, style) for painted in shares]
    assert to_style == sorted(to_style)
    alone = paint(network, photo, [(style, 1.0)], Recipe(steps=20))
    assert torch.allclose(alone, paint(network, photo, [(style, 1.0), (style, 3.0)], Recipe(steps=20)), atol=1e-3)


def test_what_is_grey_is_painted_in_grey() -> None:
    photo, style = small_pictures()
    painted = paint(network, photo[:, :1], [(style[:, :1], 1.0)], Recipe(steps=10))
    assert painted.shape == (1, 1, 32, 40)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_few_steps_end_at_the_full_size(steps: int) -> None:
    photo, style = small_pictures()
    told: list[Step] = []
    recipe = Recipe(steps=steps, optimiser="adam", scales=((0.25, 0.5), (0.5, 0.3), (1.0, 0.2)))
    assert paint(network, photo, [(style, 1.0)], recipe, tell=told.append).shape == photo.shape
    assert len(told) == steps and told[-1].best.shape == photo.shape


def test_who_watches_can_end_it() -> None:
    def enough(step: Step) -> None:
        if step.number == 3:
            raise KeyboardInterrupt

    photo, style = small_pictures()
    with pytest.raises(KeyboardInterrupt):
        paint(network, photo, [(style, 1.0)], Recipe(), tell=enough)
