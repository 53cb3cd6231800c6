from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.encoder import Encoded, resolve_style
from engines.errors import EngineError, StyleError
from engines.styles import parts_of
from engines.words import matches, open_text_encoder, style_of_words, unit, words_of

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


class Colours:
    """Knows words for colours, and sees nothing but the mean colour."""

    name = "colours"

    def __init__(self) -> None:
        self.seen = 0

    def of_text(self, words: str) -> NDArray[np.float32]:
        found = [np.array(COLOURS[word], float) for word in words.split() if word in COLOURS]
        return unit(np.mean(found, 0) - 87)

    def of_picture(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += 1
        return unit(image.reshape(-1, 3).mean(0) - 87)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((40, 40, 3), colour[::-1], np.uint8))
    return tmp_path


def test_what_is_told_in_words() -> None:
    assert words_of("moss") is None
    assert words_of("Text: a  stormy\nsea ") == "a stormy sea"
    with pytest.raises(StyleError, match="needs words behind it"):
        words_of("text: ")


def test_the_nearest_have_shares_by_their_likeness() -> None:
    wanted = np.array([1, 0, 0], np.float32)
    near = {f"p{k}": np.array([cos, (1 - cos * cos) ** 0.5, 0], np.float32) for k, cos in enumerate((0.30, 0.29, 0.1))}
    found = matches(wanted, near)
    assert [match.name for match in found] == ["p0", "p1"]  # the third has no share worth it
    assert found[0].share == pytest.approx(np.e / (np.e + 1), abs=1e-3)
    assert sum(match.share for match in found) == pytest.approx(1)
    assert found[0].likeness == pytest.approx(0.30)
    assert len(matches(wanted, near, most=1)) == 1
    with pytest.raises(StyleError, match="library of pictures is empty"):
        matches(wanted, {})


def test_words_become_a_mix_and_say_so(tiny_bundle: Bundle, library: Path) -> None:
    told: list[str] = []
    encoder, encoded = Colours(), Encoded(tiny_bundle, threads=1)
    style = style_of_words(
        "red and blue", tiny_bundle, encoded.picture, library=library, encoder=encoder, tell=told.append
    )
    tiny_bundle.check_style(style)
    assert style.name == "red and blue"
    assert parts_of(style) == {"red and blue": 1.0}  # nobody knows the pictures by their names
    assert np.allclose(style.tensors["mean"], np.array([115, 30, 115]) / 255, atol=0.01)
    assert told == [
        '"red and blue" was searched for, not generated: a mix of the nearest of 3 of '
        f"{library}: blue.png 50%, red.png 50%"
    ]
    assert encoder.seen == 3
    style_of_words("green", tiny_bundle, encoded.picture, library=library, encoder=encoder)
    assert encoder.seen == 3  # what it saw is kept


def test_the_library_is_the_artworks(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("engines.words.open_text_encoder", lambda threads, tell: Colours())
    style = resolve_style("text:red", tiny_bundle, threads=1, tell=told.append)
    assert style.name == "red"
    assert "of the artworks: " in told[0]
    tiny_bundle.check_style(style)


@pytest.mark.parametrize("names", [("ember", "moss"), ("ember", "great-wave")])
def test_a_mix_of_named_styles_alone_knows_its_parts(
    tiny_bundle: Bundle, library: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    works = [
        SimpleNamespace(name=name, path=library / f"{colour}.png")
        for name, colour in zip(names, ("red", "blue"), strict=True)
    ]
    monkeypatch.setattr("engines.words.load_artworks", lambda: works)
    encoded = Encoded(tiny_bundle, threads=1)
    style = style_of_words("red and blue", tiny_bundle, encoded.picture, encoder=Colours())
    assert set(parts_of(style)) == (set(names) if "moss" in names else {"red and blue"})


def test_libraries_that_cannot_be_used(tiny_bundle: Bundle, baked_bundle: Bundle, library: Path) -> None:
    def find(bundle: Bundle, folder: Path) -> None:
        style_of_words("red", bundle, Encoded(bundle).picture, library=folder, encoder=Colours())

    with pytest.raises(StyleError, match="is no folder"):
        find(tiny_bundle, library / "red.png")
    (library / "empty").mkdir()
    with pytest.raises(StyleError, match="holds no pictures"):
        find(tiny_bundle, library / "empty")
    with pytest.raises(StyleError, match="alone; words need a model that takes more"):
        find(baked_bundle, library)


def test_without_the_package_the_pip_line_is_told(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    monkeypatch.delitem(sys.modules, "engines.clip", raising=False)
    with pytest.raises(EngineError, match=r'fastembed is not installed; run: pip install "brushcast\[text\]"'):
        open_text_encoder()
    with pytest.raises(EngineError, match=r"brushcast\[text\]"):
        resolve_style("text:stormy sea", tiny_bundle)


def test_a_vector_without_a_direction() -> None:
    assert np.allclose(unit([3.0, 4.0]), [0.6, 0.8])
    for vector in ([0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(EngineError, match="without a direction"):
            unit(vector)


def test_what_was_kept_of_a_picture_and_is_empty_is_seen_anew(
    tiny_bundle: Bundle, library: Path, own_cache: Path
) -> None:
    encoder = Colours()
    for _ in range(2):
        style_of_words("red", tiny_bundle, Encoded(tiny_bundle, threads=1).picture, library=library, encoder=encoder)
        for kept in (own_cache / "text").iterdir():
            kept.write_bytes(b"")
    assert encoder.seen == 6
