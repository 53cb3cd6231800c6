"""What can be chosen of Gatys' optimisation, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from engines.errors import InputError
from engines.training.features import LAYERS
from engines.training.gatys_recipe import LAYERS as OURS
from engines.training.gatys_recipe import Canvas, Recipe, layer_weights, painting_size, scales_for


def test_the_layers_are_the_loss_network_s() -> None:
    assert OURS == LAYERS


@pytest.mark.parametrize(
    ("made_of", "said"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"style_weight": -1.0}, "style-weight is -1"),
        ({"style_weight": float("nan")}, "style-weight is nan"),
        ({"total_variation": float("inf")}, "total-variation is inf"),
        ({"optimiser": "sgd"}, "known are: lbfgs, adam"),
        ({"start": "style"}, "known are: photo, noise, painting"),
        ({"content": {"relu4_2": 1.0}}, "no layer 'relu4_2'"),
        ({"style": {"relu1_1": 0.0}}, "one of them more"),
        ({"style": {}}, "one of them more"),
        ({"scales": ((0.5, 1.0),)}, "the last must be 1"),
        ({"scales": ((0.5, -3.0), (1.0, 4.0))}, "must be above 0 and at most 1"),
        ({"scales": ((2.0, 0.5), (1.0, 0.5))}, "must be above 0 and at most 1"),
        ({"scales": ((0.5, float("nan")), (1.0, 0.5))}, "must be above 0 and at most 1"),
        ({"rate": -1.0}, "rate is -1; it must be a number above 0"),
        ({"rate": 0.0}, "rate is 0"),
        ({"rate": float("nan")}, "rate is nan"),
    ],
)
def test_what_is_no_recipe_is_refused(made_of: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Recipe(**made_of)


@pytest.mark.parametrize(
    "made_of", [{"longest_px": 0}, {"longest_px": 20_000}, {"stroke": 3.0}, {"keep_colours": float("nan")}]
)
def test_what_is_no_canvas_is_refused(made_of: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(made_of)).split('_')[0]}"):
        Canvas(**made_of)


def test_sizes_go_from_coarse_to_fine() -> None:
    assert scales_for(64, 4000) == ((1.0, 1.0),)
    for size, coarsest in (((341, 512), 0.5), ((512, 512), 0.25), ((3000, 4000), 1 / 16)):
        scales, shares = zip(*scales_for(*size), strict=True)
        assert scales[0] == coarsest and scales[-1] == 1
        assert all(b == 2 * a for a, b in pairwise(scales))
        assert sum(shares) == pytest.approx(1)
        assert all(coarse > fine for coarse, fine in pairwise(shares))  # more steps where they cost less


def test_a_painting_is_never_larger_than_its_picture() -> None:
    assert painting_size(300, 400, 512) == (300, 400)
    assert painting_size(3000, 4000, 512) == (384, 512)
    assert painting_size(4000, 80, 512) == (3200, 64)  # the network needs something to see


def test_layers_are_read_as_they_are_written() -> None:
    assert layer_weights("relu4_1") == {"relu4_1": 1.0}
    assert layer_weights("relu1_1=2, relu3_1=0.5") == {"relu1_1": 2.0, "relu3_1": 0.5}
    for text, said in (
        ("relu4_2", "no layer 'relu4_2'; known are: relu1_1"),
        ("relu4_1=x", "'relu4_1=x' is no layer and share"),
        ("relu4_1=nan", "must be numbers from 0"),
        ("", "no layer ''"),
    ):
        with pytest.raises(InputError, match=said):
            layer_weights(text)
