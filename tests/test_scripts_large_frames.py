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

STYLE = "red-fuji"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, small_judge: object) -> ModuleType:
    for name in ("promises", "clips", "large_frames"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("large_frames")
    monkeypatch.setattr(found, "load_held_back_vgg", lambda: small_judge)
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, size in (("a.png", (640, 480)), ("b.jpg", (720, 400)), ("small.png", (300, 200))):
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))
    return folder


def test_both_ways_are_measured_at_every_size(
    program: ModuleType, red_fuji_bundle: Path, photos: Path, tmp_path: Path
) -> None:
    kept, sheet = tmp_path / "kept.json", tmp_path / "sheet.png"
    options = ["--model", str(red_fuji_bundle), "--styles", STYLE, "--sizes", "640x400,640x480", "--view", "96"]
    assert program.main([str(photos), *options, "--threads", "1", "--json", str(kept), "--sheet", str(sheet)]) == 0
    told = json.loads(kept.read_text(encoding="utf-8"))
    assert told["photos"] == {"640x400": 2, "640x480": 1}
    assert [(row["size"], row["way"], row["photo"]) for row in told["rows"]] == [
        ("640x400", "usual", "a.png"), ("640x400", "every pixel", "a.png"),
        ("640x400", "usual", "b.jpg"), ("640x400", "every pixel", "b.jpg"),
        ("640x480", "usual", "a.png"), ("640x480", "every pixel", "a.png"),
    ]  # fmt: skip
    for row in told["rows"]:
        assert row["style"] > 0 and row["ms"] > 0
    mean = np.mean([row["style"] for row in told["rows"] if (row["size"], row["way"]) == ("640x400", "usual")])
    assert told["means"]["640x400"]["usual"]["style"] == pytest.approx(mean)
    assert len(told["bars"]) == 4 and all(bar["met"] is not None for bar in told["bars"])
    assert cv2.imread(str(sheet)).shape == (2 * 360, 2 * 480, 3)


def test_what_cannot_be_measured(
    program: ModuleType, red_fuji_bundle: Path, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "empty").mkdir()
    wrongs = {
        "holds no photos": [str(tmp_path / "empty")],
        "no photo of .* is as large as 4000x3000": [str(photos), "--sizes", "4000x3000"],
        "it must be WIDTHxHEIGHT": [str(photos), "--sizes", "large"],
        "at least 1": [str(photos), "--view", "0"],
    }
    for line, options in wrongs.items():
        assert program.main([*options, "--model", str(red_fuji_bundle), "--styles", STYLE, "--threads", "1"]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("large_frames: ")
        assert re.search(line, error)
