from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import InputError
from engines.training import data, evaluation
from engines.training.data import held_out
from engines.training.evaluation import (
    HeldOut,
    Judges,
    Pair,
    PairJudge,
    StyleIndex,
    TrainingPictures,
    crops,
    draw_pairs,
    held_out_faces,
    square,
    to_image,
    to_tensor,
)
from engines.training.held_back import StLpips
from engines.training.metrics import STYLE_LAYERS

Image = NDArray[np.uint8]
SIDE = 256


def network(images: Tensor) -> dict[str, Tensor]:
    """Random features under the names of VGG's layers, each of half the size of the one before."""
    generator = torch.Generator().manual_seed(3)
    features = {}
    for place, name in enumerate(STYLE_LAYERS):
        kernel = torch.randn(6, images.shape[1], 3, 3, generator=generator) * 0.4
        images = torch.nn.functional.conv2d(images, kernel, stride=1 if place == 0 else 2, padding=1).relu()
        features[name] = images
    return features


@pytest.fixture(scope="module")
def judges() -> Judges:
    torch.manual_seed(0)
    perceptual = StLpips()
    for head in perceptual.heads:
        torch.nn.init.ones_(head.weight)  # type: ignore[arg-type]
    return Judges(network, network, perceptual)


def picture(seed: int) -> Image:
    """Blots of a few colours of its own."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (8 + 4 * seed, 8 + 4 * seed, 3), dtype=np.uint8) // (1 + seed % 3)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_pairs_use_every_picture_about_equally_and_are_always_the_same() -> None:
    photos, styles = [f"p{n}" for n in range(10)], [f"s{n}" for n in range(6)]
    pairs = draw_pairs(photos, styles, 25, seed=4)
    assert pairs == draw_pairs(photos, styles, 25, seed=4)
    assert pairs[:7] == draw_pairs(photos, styles, 7, seed=4)
    assert pairs != draw_pairs(photos, styles, 25, seed=5)
    for names, used in ((photos, [p.photo for p in pairs]), (styles, [p.style for p in pairs])):
        counts = Counter(used)
        assert set(counts) == set(names) and max(counts.values()) - min(counts.values()) <= 1


def test_held_out_pictures_are_squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = frozenset({"content/a.png", "style/b.png"})
    monkeypatch.setattr(evaluation, "held_out", lambda: names)
    with pytest.raises(InputError, match="is not a folder"):
        HeldOut(tmp_path / "none", 64)
    (tmp_path / "content").mkdir()
    (tmp_path / "style").mkdir()
    cv2.imwrite(str(tmp_path / "content" / "a.png"), np.zeros((40, 90, 3), np.uint8))
    with pytest.raises(InputError, match=r"lacks 1 of the 2 held-out pictures, style/b\.png"):
        HeldOut(tmp_path, 64)
    cv2.imwrite(str(tmp_path / "style" / "b.png"), np.zeros((90, 40, 3), np.uint8))
    pictures = HeldOut(tmp_path, 64)
    assert (pictures.photos, pictures.styles) == (["content/a.png"], ["style/b.png"])
    assert pictures.picture("content/a.png").shape == (64, 64, 3)


def test_training_pictures_are_spread_over_those_that_are_not_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "held_out", lambda: frozenset({"content/p0.png", "style/s0.png"}))
    monkeypatch.setattr(evaluation, "TRAINING_STYLES", 3)
    for kind, names in (("content", ("p0", "p1", "p2")), ("style", [f"s{n}" for n in range(8)])):
        (tmp_path / kind).mkdir()
        for name in names:
            cv2.imwrite(str(tmp_path / kind / f"{name}.png"), np.zeros((40, 90, 3), np.uint8))
    pictures = TrainingPictures(tmp_path, 64)
    assert pictures.photos == ["content/p1.png", "content/p2.png"]
    assert pictures.styles == ["style/s1.png", "style/s4.png", "style/s7.png"]
    assert pictures.picture("style/s4.png").shape == (64, 64, 3)


def test_a_square_is_the_middle() -> None:
    image = np.zeros((50, 120, 3), np.uint8)
    image[:, 35:85] = 200
    for side in (25, 100):
        assert (square(image, side) == 200).all()


def test_the_faces_are_in_photos_that_are_held_out() -> None:
    faces = held_out_faces()
    assert set(faces) <= held_out() and sum(map(len, faces.values())) == 25
    for boxes in faces.values():
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_crops_have_some_room_and_stay_inside() -> None:
    image = torch.zeros(1, 3, 100, 100)
    image[:, :, 40:60, 40:60] = 1
    middle, corner = crops(image, [(0.4, 0.4, 0.6, 0.6), (0.0, 0.0, 0.3, 0.3)])
    assert middle.shape == (3, evaluation.FACE_PX, evaluation.FACE_PX)
    # 20 of 26 pixels along both axes.
    assert float(middle.mean()) == pytest.approx((20 / 26) ** 2, abs=0.02)
    assert float(corner.max()) == 0


def test_tensors_and_images_are_the_same_picture() -> None:
    image = picture(1)[:32, :48]
    assert to_tensor(image).shape == (1, 3, 32, 48)
    np.testing.assert_array_equal(to_image(to_tensor(image)), image)


def test_the_nearest_style_is_the_right_one() -> None:
    names = [f"style/{n}" for n in range(4)]
    index = StyleIndex(network, ((name, picture(n)) for n, name in enumerate(names)))
    for n, name in enumerate(names):
        # The same texture elsewhere in the picture, and a little noise.
        noise = np.random.default_rng(n).integers(-3, 4, (SIDE, SIDE, 3))
        like = np.clip(np.roll(picture(n), 40, axis=1) + noise, 0, 255).astype(np.uint8)
        distances = index.distances(tuple_of(like))
        assert list(distances) == names
        assert min(distances, key=lambda other: distances[other]) == name


def tuple_of(image: Image) -> evaluation.StyleStatistics:
    return evaluation.style_statistics(network(to_tensor(image)))


def test_figures_of_untouched_photo_of_the_style_picture_and_between(judges: Judges) -> None:
    photo, style, other = picture(2), picture(3), picture(4)
    pair = Pair("content/a", "style/b")
    index = StyleIndex(network, iter([("style/b", style), ("style/c", other)]))
    judge = PairJudge(judges, index, pair, photo, style, [(0.2, 0.2, 0.5, 0.6), (0.5, 0.5, 0.9, 0.9)])
    untouched, copied = judge.measure(photo), judge.measure(style)
    mixed = judge.measure(((photo.astype(np.int64) + style) // 2).astype(np.uint8))
    for name in ("content", "faces", "stlpips"):
        assert untouched[name] == pytest.approx(0, abs=1e-4)
        assert untouched[name] < mixed[name] < copied[name]
    assert untouched["edges"] == pytest.approx(1) and untouched["edges"] > mixed["edges"] > copied["edges"]
    for name in ("style", "gram", "palette"):
        assert copied[name] == pytest.approx(0, abs=1e-4) and untouched[name] > 0.01
    assert copied["nearest"] == 1 and judge.measure(other)["nearest"] == 0
    assert untouched["face_count"] == 2
    for name in ("grid", "border_colour", "border_gradient"):
        assert copied[name] == copied[f"of_style_{name}"] == untouched[f"of_style_{name}"]


def test_a_photo_without_faces_has_no_figure_for_them(judges: Judges) -> None:
    style = picture(3)
    index = StyleIndex(network, iter([("style/b", style)]))
    found = PairJudge(judges, index, Pair("content/a", "style/b"), picture(2), style).measure(style)
    assert math.isnan(found["faces"]) and found["face_count"] == 0
