from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.artworks import FOLDER, find_artwork, load_artworks
from engines.errors import StyleError


def test_released_works_are_complete_and_small() -> None:
    works = load_artworks()
    assert len(works) >= 16
    assert len({work.name for work in works}) == len(works)
    total = 0
    for work in works:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", work.name)
        assert all((work.title, work.painter, work.source, work.look, work.licence_reason)), work.name
        assert work.licence == "Public domain"
        picture = work.picture()
        assert 128 <= max(picture.shape[:2]) <= 512, work.name
        total += work.path.stat().st_size
    assert total < 2_500_000
    assert {path.stem for path in FOLDER.glob("*.jpg")} == {work.name for work in works}, "no picture without a table"


def test_released_works_are_old() -> None:
    for work in load_artworks():
        died = int(work.painter_years[-4:])
        made = int(re.findall(r"\d{4}", work.year)[-1])
        assert died < 1930, f"{work.name}: in the public domain where the term is the life and 70 years"
        assert made <= died
        assert str(died) in work.licence_reason


def test_works_are_found_by_name() -> None:
    works = load_artworks()
    assert find_artwork("red-fuji", works).painter == "Katsushika Hokusai"
    with pytest.raises(StyleError, match="did you mean red-fuji"):
        find_artwork("red-fugi", works)


def test_catalogue_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="cannot be read"):
        load_artworks(tmp_path)
    (tmp_path / "artworks.toml").write_text("[broken", encoding="utf-8")
    with pytest.raises(StyleError, match="not a catalogue"):
        load_artworks(tmp_path)
    (tmp_path / "artworks.toml").write_text('[sun]\ntitle = "Sun"\n', encoding="utf-8")
    with pytest.raises(StyleError, match="not a catalogue"):
        load_artworks(tmp_path)
    whole = (FOLDER / "artworks.toml").read_text(encoding="utf-8")
    (tmp_path / "artworks.toml").write_text(whole, encoding="utf-8")
    with pytest.raises(StyleError, match="lacks the pictures of cafe-terrace"):
        load_artworks(tmp_path)
