from __future__ import annotations

import importlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from realtime.frames import Painted
from realtime.recording import Recording
from realtime.synthetic import SyntheticSource

STYLE = "red-fuji"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, small_judge: object) -> ModuleType:
    for name in ("promises", "clips", "large_frames", "faster_paths"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("faster_paths")
    monkeypatch.setattr(found, "load_held_back_vgg", lambda: small_judge)
    return found


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    source = SyntheticSource((160, 128), frames=8)
    with Recording(folder / "scene.mp4", source.info) as recording:
        while (frame := source.read()) is not None:
            recording.write(Painted(frame, frame.image, 0.0, 0.0))
    assert source.info.rate != Fraction(0)
    return folder


def test_ways_are_told_beside_the_first(
    program: ModuleType, red_fuji_bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faster.json"
    arguments = [str(clips), "--model", str(red_fuji_bundle), "--styles", STYLE, "--size", "128x96", "--frames", "6"]
    assert program.main([*arguments, "--threads", "1", "--json", str(out)]) == 0
    ways = json.loads(out.read_text())["ways"]
    assert next(iter(ways)) == program.REFERENCE and len(ways) == 1 + len(program.INTERVALS) + 2
    first = ways[program.REFERENCE]
    assert first["ratio"] == 1 and first["mean"] == first["most"] == 0
    for figures in ways.values():
        assert figures["ms"] > 0 and 0 <= figures["mean"] <= figures["most"] <= 255
    assert "kernels every 2 frames" in capsys.readouterr().out


def test_too_few_frames_are_an_error(
    program: ModuleType, red_fuji_bundle: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([str(clips), "--model", str(red_fuji_bundle), "--styles", STYLE, "--frames", "3"]) == 2
    assert "frames must be more than" in capsys.readouterr().err
