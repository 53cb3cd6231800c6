from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import collection
from engines.bundle import Bundle
from engines.collection import contents_key, pictures_in, pooled, pooled_palette, pooled_tones
from engines.encoder import StyleEncoder, resolve_style
from engines.errors import StyleError
from engines.recolour import palette_of, statistics
from engines.styles import Style
from engines.tone import tones_of


def palette(picture: np.ndarray) -> np.ndarray:
    return palette_of(*statistics(picture))


@pytest.fixture
def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        random.normal(centre, spread, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        for centre, spread in (((40, 60, 90), 10), ((200, 160, 60), 30), ((120, 30, 180), 5))
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "By  one hand"
    (found / "deeper").mkdir(parents=True)
    for name, colour in {"a.png": (0, 0, 200), "b.JPG": (0, 200, 0), "deeper/c.png": (200, 0, 0)}.items():
        cv2.imwrite(str(found / name), np.full((40, 50, 3), colour, np.uint8))
    (found / "notes.txt").write_text("not a picture", encoding="utf-8")
    (found / ".hidden.png").write_bytes(b"not a picture")
    return found


def test_the_palette_is_that_of_all_pictures_seen_as_one(pictures: list[np.ndarray]) -> None:
    together = palette(np.concatenate(pictures))
    found = pooled_palette(np.stack([palette(picture) for picture in pictures]))
    assert np.allclose(found, together, atol=1e-3)
    apart = np.diag(found[3:].reshape(3, 3)).mean()
    assert apart > 3 * np.mean([np.diag(palette(picture)[3:].reshape(3, 3)).mean() for picture in pictures])


def test_the_tones_are_those_of_all_pictures_seen_as_one(pictures: list[np.ndarray]) -> None:
    found = pooled_tones(np.stack([tones_of(picture) for picture in pictures]))
    assert found.shape == (3, 17)
    assert np.abs(found - tones_of(np.concatenate(pictures))).mean() < 0.02
    assert (np.diff(found) >= 0).all()


def test_tensors_are_pooled_by_their_meaning() -> None:
    def style(name: str, value: float) -> Style:
        tensors = {
            "bands": np.array([[value, 0.1]], np.float32),
            "modulation": np.full((1, 5), value, np.float32),
            "keys": np.full((1, 2, 4), value, np.float32),
            "values": np.full((1, 4, 3), value, np.float32),
        }
        return Style(name, tensors, np.full((9, 12, 3), round(value), np.uint8), "b", licence="CC0")

    found = pooled([style("low", 1), style("high", 7)], "both", source="2 pictures")
    assert np.allclose(found.tensors["bands"], [[4, 0.1]])  # quantiles: their mean is between the spreads
    assert np.allclose(found.tensors["modulation"], 4)
    assert set(np.unique(found.tensors["values"])) == {1, 7}  # tokens are chosen, not averaged
    assert {name: t.shape for name, t in found.tensors.items()} == {
        name: t.shape for name, t in style("", 1).tensors.items()
    }
    assert all(tensor.dtype == np.float32 for tensor in found.tensors.values())
    assert (found.name, found.source, found.licence) == ("both", "2 pictures", "")
    turned = pooled([style("high", 7), style("low", 1)], "both")
    assert all(np.array_equal(turned.tensors[name], tensor) for name, tensor in found.tensors.items())


def test_one_picture_is_itself(tiny_bundle: Bundle) -> None:
    moss = tiny_bundle.style("moss")
    found = pooled([moss], "mine")
    assert found.name == "mine"
    assert found.tensors is moss.tensors
    with pytest.raises(StyleError, match="at least one"):
        pooled([], "none")
    with pytest.raises(StyleError, match="different bundles"):
        pooled([moss, Style("x", moss.tensors, moss.thumbnail, "other")], "both")


def test_a_folder_is_a_style(tiny_bundle: Bundle, folder: Path, own_cache: Path) -> None:
    told: list[str] = []
    found = resolve_style(str(folder), tiny_bundle, threads=1, tell=told.append)
    tiny_bundle.check_style(found)
    assert found.name == "By one hand"
    assert np.allclose(found.tensors["mean"], np.array([100, 100, 0]) / 255, atol=0.01)
    assert found.thumbnail.shape == (128, 128, 3)
    assert [line.partition(" in ")[0] for line in told] == [f"made one style of 2 pictures of {folder}"]
    copy = folder.with_name("again")
    copy.mkdir()
    (copy / "z.png").write_bytes((folder / "a.png").read_bytes())
    (copy / "y.jpg").write_bytes((folder / "b.JPG").read_bytes())
    again = resolve_style(str(copy), tiny_bundle, threads=1, tell=told.append)
    assert len(told) == 1  # by its contents, it is there already
    assert again.name == "again"
    assert np.array_equal(again.tensors["mean"], found.tensors["mean"])


def test_pictures_of_a_folder_are_kept_one_by_one(
    tiny_bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = StyleEncoder.encode

    def counting(self: StyleEncoder, picture: np.ndarray, name: str, *, source: str = "") -> Style:
        encoded.append(name)
        return encode(self, picture, name, source=source)

    monkeypatch.setattr(StyleEncoder, "encode", counting)
    resolve_style(str(folder / "a.png"), tiny_bundle, threads=1)
    resolve_style(str(folder), tiny_bundle, threads=1)
    assert encoded == ["a", "b"]


def test_a_long_wait_is_told_beforehand(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 20, 3), 20 * number, np.uint8))
    told: list[str] = []
    resolve_style(str(tmp_path), tiny_bundle, threads=1, tell=told.append)
    assert told[0] == f"encoding 9 pictures of {tmp_path} ..."
    assert len(told) == 2


def test_folders_that_are_no_style(
    tiny_bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StyleError, match="holds no pictures"):
        resolve_style(str(tmp_path / "empty"), tiny_bundle)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(StyleError, match=r"broken\.png"):
        resolve_style(str(folder), tiny_bundle, threads=1)
    monkeypatch.setattr(collection, "MOST_PICTURES", 2)
    with pytest.raises(StyleError, match="holds 3 pictures; a style can have 2"):
        pictures_in(folder)
    with pytest.raises(StyleError, match="cannot be read"):
        pictures_in(tmp_path / "nowhere")


def test_the_key_is_of_the_contents() -> None:
    assert contents_key(["a", "b"]) == contents_key(["b", "a"])
    assert contents_key(["a", "b"]) != contents_key(["a", "b", "b"])
