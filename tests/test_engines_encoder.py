from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundle import Bundle
from engines.caches import cache_folder
from engines.encoder import StyleEncoder, resolve_style
from engines.errors import StyleError
from engines.styles import save_style


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "Sea  at night.png"
    cv2.imwrite(str(path), np.full((50, 70, 3), (90, 40, 10), np.uint8))
    return path


def test_a_picture_becomes_the_tensors_of_the_style_graph(tiny_bundle: Bundle) -> None:
    image = np.full((2000, 1500, 3), (51, 102, 153), np.uint8)
    style = StyleEncoder(tiny_bundle, threads=1).encode(image, "flat")
    assert np.allclose(style.tensors["mean"], (0.2, 0.4, 0.6), atol=0.01)
    assert style.thumbnail.shape == (128, 96, 3)
    assert style.bundle_id == tiny_bundle.id


def test_pictures_that_cannot_be_encoded(tiny_bundle: Bundle) -> None:
    for image in (np.zeros((8, 40, 3), np.uint8), np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3), np.float32)):
        with pytest.raises(StyleError, match="a style picture is"):
            StyleEncoder(tiny_bundle, threads=1).encode(image, "bad")  # type: ignore[arg-type]


def test_a_name_in_any_case(tiny_bundle: Bundle) -> None:
    assert resolve_style("Moss", tiny_bundle).name == "moss"


def test_a_picture_is_encoded_once(tiny_bundle: Bundle, picture: Path) -> None:
    told: list[str] = []
    first = resolve_style(str(picture), tiny_bundle, threads=1, tell=told.append)
    assert first.name == "Sea at night"
    assert len(told) == 1
    assert told[0].startswith("encoded Sea  at night.png as a style in ")
    copy = picture.with_name("copy.png")
    copy.write_bytes(picture.read_bytes())
    second = resolve_style(str(copy), tiny_bundle, threads=1, tell=told.append)
    assert len(told) == 1
    assert second.name == "copy"
    assert np.array_equal(first.tensors["mean"], second.tensors["mean"])


def test_a_damaged_cache_is_not_used(tiny_bundle: Bundle, picture: Path) -> None:
    resolve_style(str(picture), tiny_bundle, threads=1)
    (kept,) = (cache_folder() / "styles").iterdir()
    kept.write_bytes(b"damaged")
    told: list[str] = []
    resolve_style(str(picture), tiny_bundle, threads=1, tell=told.append)
    assert len(told) == 1
    assert kept.stat().st_size > 100


def test_a_cache_that_cannot_be_written_is_no_error(
    tiny_bundle: Bundle,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("BRUSHCAST_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert resolve_style(str(picture), tiny_bundle, threads=1).name == "Sea at night"
    assert "not cached" in caplog.text


def test_a_style_file(tiny_bundle: Bundle, tmp_path: Path) -> None:
    style = tiny_bundle.style("moss")
    path = tmp_path / "own.safetensors"
    save_style(style, path)
    assert resolve_style(str(path), tiny_bundle).name == "moss"
    save_style(replace(style, bundle_id="f" * 16), path)
    with pytest.raises(StyleError, match="made by bundle ffffffffffffffff"):
        resolve_style(str(path), tiny_bundle)
    save_style(replace(style, tensors={"mean": np.zeros(5, np.float32)}), path)
    with pytest.raises(StyleError, match=r"style\.mean is float32 \(5,\)"):
        resolve_style(str(path), tiny_bundle)


def test_what_is_neither_name_nor_file(tiny_bundle: Bundle) -> None:
    with pytest.raises(StyleError, match=r"no style 'mosss'; did you mean moss\? \(a picture file is a style, too\)"):
        resolve_style("mosss", tiny_bundle)
    with pytest.raises(StyleError, match="does not exist"):
        resolve_style("folder/mosss.png", tiny_bundle)
    for text in ("stormy sea " * 30, "~nobody at all"):  # longer than names may be, a home that is not known
        with pytest.raises(StyleError, match="no style"):
            resolve_style(text, tiny_bundle)


def test_a_model_of_one_style_advises_no_picture() -> None:
    bundle = Bundle.load("johnson-cafe-terrace")
    with pytest.raises(StyleError) as told:
        resolve_style("red-fuji", bundle)
    assert str(told.value) == ("no style 'red-fuji'; known: cafe-terrace (johnson-cafe-terrace paints no other)")


def test_a_cache_that_nobody_may_look_into_is_no_error(
    tiny_bundle: Bundle, picture: Path, own_cache: Path, closed: Callable[[Path], None]
) -> None:
    closed(own_cache)
    assert resolve_style(str(picture), tiny_bundle, threads=1).name == "Sea at night"
    assert resolve_style(str(picture.parent), tiny_bundle, threads=1).thumbnail.shape[2] == 3


def test_a_picture_that_nobody_may_look_at_is_told(
    tiny_bundle: Bundle, picture: Path, closed: Callable[[Path], None]
) -> None:
    closed(picture.parent)
    with pytest.raises(StyleError, match=r"Sea  at night\.png cannot be read \(Permission denied\)"):
        resolve_style(str(picture), tiny_bundle, threads=1)


def test_words_that_no_path_can_be_are_an_unknown_style(tiny_bundle: Bundle) -> None:
    for text in ("stormy sea " * 40, "", " "):
        with pytest.raises(StyleError, match="known: ember, moss"):
            resolve_style(text, tiny_bundle)


def test_a_picture_whose_name_begins_as_a_home_does(
    tiny_bundle: Bundle, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(picture.parent)
    picture.rename("~draft of nobody.png")
    assert resolve_style("~draft of nobody.png", tiny_bundle, threads=1).name == "~draft of nobody"


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems have names of text alone")
def test_a_picture_whose_name_is_no_text(tiny_bundle: Bundle, picture: Path) -> None:
    other = picture.rename(picture.with_name(os.fsdecode(b"caf\xe9.png")))
    style = resolve_style(str(other), tiny_bundle, threads=1)
    assert (style.name, style.source) == ("caf?", "caf?.png")
    assert resolve_style(str(other), tiny_bundle, threads=1).name == "caf?"
    assert len(list((cache_folder() / "styles").iterdir())) == 1
