from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError, StyleError
from engines.style_space import Space, distances_of, layout, medoids
from engines.styles import Style


def style(name: str, *, bundle_id: str = "b", **tensors: list[float]) -> Style:
    arrays = {key: np.array(values, np.float32) for key, values in tensors.items()}
    return Style(name, arrays, np.zeros((8, 8, 3), np.uint8), bundle_id)


def test_every_tensor_weighs_the_same_whatever_its_size() -> None:
    random = np.random.default_rng(0)
    styles = [
        style(str(k), large=list(1000 * random.normal(size=40)), small=list(0.01 * random.normal(size=2)))
        for k in range(30)
    ]
    space = Space.of(styles)
    vectors = space.vectors(styles)
    large, small = distances_of(vectors[:, :40]), distances_of(vectors[:, 40:])
    pairs = ~np.eye(30, dtype=bool)
    assert (large[pairs] ** 2).mean() == pytest.approx(0.5)
    assert (small[pairs] ** 2).mean() == pytest.approx(0.5)
    assert (space.distances(styles)[pairs] ** 2).mean() == pytest.approx(1)


def test_what_is_alike_in_all_is_left_out() -> None:
    space = Space.of([style("a", same=[1, 2], other=[0]), style("b", same=[1, 2], other=[3])])
    assert list(space.scales) == ["other"]


def test_what_has_no_space() -> None:
    one = style("a", mean=[1])
    for styles, words in (
        ([one], "at least two"),
        ([one, style("b", mean=[1])], "all alike"),
        ([one, style("b", bundle_id="c", mean=[2])], "of bundle c, not of b"),
        ([style("a"), style("b")], "no tensors"),
    ):
        with pytest.raises(StyleError, match=words):
            Space.of(styles)
    space = Space.of([one, style("b", mean=[2])])
    with pytest.raises(StyleError, match="no tensor 'mean'"):
        space.vector(style("c", size=[2]))


def test_the_order_of_tokens_is_no_distance() -> None:
    random = np.random.default_rng(1)
    keys, values = random.normal(size=(1, 4, 9)), random.normal(size=(1, 9, 3))

    def tokens(name: str, order: list[int], shift: float = 0.0) -> Style:
        told = {"keys": keys[:, :, order] + shift, "values": values[:, order] + shift}
        return Style(name, {k: v.astype(np.float32) for k, v in told.items()}, np.zeros((8, 8, 3), np.uint8), "b")

    styles = [tokens("a", list(range(9))), tokens("b", list(range(9))[::-1]), tokens("c", list(range(9)), 1.0)]
    distances = Space.of(styles).distances(styles)
    assert distances[0, 1] < 1e-6
    assert distances[0, 2] > 1


def three_heaps() -> np.ndarray:
    random = np.random.default_rng(2)
    places = np.concatenate([random.normal(at, 0.3, (size, 2)) for at, size in (((0, 0), 5), ((9, 0), 8), ((0, 9), 3))])
    return distances_of(places)


def test_groups_are_found_the_largest_first() -> None:
    groups = medoids(three_heaps(), 3)
    assert list(groups.labels) == [1] * 5 + [0] * 8 + [2] * 3
    assert [groups.labels[at] for at in groups.medoids] == [0, 1, 2]
    assert groups.silhouette > 0.8
    assert medoids(three_heaps(), 2).silhouette < groups.silhouette


def test_the_limits_of_groups() -> None:
    distances = three_heaps()
    assert set(medoids(distances, 1).labels) == {0}
    every = medoids(distances, 16)
    assert sorted(every.medoids) == list(range(16))
    assert sorted(every.labels) == list(range(16))
    assert len(set(medoids(np.zeros((4, 4)), 3).labels)) == 3  # all are alike
    for count in (0, 17):
        with pytest.raises(InputError, match=f"{count} groups of 16 styles"):
            medoids(distances, count)


def test_a_plane_is_found_again() -> None:
    places = np.random.default_rng(3).normal(size=(12, 2)) * (3, 1)
    distances = distances_of(places)
    found = layout(distances)
    assert found.stress < 1e-3
    assert np.allclose(distances_of(found.places), distances, atol=1e-2)
    assert np.allclose(found.places.mean(0), 0)
    assert np.array_equal(found.places, layout(distances).places)


def test_what_does_not_fit_into_a_plane_is_said() -> None:
    distances = 1 - np.eye(8)  # all equally far from each other
    found = layout(distances)
    assert 0.1 < found.stress < 0.5
    classical_only = distances_of(found.places)
    assert classical_only[classical_only > 0].min() > 0.2


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_styles_have_a_layout(size: int) -> None:
    found = layout(1.0 - np.eye(size))
    assert found.places.shape == (size, 2)
    assert found.stress < 1e-6
    assert layout(np.zeros((size, size))).stress == 0
