"""Which pictures a method learns its styles from."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.artworks import load_artworks
from engines.errors import BrushcastError
from engines.training import style_sources


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_any_style_is_of_the_data(tmp_path: Path) -> None:
    assert style_sources.find("any", [], tmp_path) == tmp_path / "style"


def test_a_table_is_of_what_was_asked_for_in_that_order(pictures: Path) -> None:
    found = style_sources.find("many", [str(pictures / "b.png"), "cafe-terrace", str(pictures)], pictures)
    assert isinstance(found, list)
    assert [path.name for path in found] == ["b.png", "cafe-terrace.jpg", "a.jpg", "b.png"]


def test_a_table_of_nothing_is_of_all_works(tmp_path: Path) -> None:
    assert style_sources.find("many", [], tmp_path) == [work.path for work in load_artworks()]


def test_one_style_is_one_picture(pictures: Path) -> None:
    assert style_sources.find("one", [str(pictures / "a.jpg")], pictures) == [pictures / "a.jpg"]


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        ("any", ["cafe-terrace"], "this method learns from DATA/style"),
        ("one", [], "one style, not 0"),
        ("one", ["cafe-terrace", "red-fuji"], "one style, not 2"),
        ("one", ["cafe-terace"], "no artwork 'cafe-terace'"),
        ("many", ["{empty}"], "has no pictures"),
    ],
)
def test_what_does_not_fit_is_told(kind: str, asked: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = [text.format(empty=tmp_path / "empty") for text in asked]
    with pytest.raises(BrushcastError, match=said):
        style_sources.find(kind, told, tmp_path)  # type: ignore[arg-type]
