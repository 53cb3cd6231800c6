from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engines.training.metrics import (  # noqa: E402
    CONTENT_LAYERS,
    STYLE_LAYERS,
    content_distance_of,
    style_distance_of,
)


class SmallNetwork(nn.Module):
    """Random features with the layer names of a loss network."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.stages = nn.ModuleList()
        for index in range(len(STYLE_LAYERS)):
            stage = nn.Conv2d(3 if index == 0 else 8, 8, 3, stride=1 if index == 0 else 2, padding=1)
            with torch.no_grad():
                stage.weight.copy_(torch.randn(stage.weight.shape, generator=generator) * 0.3)
                stage.bias.fill_(0.1)
            self.stages.append(stage)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        for name, stage in zip(STYLE_LAYERS, self.stages, strict=True):
            images = stage(images).relu()
            features[name] = images
        return features


def picture(seed: int, *, count: int = 1, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def features(images: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = SmallNetwork()(images)
    return seen


def test_a_picture_is_at_no_distance_from_itself() -> None:
    seen = features(picture(1, count=2))
    assert style_distance_of(seen, seen).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert content_distance_of(seen, seen).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_distances_grow_with_the_change() -> None:
    photo, other = picture(1), picture(2)
    mixed = [photo + weight * (other * 0.3 - photo) for weight in (0.0, 0.3, 0.6, 1.0)]
    for measure in (style_distance_of, content_distance_of):
        distances = [float(measure(features(mix), features(photo))) for mix in mixed]
        assert distances == sorted(distances)
        assert distances[-1] > 0.01


def test_style_distance_of_known_statistics() -> None:
    ones = {layer: torch.ones(1, 2, 4, 4) for layer in STYLE_LAYERS}
    checker = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2)
    style = {layer: ones[layer] + checker for layer in STYLE_LAYERS}
    painting = {layer: ones[layer] * 1.5 + checker for layer in STYLE_LAYERS}
    # Means 1.5 against 1: 0.25; deviations equal: 0; the mean of both is 0.125 in every layer.
    assert float(style_distance_of(painting, style)) == pytest.approx(0.125, abs=1e-6)


def test_style_distance_takes_one_style_for_many_paintings_of_another_size() -> None:
    assert style_distance_of(features(picture(1, count=3)), features(picture(2, side=48))).shape == (3,)


def test_content_distance_ignores_contrast_and_level() -> None:
    generator = torch.Generator().manual_seed(5)
    photo = {layer: torch.randn(1, 4, 8, 8, generator=generator) for layer in CONTENT_LAYERS}
    recoloured = {layer: values * 3.0 + 2.0 for layer, values in photo.items()}
    negated = {layer: -values for layer, values in photo.items()}
    assert float(content_distance_of(recoloured, photo)) == pytest.approx(0.0, abs=1e-5)
    assert float(content_distance_of(negated, photo)) == pytest.approx(4.0, abs=1e-3)
