"""A Style: the tensors of one picture, precomputed once; load, save, mix, fade."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engines.errors import StyleError

STYLE_FILE_SUFFIX = ".safetensors"
MAX_STYLE_FILE_BYTES = 16 * 2**20
THUMBNAIL_SIDE_PX = 128

_FORMAT = "brushcast-style 1"
_THUMBNAIL = "thumbnail"
_PREFIX = "style."
_PARTS = "mix"
_TEXTS = ("name", "bundle_id", "title", "painter", "year", "source", "licence")


@dataclass(frozen=True, slots=True)
class Style:
    """What the network needs of one style picture, computed once by a bundle's style graph.

    tensors: named float32 arrays, the frame graph's style inputs (names without the "style." prefix).
    thumbnail: RGB uint8 (height, width, 3), at most 128 pixels a side.
    bundle_id: `Bundle.id` of the bundle whose style graph made the tensors.
    """

    name: str
    tensors: dict[str, NDArray[np.float32]]
    thumbnail: NDArray[np.uint8]
    bundle_id: str
    title: str = ""
    painter: str = ""
    year: str = ""
    source: str = ""
    licence: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def save_style(style: Style, path: Path) -> None:
    """Write `style` as one safetensors file; beside it first, then renamed, so no half file is ever seen.

    The same style gives the same bytes. Raises OSError if the folder cannot be written.
    """
    arrays: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = {
        _PREFIX + name: np.ascontiguousarray(tensor, np.float32) for name, tensor in style.tensors.items()
    }
    arrays[_THUMBNAIL] = np.ascontiguousarray(style.thumbnail, np.uint8)
    texts = {key: str(getattr(style, key)) for key in _TEXTS}
    texts |= {f"extra.{key}": value for key, value in style.extra.items()}
    data = save(arrays, metadata={**texts, "format": _FORMAT, "sha256": _digest(arrays, texts)})
    write_beside(path, _ordered(data))


def load_style(path: Path) -> Style:
    """Read a style file and check it: format, hash, dtypes, finite numbers. Its bundle is checked by who uses it.

    Raises StyleError.
    """
    try:
        if path.stat().st_size > MAX_STYLE_FILE_BYTES:
            raise StyleError(f"{path} is too large for a style file; at most {MAX_STYLE_FILE_BYTES >> 20} MiB")
        with safe_open(path, framework="np") as file:
            told: dict[str, str] = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise StyleError(f"{path} does not exist; give a style file that `save_style` wrote") from error
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise StyleError(f"{path} cannot be read as a style file; it may be truncated: encode it anew") from error
    if told.get("format") != _FORMAT or _THUMBNAIL not in arrays:
        raise StyleError(f"{path} is not a style file of this version; encode the picture anew")
    texts = {key: value for key, value in told.items() if key not in ("format", "sha256")}
    if told.get("sha256") != _digest(arrays, texts):
        raise StyleError(f"{path} does not match its own SHA-256; it was changed or damaged: encode it anew")
    thumbnail = arrays.pop(_THUMBNAIL)
    if thumbnail.dtype != np.uint8 or thumbnail.ndim != 3 or thumbnail.shape[2] != 3:
        raise StyleError(f"{path} has a thumbnail {thumbnail.dtype} {thumbnail.shape}; it must be uint8 RGB")
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, array in arrays.items():
        if not name.startswith(_PREFIX) or array.dtype != np.float32:
            raise StyleError(f"{path} holds {name} {array.dtype}; it must hold float32 tensors named style.*")
        tensors[name.removeprefix(_PREFIX)] = array
    style = Style(
        **{key: texts.get(key, "") for key in _TEXTS},
        tensors=tensors,
        thumbnail=thumbnail,
        extra={key.removeprefix("extra."): v for key, v in texts.items() if key.startswith("extra.")},
    )
    check_finite(style, str(path))
    return style


def check_finite(style: Style, where: str) -> None:
    """Raise StyleError if a tensor of `style` holds NaN or infinity; `where` names the style in the message."""
    for name, tensor in style.tensors.items():
        if not np.isfinite(tensor).all():
            raise StyleError(f"{where} holds NaN or infinity in style.{name}; encode the picture anew")


def mix(styles: Sequence[Style], weights: Sequence[float]) -> Style:
    """Mix styles of one bundle: the weighted mean of their tensors, with the heaviest one's thumbnail.

    The mix knows what it is made of (`parts_of`), also where mixes are mixed.
    weights: one finite number >= 0 for each style, not all 0; scaled here so that their sum is 1.
    Raises StyleError: no styles, other counts, bad weights, styles of different bundles.
    """
    if not styles or len(styles) != len(weights):
        raise StyleError(f"{len(styles)} styles with {len(weights)} weights; each style needs one weight")
    total = sum(weights)
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not (math.isfinite(total) and total > 0):
        raise StyleError(f"mix weights {list(weights)}; they must be finite, at least 0, and not all 0")
    first = styles[0]
    for other in styles[1:]:
        if other.bundle_id != first.bundle_id or _shapes(other) != _shapes(first):
            raise StyleError(
                f"style {other.name!r} is of bundle {other.bundle_id}, {first.name!r} of {first.bundle_id}; "
                "only styles of one bundle mix"
            )
    shares = [weight / total for weight in weights]
    if 1.0 in shares:
        return styles[shares.index(1.0)]
    tensors = {name: _weighted([style.tensors[name] for style in styles], shares) for name in first.tensors}
    heaviest = styles[shares.index(max(shares))]
    label = "+".join(f"{style.name}:{share:.2f}" for style, share in zip(styles, shares, strict=True) if share)
    parts: dict[str, float] = {}
    for style, share in zip(styles, shares, strict=True):
        for name, part in parts_of(style).items():
            parts[name] = parts.get(name, 0.0) + share * part
    extra = {_PARTS: json.dumps({name: share for name, share in parts.items() if share})}
    return replace(
        heaviest, name=label, tensors=tensors, title="", painter="", year="", source="", licence="", extra=extra
    )


def parts_of(style: Style) -> dict[str, float]:
    """The names of the styles that a mix is made of, and their shares; of any other style its own name alone."""
    told = style.extra.get(_PARTS)
    return {style.name: 1.0} if told is None else {str(name): float(share) for name, share in json.loads(told).items()}


def whole(style: Style) -> Style:
    """A mix as a style of its own: `parts_of` tells its name alone."""
    return replace(style, extra={key: value for key, value in style.extra.items() if key != _PARTS})


def fade(a: Style, b: Style, t: float) -> Style:
    """Between two styles of one bundle: `a` at t = 0, `b` at t = 1, linear in the tensors. Raises StyleError."""
    if not (math.isfinite(t) and 0.0 <= t <= 1.0):
        raise StyleError(f"fade position is {t:g}; it must be a number from 0 to 1")
    return mix((a, b), (1.0 - t, t))


def told_apart(style: Style, named: Callable[[str], Style | None]) -> Style:
    """The style under a name that no other one has: as "cat 2", where `named` knows another style by "cat"."""
    name, number = style.name, 2
    while (other := named(name)) is not None and not _same(style, other):
        name, number = f"{style.name} {number}", number + 1
    return style if name == style.name else replace(style, name=name, title=name)


def free_path(path: Path) -> Path:
    """`path`, or, where there is something already, the first that is free of NAME-2, NAME-3 ... with its suffix."""
    free, number = path, 2
    while free.exists():
        free, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return free


def write_beside(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file in the same folder, renamed when complete. Raises OSError."""
    # Made by open: a file of `tempfile` is private (0600), and the umask that the one that stays shall have can only be
    # read by changing it, for all threads.
    beside = path.with_name(f".{path.name}.{token_hex(4)}")
    with beside.open("xb") as file:
        try:
            file.write(data)
            file.close()
            beside.replace(path)
        except BaseException:
            file.close()
            beside.unlink(missing_ok=True)
            raise


def _ordered(file: bytes) -> bytes:
    """A safetensors file with the entries of its header by their names: the library leaves their order to chance."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[start:]


def _weighted(arrays: Sequence[NDArray[np.float32]], shares: Sequence[float]) -> NDArray[np.float32]:
    total = np.zeros_like(arrays[0])
    for array, share in zip(arrays, shares, strict=True):
        total += np.float32(share) * array
    return total


def _shapes(style: Style) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in style.tensors.items()}


def _same(a: Style, b: Style) -> bool:
    """Whether two styles paint alike."""
    alike = a.bundle_id == b.bundle_id and _shapes(a) == _shapes(b)
    return alike and all(np.array_equal(tensor, b.tensors[name]) for name, tensor in a.tensors.items())


def _digest(arrays: Mapping[str, NDArray[np.float32] | NDArray[np.uint8]], texts: Mapping[str, str]) -> str:
    """SHA-256 over all arrays and texts, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(texts):
        digest.update(f"{key}={texts[key]}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
