"""The fixed evaluation: which photo is painted in which style, and what a painting is judged by.

The photos and style pictures are those of `held_out.txt`, which no training sees; or, to choose by, some that it does
see. The judges are networks that no training used (`held_back`), beside the training's own for one figure that tells
how well the training did its work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import InputError
from engines.pictures import load_picture
from engines.training import losses
from engines.training.artefacts import border_mark, grid_energy
from engines.training.data import held_out, pictures_of, square, trainable
from engines.training.edges import edge_similarity
from engines.training.features import load_loss_network
from engines.training.held_back import StLpips, load_held_back_vgg, load_st_lpips
from engines.training.metrics import (
    STYLE_LAYERS,
    FeatureNetwork,
    StyleStatistics,
    content_distance_of,
    statistics_distance,
    style_statistics,
)
from engines.training.palette import projected_quantiles, quantile_distance

# Raise it where a figure's meaning changes: what was measured before then does not count any more.
EDITION = 1
# Of the pictures that training sees as many as are held out: the right style picture is looked for among as many.
TRAINING_PHOTOS, TRAINING_STYLES = 100, 60
FACE_PX = 224
_FACE_ROOM = 0.15  # of the box's side, added all around: a face without its outline is hardly one

Image = NDArray[np.uint8]
# left, top, right, bottom in 0..1 of a photo's middle square
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo to be painted in a style, by their names in held_out.txt ("content/x.jpg", "style/y.jpg")."""

    photo: str
    style: str


class _Squares:
    """Photos and style pictures below one folder, by their names, as squares of one size."""

    def __init__(self, folder: Path, side: int, photos: list[str], styles: list[str]) -> None:
        self.photos, self.styles = photos, styles
        self._folder, self._side = folder, side

    def picture(self, name: str) -> Image:
        """RGB uint8 (side, side, 3): the middle square. Raises StyleError for a picture that cannot be read."""
        return square(load_picture(self._folder / name), self._side)


class HeldOut(_Squares):
    """The held-out pictures. Raises InputError where one is missing."""

    def __init__(self, folder: Path, side: int) -> None:
        names = sorted(held_out())
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give the one with content/, style/ and video/")
        photos, styles = ([name for name in names if name.startswith(kind)] for kind in ("content/", "style/"))
        missing = [name for name in (*photos, *styles) if not (folder / name).is_file()]
        if missing:
            raise InputError(
                f"{folder} lacks {len(missing)} of the {len(names)} held-out pictures, {missing[0]} for one; "
                "give the folder that holds content/ and style/"
            )
        super().__init__(folder, side, photos, styles)


class TrainingPictures(_Squares):
    """Some of the pictures that training sees, always the same of a folder. Raises InputError where there are none.

    Weights and constants are chosen by these, so that the held-out ones stay what nothing was chosen by.
    """

    def __init__(self, folder: Path, side: int) -> None:
        photos, styles = _seen(folder, "content", TRAINING_PHOTOS), _seen(folder, "style", TRAINING_STYLES)
        super().__init__(folder, side, photos, styles)


def _seen(folder: Path, kind: str, most: int) -> list[str]:
    """Up to `most` of a kind of pictures that are not held out, spread evenly over their names."""
    names = [f"{kind}/{path.name}" for path in trainable(pictures_of(folder / kind), kind)]
    if not names:
        raise InputError(f"{folder / kind} has no pictures but held-out ones; give a folder that training can use")
    return [names[place] for place in np.linspace(0, len(names) - 1, min(most, len(names))).astype(int)]


def draw_pairs(photos: Sequence[str], styles: Sequence[str], count: int, seed: int = 0) -> list[Pair]:
    """`count` pairs; no picture is used twice before all others were used once.

    The first pairs of a longer list are the shorter list.
    """
    random = np.random.default_rng(seed)
    streams = [_shuffled(names, child) for names, child in zip((photos, styles), random.spawn(2), strict=True)]
    return [Pair(next(streams[0]), next(streams[1])) for _ in range(count)]


def held_out_faces() -> dict[str, list[Box]]:
    """Where the faces of the held-out photos are.

    Found once with OpenCV 4's Haar cascade `frontalface_alt2` (one of the boxes: `frontalface_default`) and looked
    through by eye, so that a figure does not depend on a detector that OpenCV 5 does not have any more.
    """
    text = resources.files("engines.training").joinpath("held_out_faces.txt").read_text("utf-8")
    faces: dict[str, list[Box]] = {}
    for line in text.splitlines():
        name, left, top, right, bottom = line.split()
        faces.setdefault(name, []).append((float(left), float(top), float(right), float(bottom)))
    return faces


@dataclass(frozen=True, slots=True)
class Judges:
    """held_back: features no training used. training: the loss network. perceptual: ST-LPIPS."""

    held_back: FeatureNetwork
    training: FeatureNetwork
    perceptual: StLpips


def load_judges() -> Judges:
    """Raises InputError where weights cannot be had."""
    return Judges(load_held_back_vgg(), load_loss_network("hed"), load_st_lpips())


class StyleIndex:
    """The style statistics of many pictures, to find the one that a painting is closest to."""

    def __init__(self, network: FeatureNetwork, pictures: Iterator[tuple[str, Image]]) -> None:
        """pictures: name and RGB uint8 (height, width, 3) of each, at least one; seen one at a time."""
        self.names: list[str] = []
        found: list[StyleStatistics] = []
        for name, picture in pictures:
            self.names.append(name)
            with torch.no_grad():
                found.append(style_statistics(network(to_tensor(picture))))
        self._statistics: StyleStatistics = tuple(
            (torch.cat([one[layer][0] for one in found]), torch.cat([one[layer][1] for one in found]))
            for layer in range(len(STYLE_LAYERS))
        )

    def distances(self, painting: StyleStatistics) -> dict[str, float]:
        """The style distance of a painting (a batch of 1) to every picture, by name."""
        told = statistics_distance(painting, self._statistics)
        return dict(zip(self.names, told.tolist(), strict=True))


class PairJudge:
    """Judges all paintings of one pair; what is known of the photo and the style picture is computed once."""

    def __init__(
        self, judges: Judges, index: StyleIndex, pair: Pair, photo: Image, style: Image, faces: Sequence[Box] = ()
    ) -> None:
        """photo, style: RGB uint8 (height, width, 3). index: must hold the pair's style."""
        self._judges, self._index, self._pair = judges, index, pair
        self._photo, self._style, self._faces = photo, style, faces

    @torch.no_grad()
    def measure(self, painting: Image) -> dict[str, float]:
        """All figures of a painting, RGB uint8 of the photo's shape; a figure that it cannot have is nan.

        style: `metrics.style_distance_of`, held-back network. gram: mean relative distance of the Gram matrices of five
        layers (Gatys et al. 2015), training network. content: `metrics.content_distance_of`, held-back network.
        faces: the same over crops around the photo's faces; face_count: how many. stlpips: to the photo.
        edges: `edge_similarity` to the photo. palette: `palette.quantile_distance` to the style picture.
        nearest: 1 where the pair's style picture is the closest of all by the style distance.
        grid, border_colour, border_gradient, and of_style_grid, ...: the style picture's own.
        """
        image = to_tensor(painting)
        features = self._judges.held_back(image)
        distances = self._index.distances(style_statistics(features))
        gram = [
            losses.style_gram(found, self._grams[layer])
            for layer, found in self._judges.training(image).items()
            if layer in STYLE_LAYERS
        ]
        return {
            "style": distances[self._pair.style],
            "gram": float(torch.stack(gram).mean()),
            "content": float(content_distance_of(features, self._photo_features)),
            "faces": self._face_distance(image),
            "face_count": float(len(self._faces)),
            "stlpips": float(
                self._judges.perceptual.between(self._judges.perceptual.layers(image), self._photo_layers)
            ),
            "edges": edge_similarity(painting, self._photo),
            "palette": quantile_distance(projected_quantiles(painting), self._style_palette),
            "nearest": float(min(distances, key=lambda name: distances[name]) == self._pair.style),
            **marks(painting),
            **{f"of_style_{name}": value for name, value in self._style_marks.items()},
        }

    @cached_property
    def _photo_features(self) -> dict[str, Tensor]:
        return self._judges.held_back(to_tensor(self._photo))

    @cached_property
    def _photo_layers(self) -> list[Tensor]:
        return self._judges.perceptual.layers(to_tensor(self._photo))

    @cached_property
    def _photo_faces(self) -> dict[str, Tensor]:
        return self._judges.held_back(crops(to_tensor(self._photo), self._faces))

    @cached_property
    def _grams(self) -> dict[str, Tensor]:
        return {layer: losses.gram(found) for layer, found in self._judges.training(to_tensor(self._style)).items()}

    @cached_property
    def _style_palette(self) -> NDArray[np.float64]:
        return projected_quantiles(self._style)

    @cached_property
    def _style_marks(self) -> dict[str, float]:
        return marks(self._style)

    def _face_distance(self, image: Tensor) -> float:
        if not self._faces:
            return float("nan")
        found = self._judges.held_back(crops(image, self._faces))
        return float(content_distance_of(found, self._photo_faces).mean())


def marks(image: Image) -> dict[str, float]:
    """What a network may leave in a picture: grid, border_colour, border_gradient (see `artefacts`)."""
    border = border_mark(image)
    return {"grid": grid_energy(image), "border_colour": border.colour, "border_gradient": border.gradient}


def crops(image: Tensor, boxes: Sequence[Box]) -> Tensor:
    """The boxes with some room around, from (1, 3, h, w): (boxes, 3, FACE_PX, FACE_PX)."""
    height, width = image.shape[2:]
    parts = []
    for left, top, right, bottom in boxes:
        room_x, room_y = _FACE_ROOM * (right - left), _FACE_ROOM * (bottom - top)
        x0, x1 = round(max(0.0, left - room_x) * width), round(min(1.0, right + room_x) * width)
        y0, y1 = round(max(0.0, top - room_y) * height), round(min(1.0, bottom + room_y) * height)
        part = image[:, :, y0:y1, x0:x1]
        parts.append(F.interpolate(part, (FACE_PX, FACE_PX), mode="bilinear", antialias=True, align_corners=False))
    return torch.cat(parts)


def to_tensor(image: Image) -> Tensor:
    """RGB uint8 (height, width, 3) -> float32 (1, 3, height, width) in 0..1"""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float() / 255


def to_image(tensor: Tensor) -> Image:
    """float (1, 3, height, width) in 0..1 -> RGB uint8 (height, width, 3)"""
    pixels = (tensor[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(pixels.cpu().numpy(), np.uint8)


def _shuffled(names: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    while True:
        yield from (names[int(place)] for place in random.permutation(len(names)))
