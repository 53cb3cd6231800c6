"""The space of styles: how far two styles are from each other, which lie near, groups of them, and a map in the plane.

Works on the tensors of any network's styles: each tensor is an aspect, all aspects weigh the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError, StyleError
from engines.styles import Style
from engines.tokens import has_tokens, token_moments

Vectors = NDArray[np.float64]
Distances = NDArray[np.float64]

MOST_STYLES = 500  # of a map or of groups: the work grows with the square and more
_SWEEPS = 300  # of the majorisation at most
_SETTLED = 1e-6  # relative change of the stress from which on a layout stays


@dataclass(frozen=True, slots=True)
class Space:
    """The scale of each aspect of a bundle's styles: `of` some, it says how far any two of the bundle are apart.

    A distance of 1 is the root mean square distance of two of the styles that the space was made of.
    bundle_id: of the styles. scales: factor for each aspect; one in which those styles are all alike is left out.
    """

    bundle_id: str
    scales: Mapping[str, float]

    @classmethod
    def of(cls, styles: Sequence[Style]) -> Space:
        """Raises StyleError: fewer than two styles, no tensors, all alike, or of different bundles."""
        if len(styles) < 2:
            raise StyleError(f"{len(styles)} style has no distances; at least two styles make a space")
        first = styles[0]
        told = [_checked(style, first.bundle_id) for style in styles]
        means = {name: _mean_square_of_pairs(np.stack([one[name] for one in told])) for name in told[0]}
        means = {name: mean for name, mean in means.items() if mean > 1e-12}
        if not means:
            raise StyleError("these styles are all alike in the tensors of this model; there is no space of them")
        return cls(first.bundle_id, {name: float((mean * len(means)) ** -0.5) for name, mean in means.items()})

    def vector(self, style: Style) -> NDArray[np.float64]:
        """The style's place: (d,). Raises StyleError: of another bundle, or other tensors."""
        told = _checked(style, self.bundle_id)
        try:
            return np.concatenate([scale * told[name] for name, scale in self.scales.items()])
        except KeyError as error:
            raise StyleError(f"style {style.name!r} has no tensor {error}; encode its picture anew") from error

    def vectors(self, styles: Sequence[Style]) -> Vectors:
        """The places of several: (n, d)."""
        return np.stack([self.vector(style) for style in styles])

    def distances(self, styles: Sequence[Style]) -> Distances:
        """(n, n), symmetric, 0 in its diagonal."""
        return distances_of(self.vectors(styles))


def distances_of(vectors: Vectors) -> Distances:
    """The Euclidean distances between the rows of (n, d): (n, n), exactly symmetric."""
    squares = (vectors * vectors).sum(1)
    found = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0))
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return np.asarray(found, np.float64)


@dataclass(frozen=True, slots=True)
class Groups:
    """What `medoids` found.

    medoids: the index of each group's most central member, those of the largest groups first. labels: (n,), for each
    one its group, counted from 0 in the order of `medoids`. silhouette: how well they are apart, -1..1 (Rousseeuw 1987,
    "Silhouettes: a graphical aid", sec. 2); near 0: the groups run into each other.
    """

    medoids: tuple[int, ...]
    labels: NDArray[np.int64]
    silhouette: float


def medoids(distances: Distances, count: int) -> Groups:
    """k-medoids by greedy building and best swaps (Kaufman and Rousseeuw 1990, "Finding groups in data", ch. 2: PAM).

    distances: (n, n). Raises InputError unless count is 1..n.
    """
    size = len(distances)
    if not 1 <= count <= size:
        raise InputError(f"{count} groups of {size} styles; there can be 1 to {size}")
    chosen = [int(distances.sum(1).argmin())]
    while len(chosen) < count:
        nearest = distances[:, chosen].min(1)
        gains = np.maximum(nearest[:, None] - distances, 0).sum(0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
    cost = distances[:, chosen].min(1).sum()
    while True:
        best, swap = cost - 1e-9, None
        for place in range(count):
            rest = [one for at, one in enumerate(chosen) if at != place]
            nearest = distances[:, rest].min(1) if rest else np.full(size, np.inf)
            costs = np.minimum(nearest[:, None], distances).sum(0)
            costs[chosen] = np.inf
            candidate = int(costs.argmin())
            if costs[candidate] < best:
                best, swap = costs[candidate], (place, candidate)
        if swap is None:
            break
        chosen[swap[0]], cost = swap[1], best
    labels = distances[:, chosen].argmin(1)
    labels[chosen] = np.arange(count)  # of two that are alike each is in its own group
    order = sorted(range(count), key=lambda group: (-int((labels == group).sum()), chosen[group]))
    renamed = np.argsort(order)[labels]
    return Groups(tuple(chosen[group] for group in order), renamed, _silhouette(distances, renamed, count))


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in the plane whose distances are as near to the true ones as can be.

    places: (n, 2), their mean at 0, in the unit of the distances. stress: the root of the squared errors' share of the
    squared distances (Kruskal 1964, "stress-1"): 0 is exact, 0.2 is rough.
    """

    places: NDArray[np.float64]
    stress: float


def layout(distances: Distances) -> Layout:
    """Metric multidimensional scaling: Torgerson's closed form, then majorisation of the stress (SMACOF).

    de Leeuw and Mair 2009, "Multidimensional scaling using majorization: SMACOF in R", sec. 2. Deterministic: the same
    distances (n, n) give the same places.
    """
    size = len(distances)
    places = _classical(distances)
    stress = _stress(distances, places)
    for _ in range(_SWEEPS if size > 2 else 0):
        own = distances_of(places)
        ratios = np.divide(distances, own, out=np.zeros_like(own), where=own > 1e-12)
        guttman = -ratios
        np.fill_diagonal(guttman, ratios.sum(1))
        places = guttman @ places / size
        before, stress = stress, _stress(distances, places)
        if before - stress < _SETTLED * before:
            break
    return Layout(places - places.mean(0), stress)


def aspects(style: Style) -> dict[str, NDArray[np.float64]]:
    """What is compared of a style: each tensor flat; of tokens, which have no order, their moments (`engines.tokens`).

    Raises StyleError: a style without tensors, whose network has learned the one style it paints.
    """
    if not style.tensors:
        raise StyleError(f"style {style.name!r} has no tensors: its model paints one style; choose one that takes more")
    tensors = {**style.tensors, **token_moments(style.tensors)} if has_tokens(style.tensors) else style.tensors
    return {name: np.asarray(tensors[name], np.float64).ravel() for name in sorted(tensors)}


def _checked(style: Style, bundle_id: str) -> dict[str, NDArray[np.float64]]:
    if style.bundle_id != bundle_id:
        raise StyleError(
            f"style {style.name!r} is of bundle {style.bundle_id}, not of {bundle_id}; only styles of one bundle "
            "have a distance"
        )
    return aspects(style)


def _mean_square_of_pairs(rows: Vectors) -> float:
    """The mean squared distance of two different rows of (n, d): twice the variance, n / (n - 1) of it."""
    return float(2 * ((rows - rows.mean(0)) ** 2).sum() / (len(rows) - 1))


def _classical(distances: Distances) -> NDArray[np.float64]:
    size = len(distances)
    centring = np.eye(size) - 1 / size
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    places = np.zeros((size, 2))
    for axis in range(min(2, size)):
        column = vectors[:, -1 - axis]
        # An eigenvector's sign means nothing: the map shall not flip from machine to machine.
        column = column * np.sign(column[np.abs(column).argmax()])
        places[:, axis] = column * np.sqrt(max(values[-1 - axis], 0))
    return places


def _stress(distances: Distances, places: NDArray[np.float64]) -> float:
    total = (distances**2).sum()
    return float(np.sqrt(((distances - distances_of(places)) ** 2).sum() / total)) if total else 0.0


def _silhouette(distances: Distances, labels: NDArray[np.int64], count: int) -> float:
    if count < 2:
        return 0.0
    members = np.stack([labels == group for group in range(count)])  # (count, n)
    sums = distances @ members.T  # (n, count)
    sizes = members.sum(1)
    own = sizes[labels]
    rows = np.arange(len(labels))
    inside = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    outside = means.min(1)
    most = np.maximum(inside, outside)
    # One that is alone in its group counts 0.
    scores = np.divide(outside - inside, most, out=np.zeros_like(most), where=(own > 1) & (most > 0))
    return float(scores.mean())
