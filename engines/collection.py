"""A collection: the pictures of a folder, as many as there are, become one style.

What the network needs of a picture is pooled by its meaning: tokens are chosen out of all pictures (`engines.tokens`),
colours and tones are those of all pictures seen as one, strengths are root mean squares, all else is a mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import StyleError
from engines.pictures import FORMATS
from engines.recolour import palette_of
from engines.styles import THUMBNAIL_SIDE_PX, Style
from engines.tokens import KEYS, VALUES, has_tokens, pooled_tokens
from engines.tone import TONES, places

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MOST_PICTURES = 512
POOLING = 2  # counts the ways of pooling there were: what is cached of another one is void
_PALETTE, _TONES = "palette", "tones"

Array = NDArray[np.float32]


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The picture files of a folder by their names' ends, in the order of their names; not those of folders in it.

    Raises StyleError: unreadable, no pictures, more than MOST_PICTURES.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    except OSError as error:
        raise StyleError(f"the folder {folder} cannot be read ({error.strerror}); give a folder of pictures") from error
    pictures = sorted(path for path in found if not path.name.startswith("."))
    if not pictures:
        raise StyleError(f"the folder {folder} holds no pictures; give one with {FORMATS} files")
    if len(pictures) > MOST_PICTURES:
        raise StyleError(f"the folder {folder} holds {len(pictures):,} pictures; a style can have {MOST_PICTURES}")
    return tuple(pictures)


def contents_key(hashes: Sequence[str]) -> str:
    """The same for the same pictures, whatever their names and order: 32 hex digits of their files' hashes."""
    return hashlib.sha256(f"{POOLING} {' '.join(sorted(hashes))}".encode()).hexdigest()[:32]


def pooled(styles: Sequence[Style], name: str, *, source: str = "") -> Style:
    """One style of the styles of several pictures, made by one bundle; of a single one itself, renamed.

    The order counts for nothing but the thumbnail. Raises StyleError: none, or of different bundles.
    """
    if not styles:
        raise StyleError("a collection needs at least one picture")
    first = styles[0]
    shapes = {key: tensor.shape for key, tensor in first.tensors.items()}
    for other in styles[1:]:
        if other.bundle_id != first.bundle_id or {key: t.shape for key, t in other.tensors.items()} != shapes:
            raise StyleError(f"{other.name!r} and {first.name!r} are of different bundles; encode them anew")
    told: dict[str, Any] = {"name": name, "title": name, "source": source, "painter": "", "year": "", "licence": ""}
    if len(styles) == 1:
        return replace(first, **told, extra={})
    tensors = _pooled_tensors([style.tensors for style in styles])
    return replace(
        first,
        **told,
        tensors={key: np.ascontiguousarray(tensors[key], np.float32).reshape(shapes[key]) for key in first.tensors},
        thumbnail=_four([style.thumbnail for style in styles]),
        extra={},
    )


def _pooled_tensors(tensors: Sequence[dict[str, Array]]) -> dict[str, Array]:
    # Pictures in an order of their own: what is chosen must not depend on how the files are called.
    ordered = sorted(tensors, key=lambda one: b"".join(one[key].tobytes() for key in sorted(one)))
    found = dict(pooled_tokens(ordered)) if has_tokens(ordered[0]) else {}
    for key in ordered[0]:
        if key in found or (found and key in (KEYS, VALUES)):
            continue
        stack = np.stack([one[key] for one in ordered]).astype(np.float64)
        if key == _PALETTE and stack[0].size == 12:
            found[key] = pooled_palette(stack.reshape(-1, 12))
        elif key == _TONES and stack[0].size == 3 * TONES:
            found[key] = pooled_tones(stack.reshape(-1, 3, TONES))
        else:
            found[key] = stack.mean(0).astype(np.float32)
    return found


def pooled_palette(palettes: NDArray[np.float64]) -> Array:
    """Mean and root of the covariance of all pictures' colours, each picture weighing the same: (n, 12) -> (12,).

    The covariance of a pool is the mean of the covariances and the covariance of the means (the law of total variance).
    """
    means, roots = palettes[:, :3], palettes[:, 3:].reshape(-1, 3, 3)
    mean = means.mean(0)
    apart = means - mean
    # Both terms hold what an encoder adds to its covariances once, so that nothing need be added here.
    covariance = (roots @ roots.transpose(0, 2, 1)).mean(0) + apart.T @ apart / len(means)
    return palette_of(mean, (covariance + covariance.T) / 2)


def pooled_tones(tones: NDArray[np.float64]) -> Array:
    """The quantiles of all pictures' values together, each picture weighing the same: (n, 3, TONES) -> (3, TONES).

    A quantile of a picture stands for one TONES-th of it.
    """
    together = np.sort(tones.transpose(1, 0, 2).reshape(3, -1), 1)
    return together[:, places(together.shape[1])].astype(np.float32)


def _four(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Up to four pictures, cut square, two by two: RGB uint8 (128, 128, 3)."""
    half = THUMBNAIL_SIDE_PX // 2
    page = np.full((2 * half, 2 * half, 3), 255, np.uint8)
    for number, picture in enumerate(thumbnails[:4]):
        side = min(picture.shape[:2])
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        square = np.ascontiguousarray(picture[top : top + side, left : left + side])
        row, column = divmod(number, 2)
        small = cv2.resize(square, (half, half), interpolation=cv2.INTER_AREA)
        page[row * half : (row + 1) * half, column * half : (column + 1) * half] = small
    return page
