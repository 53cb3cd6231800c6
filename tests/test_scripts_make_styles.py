from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import make_styles as program
import pytest

from engines.artworks import load_artworks
from engines.bundle import Bundle, seal
from engines.styles import save_style


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def test_all_works_become_styles_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    before = Bundle.load(bundle)
    sheet = tmp_path / "sheet.png"
    assert program.main([str(bundle), "--sheet", str(sheet), "--photo", "synthetic", "--threads", "1"]) == 0
    after = Bundle.load(bundle)
    works = load_artworks()
    assert after.id == before.id
    assert set(after.styles) == {work.name for work in works} | {"ember", "moss"}
    style = after.style("red-fuji")
    assert style.painter == "Katsushika Hokusai"
    assert style.title.startswith("Fine Wind")
    assert style.source and style.year
    assert style.licence.startswith("Public domain")
    assert max(style.thumbnail.shape[:2]) == 128
    drawn = cv2.imread(str(sheet))
    assert drawn is not None and drawn.shape[1] > 1000


def test_styles_of_other_weights_go(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = Bundle.load(bundle)
    save_style(replace(loaded.style("moss"), name="old", bundle_id="0" * 16), bundle / "styles" / "old.safetensors")
    seal(bundle, loaded.manifest)
    after = program.make_styles(bundle, load_artworks()[:1], threads=1)
    assert set(after.styles) == {"ember", "moss", load_artworks()[0].name}
    assert "removed old" in capsys.readouterr().out


def test_faults_are_one_line(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(tmp_path / "none")]) == 2
    assert program.main([str(bundle), "--artworks", str(tmp_path)]) == 2
    assert program.main([str(bundle), "--sheet", str(tmp_path / "none" / "sheet.png")]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "make_styles: " in line]
    assert len(told) == 3
