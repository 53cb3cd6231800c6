from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engines.training.metrics import style_statistics


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, small_judge: object) -> ModuleType:
    for name in ("promises", "compare_collection"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("compare_collection")
    monkeypatch.setattr(found, "load_held_back_vgg", lambda: small_judge)
    return found


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two style pictures, three photos."""
    random = np.random.default_rng(0)
    for folder, count in (("pictures", 2), ("photos", 3)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            assert cv2.imwrite(str(tmp_path / folder / f"{number}.png"), cv2.resize(coarse, (80, 64)))
    return tmp_path / "pictures", tmp_path / "photos"


def test_the_collection_stands_beside_each_picture(
    program: ModuleType, tiny_bundle: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    options = ["--model", str(tiny_bundle.folder), "--photos-used", "2", "--threads", "1", "--json", str(kept)]
    assert program.main([*map(str, folders), *options]) == 0
    told = json.loads(kept.read_text(encoding="utf-8"))
    assert told["photos"] == ["0.png", "1.png"]
    assert set(told["means"]) == {"the collection", "0", "1"}
    assert all(min(row["style"], row["each"], row["content"]) > 0 for row in told["means"].values())
    best = told["means"][told["best_single"]]["style"]
    assert best == min(told["means"][name]["style"] for name in ("0", "1"))
    assert told["bars"][0]["value"] == pytest.approx(told["means"]["the collection"]["style"] / best)


def test_seen_as_one_pictures_lie_side_by_side(program: ModuleType, small_judge: Any) -> None:
    left, right = torch.rand(1, 3, 64, 64), 0.3 * torch.rand(1, 3, 64, 64)
    features = [small_judge(picture) for picture in (left, right)]
    wanted = style_statistics({name: torch.cat([f[name] for f in features], 3) for name in features[0]})
    found = program.seen_as_one([style_statistics(f) for f in features])
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours[0], theirs[0])
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-3, atol=1e-4)


def test_what_cannot_be_measured(
    program: ModuleType, tiny_bundle: Any, folders: tuple[Path, Path], tmp_path: Path, capsys: Any
) -> None:
    pictures, photos = folders
    (tmp_path / "empty").mkdir()
    for line, places in {
        "holds no pictures": (tmp_path / "empty", photos),
        "has no photos to use": (pictures, tmp_path / "empty"),
    }.items():
        assert program.main([*map(str, places), "--model", str(tiny_bundle.folder)]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("compare_collection: ") and re.search(line, error)
    (pictures / "1.png").unlink()
    assert program.main([str(pictures), str(photos), "--model", str(tiny_bundle.folder)]) == 2
    assert "at least two" in capsys.readouterr().err
