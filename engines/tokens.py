"""The tokens of a style: places of its picture as pairs of a key and a value, which a frame's places attend to.

Style kernels have them (`engines.nets.coders.StyleEncoder`). Their order means nothing to the attention, so that they
can be compared by their moments, and chosen out of the tokens of many pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]

KEYS, VALUES = "keys", "values"  # (1, d, tokens) and (1, tokens, c)
_ROUNDS = 12  # of k-means
_ROWS = 16_384  # of a table of distances at once, for the memory


def has_tokens(tensors: Tensors) -> bool:
    """Whether a style's tensors hold tokens."""
    keys, values = tensors.get(KEYS), tensors.get(VALUES)
    if keys is None or values is None or keys.ndim != 3 or values.ndim != 3:
        return False
    return bool(keys.shape[2] == values.shape[1])


def token_moments(tensors: Tensors) -> dict[str, NDArray[np.float64]]:
    """In the place of keys and values: mean and deviation of every channel over the tokens, (2 d,) and (2 c,)."""
    keys, values = (rows.astype(np.float64) for rows in _rows(tensors))
    return {name: np.concatenate([rows.mean(0), rows.std(0)]) for name, rows in ((KEYS, keys), (VALUES, values))}


def pooled_tokens(styles: Sequence[Tensors]) -> dict[str, NDArray[np.float32]]:
    """As many tokens as one style has, chosen out of those of all: keys (1, d, tokens) and values (1, tokens, c).

    The tokens of all styles are grouped by k-means (k-means++, Arthur and Vassilvitskii 2007), and of each group the
    one nearest to its centre is taken: a real place of a picture, where means would blur the strokes of many. They stay
    in the order of their places in the pictures, so that a mix with another style pairs similar places.
    """
    pairs = [_rows(tensors) for tensors in styles]
    keys, values = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    count = len(pairs[0][0])
    place = np.tile(np.arange(count), len(pairs))
    points = np.concatenate([_unit(keys), _unit(values)], 1)
    chosen = representatives(points, count)
    chosen = chosen[np.argsort(place[chosen], kind="stable")]
    return {KEYS: np.ascontiguousarray(keys[chosen].T[None]), VALUES: np.ascontiguousarray(values[chosen][None])}


def representatives(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The indices of `count` different rows of (n, d) that stand for all: the one nearest to each centre of k-means.

    Deterministic. n must be at least `count`.
    """
    if len(points) == count:
        return np.arange(count)
    # Of very many, a part tells where the centres are as well as all of them.
    part = points if len(points) <= _ROWS else points[np.random.default_rng(0).permutation(len(points))[:_ROWS]]
    centres = _seeds(part, count)
    for _ in range(_ROUNDS):
        labels, _ = _nearest(part, centres)
        order = np.argsort(labels, kind="stable")
        full, firsts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(part[order], firsts, axis=0, dtype=np.float64)
        centres[full] = (sums / sizes[:, None]).astype(np.float32)
    labels, away = _nearest(points, centres)
    order = np.lexsort((np.arange(len(points)), away, labels))
    firsts = np.unique(labels[order], return_index=True)[1]
    chosen = order[firsts]
    if len(chosen) < count:  # groups ran empty: those that are farthest from what stands for them fill up
        rest = np.setdiff1d(np.argsort(-away, kind="stable"), chosen, assume_unique=True)
        chosen = np.concatenate([chosen, rest[: count - len(chosen)]])
    return np.asarray(chosen, np.int64)


def _seeds(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """k-means++: each next centre by the squared distance to those there are. (count, d)"""
    random = np.random.default_rng(0)
    centres = np.empty((count, points.shape[1]), np.float32)
    centres[0] = points[int(random.integers(len(points)))]
    away = ((points - centres[0]) ** 2).sum(1, dtype=np.float64)
    for number in range(1, count):
        total = away.sum()
        at = random.choice(len(points), p=away / total) if total > 0 else int(random.integers(len(points)))
        centres[number] = points[at]
        away = np.minimum(away, ((points - centres[number]) ** 2).sum(1, dtype=np.float64))
    return centres


def _nearest(
    points: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row its nearest centre and the squared distance: (n,), (n,)"""
    labels, away = np.empty(len(points), np.int64), np.empty(len(points))
    squares = (centres * centres).sum(1)
    for start in range(0, len(points), _ROWS):
        part = points[start : start + _ROWS]
        table = squares - 2 * part @ centres.T  # without the part's own square, which is the same for all centres
        labels[start : start + _ROWS] = table.argmin(1)
        away[start : start + _ROWS] = table.min(1) + (part * part).sum(1)
    return labels, away


def _rows(tensors: Tensors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keys (tokens, d) and values (tokens, c)."""
    return tensors[KEYS][0].T, tensors[VALUES][0]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled to a mean squared deviation of 1, so that keys and values weigh the same."""
    deviation = float(np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean()))
    return rows / np.float32(max(deviation, 1e-6))
