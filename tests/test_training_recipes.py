"""Every method names a network that can be built and losses that the program knows."""

from __future__ import annotations

import pytest

from engines.nets import catalogue
from engines.training.recipes import LOSSES, RECIPES, STEADY


@pytest.mark.parametrize("method", RECIPES)
def test_a_recipe_is_whole(method: str) -> None:
    recipe = RECIPES[method]
    catalogue.configuration(recipe.network)
    assert set(recipe.weights) <= set(LOSSES)
    assert {"content", "style", "variation"} <= set(recipe.weights)
    assert all(weight >= 0 for weight in recipe.weights.values()) and recipe.warm_up > 0


def test_every_network_has_a_method() -> None:
    assert {recipe.network for recipe in RECIPES.values()} == set(catalogue.names())


def test_reconet_is_johnsons_losses_and_its_own_two() -> None:
    own = RECIPES["reconet"].weights.keys() - RECIPES["johnson"].weights.keys()
    assert own == {"feature_temporal", "output_temporal"} < STEADY
    assert RECIPES["adain-steady"].weights.keys() - RECIPES["adain"].weights.keys() == own
