from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import make_styles as program
import numpy as np
import pytest

from engines.artworks import load_artworks
from engines.bundle import Bundle, seal
from engines.styles import Style, save_style
from engines.training import fit_bundle
from engines.training.data import held_out


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
    after = program.make_styles(loaded, load_artworks()[:1], program.encoding(loaded, threads=1))
    assert set(after.styles) == {"ember", "moss", load_artworks()[0].name}
    assert "removed old" in capsys.readouterr().out


def test_fitted_styles_are_kept_where_a_run_goes_on(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    shown: list[int] = []

    class Fitter:
        def __init__(self, of: Bundle, photos: Sequence[Any]) -> None:
            self.encode = program.StyleEncoder(of, threads=1).encode
            shown.append(len(photos))

        def fit(self, picture: Any, name: str, *, steps: int) -> Style:
            asked.append(name)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return replace(self.encode(picture, name), extra={fit_bundle.FITTED: str(steps)})

    monkeypatch.setattr(fit_bundle, "StyleFitter", Fitter)
    content = tmp_path / "holiday"  # held out are pictures, whatever their folder is called
    content.mkdir()
    for name in ("a.png", "b.png", Path(min(held_out())).name):
        cv2.imwrite(str(content / name), np.full((40, 50, 3), 90, np.uint8))
    works = load_artworks()[:2]
    loaded = Bundle.load(bundle)
    with pytest.raises(KeyboardInterrupt):
        program.make_styles(loaded, works, program.fitting(loaded, content, 3))
    begun = Bundle.load(bundle)
    after = program.make_styles(begun, works, program.fitting(begun, content, 3))
    assert asked == [works[0].name, works[1].name, works[1].name]
    assert shown == [2, 2]  # not what is held out
    assert after.style(works[0].name).extra[fit_bundle.FITTED] == "3"
    assert after.style(works[0].name).painter == works[0].painter
    program.make_styles(after, works[:1], program.fitting(after, content, 4))
    assert asked[3:] == [works[0].name]  # of other steps


def test_styles_are_fitted_on_photos_from_all_over_the_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is in the order of its names: the first of many are of one collection, or of one day."""
    shown: list[list[int]] = []
    monkeypatch.setattr(fit_bundle, "StyleFitter", lambda of, photos: shown.append([int(p[0, 0, 0]) for p in photos]))
    monkeypatch.setattr(program, "MOST_PHOTOS", 3)
    for number in range(7):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((40, 50, 3), number, np.uint8))
    program.fitting(Bundle.load(bundle), tmp_path, 3)
    assert shown == [[0, 3, 6]]


def test_faults_are_one_line(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(tmp_path / "none")]) == 2
    assert program.main([str(bundle), "--artworks", str(tmp_path)]) == 2
    assert program.main([str(bundle), "--sheet", str(tmp_path / "none" / "sheet.png")]) == 2
    assert program.main([str(bundle), "--fit", "3"]) == 2
    assert program.main([str(bundle), "--fit", "3", "--photos", str(tmp_path)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "make_styles: " in line]
    assert len(told) == 5
