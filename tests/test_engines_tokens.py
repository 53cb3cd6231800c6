from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.tokens import has_tokens, pooled_tokens, representatives, token_moments

Tensors = dict[str, NDArray[np.float32]]


def picture(seed: int, tokens: int = 16, mean: float = 0.0) -> Tensors:
    random = np.random.default_rng(seed)
    return {
        "keys": random.normal(mean, 1, (1, 4, tokens)).astype(np.float32),
        "values": random.normal(mean, 1, (1, tokens, 3)).astype(np.float32),
    }


def test_tokens_are_known_by_their_shapes() -> None:
    assert has_tokens(picture(0))
    assert not has_tokens({"mean": np.zeros(3, np.float32)})
    assert not has_tokens({**picture(0), "values": np.zeros((1, 5, 3), np.float32)})


def test_moments_do_not_depend_on_the_order() -> None:
    one = picture(1)
    order = np.random.default_rng(2).permutation(16)
    other = {"keys": one["keys"][:, :, order], "values": one["values"][:, order]}
    for name, moments in token_moments(one).items():
        assert np.allclose(moments, token_moments(other)[name])
    assert token_moments(one)["keys"].shape == (8,)


def test_pooled_tokens_are_real_pairs_of_all_pictures() -> None:
    pictures = [picture(3, mean=-4), picture(4, mean=4)]
    pooled = pooled_tokens(pictures)
    assert pooled["keys"].shape == (1, 4, 16)
    assert pooled["values"].shape == (1, 16, 3)
    pairs = {
        (one["keys"][0, :, place].tobytes(), one["values"][0, place].tobytes())
        for one in pictures
        for place in range(16)
    }
    chosen = {(pooled["keys"][0, :, k].tobytes(), pooled["values"][0, k].tobytes()) for k in range(16)}
    assert chosen <= pairs
    assert len(chosen) == 16
    first = (pooled["values"].mean(2) < 0).sum()
    assert 5 <= first <= 11  # both have their share


def test_every_group_is_stood_for() -> None:
    random = np.random.default_rng(5)
    centres = np.array([[0, 0], [30, 0], [0, 30], [30, 30]], np.float32)
    points = (np.repeat(centres, 25, 0) + random.normal(0, 0.5, (100, 2))).astype(np.float32)
    chosen = representatives(points, 4)
    assert sorted(chosen // 25) == [0, 1, 2, 3]
    assert np.array_equal(chosen, representatives(points, 4))


@pytest.mark.parametrize("copies", [2, 5])
def test_pictures_that_are_the_same(copies: int) -> None:
    pooled = pooled_tokens([picture(6)] * copies)
    assert pooled["keys"].shape == (1, 4, 16)
    one = {picture(6)["values"][0, place].tobytes() for place in range(16)}
    assert {pooled["values"][0, k].tobytes() for k in range(16)} <= one
