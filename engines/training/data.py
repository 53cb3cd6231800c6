"""Photos and style pictures, packed once into arrays that training reads at random."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from engines.errors import InputError
from engines.training.lock import lock

# Pictures are packed at the size at which paintings are judged. Packed smaller and enlarged again, style pictures
# taught the network to paint as softly as they had become.
SIDE_PX = 384
LEAST_SHARE = 2 / 3  # the smallest scale of a photo's crops, of their largest
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def held_out() -> frozenset[str]:
    """Names ("content/x.jpg", "style/y.jpg") that are kept for evaluation and never trained on."""
    text = resources.files("engines.training").joinpath("held_out.txt").read_text("utf-8")
    return frozenset(line for line in text.split() if line)


def trainable(files: Iterable[Path], kind: str) -> list[Path]:
    """Those of the files that are not held out of a kind, "content" or "style", in their order."""
    excluded = held_out()
    return [path for path in files if f"{kind}/{path.name}" not in excluded]


class PictureSet:
    """Pictures as uint8 (n, 3, SIDE_PX, SIDE_PX) with a sampling weight each: of a folder, or files in their order.

    Pictures are cut to a centred square and scaled. The weight of a group (`group_of`) grows with the root of
    its size, so that no large collection drowns the small ones.
    """

    def __init__(self, pictures: Path | Sequence[Path], cache: Path, kind: str) -> None:
        """pictures: a folder, without what is held out of `kind`, or files that were asked for one by one.

        cache: where they are packed. Raises InputError: there are none, or one cannot be read.
        """
        if isinstance(pictures, Path):
            files = trainable(pictures_of(pictures), kind)
            if not files:
                raise InputError(f"{pictures} has no pictures; it should hold .jpg, .png or .webp files")
        else:
            files = list(pictures)
        self.names = [p.name for p in files]
        # Other pictures of the same number must not be taken for these.
        listing = "\n".join(f"{p.name} {p.stat().st_size}" for p in files)
        packed = cache / f"{kind}-{len(files)}-{SIDE_PX}-{hashlib.sha256(listing.encode()).hexdigest()[:8]}.npy"
        with lock(cache):
            if not packed.exists():
                beside = packed.with_suffix(".part.npy")
                np.save(beside, np.stack([_square(p) for p in tqdm(files, desc=f"packing {kind}")]))
                beside.replace(packed)
        self.pixels: NDArray[np.uint8] = np.load(packed, mmap_mode="r")
        self._resident: Tensor | None = None
        self.label = packed.stem
        _, self._groups, sizes = np.unique(
            [group_of(name) for name in self.names], return_inverse=True, return_counts=True
        )
        self._weigh(sizes, np.ones(len(files), bool))

    def __len__(self) -> int:
        return len(self.names)

    def draw(self, n: int) -> Tensor:
        """Indices (n,) by weight."""
        return torch.multinomial(self.weights, n, replacement=True)

    def limit(self, n: int) -> None:
        """Draw no others from now on than n of the pictures: of each group a part of n that grows with the root of its
        size, spread evenly over the group. Groups weigh what they did."""
        kept = np.zeros(len(self), bool)
        sizes = np.bincount(self._groups)
        for group, part in enumerate(_parts(sizes, min(n, len(self)))):
            kept[np.flatnonzero(self._groups == group)[np.linspace(0, sizes[group] - 1, part).astype(int)]] = True
        self._weigh(sizes, kept)

    def _weigh(self, sizes: NDArray[np.int64], kept: NDArray[np.bool_]) -> None:
        """sizes: of the groups. kept: (n,), of the pictures, those that are drawn."""
        drawn = np.bincount(self._groups, kept)
        weights = kept * (sizes**0.5 / np.maximum(drawn, 1))[self._groups]
        self.weights = torch.from_numpy(weights / weights.sum())

    def move_to(self, device: str) -> None:
        """Hold all pictures in that device's memory, 0.4 MiB each, and give `images` there from now on."""
        self._resident = torch.from_numpy(np.array(self.pixels)).to(device)

    def images(self, indices: Tensor) -> Tensor:
        """float32 (n, 3, SIDE_PX, SIDE_PX) in 0..1"""
        if self._resident is not None:
            return self._resident[indices.to(self._resident.device)].float() / 255
        picked = self.pixels[indices.numpy()]
        return torch.from_numpy(picked).float() / 255


def _parts(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """n shared among groups by the root of their sizes; one that is due more than all it has gives the rest away.

    sizes: (groups,), n: at most their sum. Returns (groups,), n in all.
    """
    parts, roots = np.zeros_like(sizes), np.sqrt(sizes)
    for _ in range(n):
        due = np.where(parts < sizes, roots / (parts + 1), 0)
        parts[np.argmax(due)] += 1
    return parts


def group_of(name: str) -> str:
    """The group that a picture came from: its file's name up to the first "_"."""
    return name.split("_", maxsplit=1)[0]


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; maybe none."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in _ENDINGS)


def _square(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 (3, SIDE_PX, SIDE_PX): the middle square."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path} is not a picture; remove it from the training folder")
    scaled = square(np.asarray(picture, np.uint8), SIDE_PX)
    return np.ascontiguousarray(scaled[:, :, ::-1].transpose(2, 0, 1))


def square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle square of uint8 (height, width, 3), scaled to `side`: averaged down, or up by Lanczos."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    part = picture[top : top + edge, left : left + edge]
    way = cv2.INTER_AREA if edge > side else cv2.INTER_LANCZOS4
    return np.ascontiguousarray(cv2.resize(part, (side, side), interpolation=way), np.uint8)


def random_crops(images: Tensor, side: int) -> Tensor:
    """Random square crops, half of them mirrored: (n, 3, h, w) -> (n, 3, side, side)."""
    n, _, h, w = images.shape
    crops = []
    for i in range(n):
        top = int(torch.randint(0, h - side + 1, ()))
        left = int(torch.randint(0, w - side + 1, ()))
        crop = images[i : i + 1, :, top : top + side, left : left + side]
        crops.append(crop.flip(3) if torch.rand(()) < 0.5 else crop)
    return torch.cat(crops)


def scaled(images: Tensor, side: int) -> Tensor:
    """(n, 3, h, h) -> (n, 3, side, side), bicubic; without aliases where it becomes smaller"""
    before = images.shape[-1]
    if before == side:
        return images
    size = (side, side)
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=side < before).clamp(0, 1)


def fixed_crops(images: Tensor, keys: Tensor, side: int, most_scale: float) -> Tensor:
    """Square crops, half of them mirrored, scaled by LEAST_SHARE to 1 times `most_scale`; the same for the same key.

    (n, 3, h, w) -> (n, 3, side, side). A crop is never more than the whole picture.
    """
    crops = []
    for image, key in zip(images, keys.tolist(), strict=True):
        generator = torch.Generator().manual_seed(key)
        scale = most_scale * (LEAST_SHARE + (1 - LEAST_SHARE) * torch.rand((), generator=generator).item())
        part = min(round(side / scale), *image.shape[1:])
        top = int(torch.randint(0, image.shape[1] - part + 1, (), generator=generator))
        left = int(torch.randint(0, image.shape[2] - part + 1, (), generator=generator))
        crop = scaled(image[None, :, top : top + part, left : left + part], side)
        crops.append(crop.flip(3) if torch.rand((), generator=generator) < 0.5 else crop)
    return torch.cat(crops)
