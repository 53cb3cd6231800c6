"""Views drawn anew: parts, mirrored and turned; style pictures in other colours, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engines.training import views


def noise(n: int, side: int = 24) -> Tensor:
    return torch.rand(1, 3, side, side).expand(n, 3, side, side)


@pytest.mark.parametrize("draw", [views.of_photos, views.of_styles])
def test_views_are_pictures_of_the_same_size_and_the_same_for_a_seed(draw: Callable[[Tensor], Tensor]) -> None:
    pictures, drawn = noise(16), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(draw(pictures))
    assert all(view.shape == pictures.shape and view.min() >= 0 and view.max() <= 1 for view in drawn)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_photos_stay_upright_and_keep_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "WHOLE", 1.0)
    pictures = noise(16)
    assert {ways_of(view, pictures[0]) for view in views.of_photos(pictures)} == {("0",), ("0 mirrored",)}


def test_style_pictures_are_turned_by_quarters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WHOLE": 1.0, "TURNED": 1.0, "AS_THEY_ARE": 1.0}.items():
        monkeypatch.setattr(views, name, value)
    pictures = noise(64)
    found = {ways_of(view, pictures[0]) for view in views.of_styles(pictures)}
    assert found == {(way,) for way in dihedral(pictures[0])}


def test_parts_are_no_smaller_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "WHOLE", 0.0)
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).expand(64, 3, 64, 64)
    seen = views.of_photos(ramp)[:, 0, 32]
    share = (seen[:, 48] - seen[:, 16]).abs() / (32 / 63)  # the slope of the ramp
    assert views.LEAST_SHARE - 1e-3 < share.min() < 0.8 and 0.95 < share.max() < 1 + 1e-3


def test_hues_turn_and_grey_stays_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AS_THEY_ARE": 0.0, "INVERTED": 0.0}.items():
        monkeypatch.setattr(views, name, value)
    grey = torch.full((8, 3, 8, 8), 0.3)
    torch.testing.assert_close(views.of_styles(grey), grey, atol=1e-3, rtol=0)
    red = grey + torch.tensor([0.2, 0.0, 0.0])[:, None, None]
    hues = {int(view[:, 4, 4].argmax()) for view in views.of_styles(red)}
    assert hues == {0, 1, 2}


def test_light_and_dark_may_change_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AS_THEY_ARE": 0.0, "INVERTED": 1.0}.items():
        monkeypatch.setattr(views, name, value)
    grey = torch.full((4, 3, 8, 8), 0.2)
    torch.testing.assert_close(views.of_styles(grey), 1 - grey, atol=1e-3, rtol=0)


def dihedral(picture: Tensor) -> dict[str, Tensor]:
    """All eight ways to turn and mirror a square (3, h, h)."""
    turned = {str(k): torch.rot90(picture, k, (1, 2)) for k in range(4)}
    return turned | {f"{name} mirrored": way.flip(2) for name, way in turned.items()}


def ways_of(view: Tensor, picture: Tensor) -> tuple[str, ...]:
    """In which of the `dihedral` ways a view shows the picture."""
    return tuple(name for name, way in dihedral(picture).items() if torch.allclose(view, way, atol=1e-4))
