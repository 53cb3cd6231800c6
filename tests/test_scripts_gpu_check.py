"""scripts/gpu_check.py, rehearsed on the CPU: what it measures, keeps, leaves out and refuses."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from engines.bundle import Bundle

torch = pytest.importorskip("torch")


@pytest.fixture
def check() -> ModuleType:
    return importlib.import_module("gpu_check")


SMALL = ("--device", "cpu", "--sizes", "64x64", "--streams", "2", "--repeats", "1", "--ways", "eager:fp32")


@pytest.mark.slow
def test_a_rehearsal_is_kept(check: ModuleType, live_bundle: Bundle, tmp_path: Path) -> None:
    assert check.main([*SMALL, "--out", str(tmp_path)]) == 0
    (kept,) = tmp_path.glob("*.json")
    told = json.loads(kept.read_text())
    rows = {(row["way"], row["part"], row["frames"]): row for row in told["rows"]}
    for part in ("guide", "frame", "frame, smoothing 0", "whole, smoothing 0"):
        for frames in (1, 2):
            row = rows["torch eager fp32", part, frames]
            assert set(row["stages_ms"]) == {"upload", "compute", "download"} and row["fps"] > 0
            assert row["more"]["operations"] > 0 and row["more"]["bytes"] > 0 and row["of_products"] > 0
    assert rows["torch eager fp32", "guide", 2]["more"]["operations"] == pytest.approx(
        2 * rows["torch eager fp32", "guide", 1]["more"]["operations"]
    )
    assert rows["torch cpu", "parity, smoothing 0.9", 1]["more"] == {"mean": 0.0, "worst": 0.0}
    assert rows["torch eager fp32", "engine, smoothing 0.9", 2]["fps"] > 0
    assert told["ceilings"]["products"]["fp16"] > 0 and told["left_out"] == []
    page = kept.with_suffix(".md").read_text()
    assert "| 1920x1080 | 500 | - | - | not measured |" in page and "Distances from eager fp32" in page


def test_when_time_is_up_what_there_is_is_kept(check: ModuleType, live_bundle: Bundle, tmp_path: Path) -> None:
    assert check.main([*SMALL, "--minutes", "0.000001", "--out", str(tmp_path)]) == 0
    (kept,) = tmp_path.glob("*.json")
    told = json.loads(kept.read_text())
    assert told["rows"] == [] and all("no time left" in line for line in told["left_out"])
    assert told["ceilings"]["copy"] > 0 and told["circumstances"]["versions"]["torch"]
    again = "--minutes 1e-06 --repeats 1 --sizes 64x64 --streams 2 --ways eager:fp32"
    assert f"`python scripts/gpu_check.py {again}`" in kept.with_suffix(".md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_ends_in_one_line(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu_check: torch sees no cuda device here") and len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sizes", "huge"], "is no size"),
        (["--streams", "0"], "is no number of streams"),
        (["--ways", "fast:fp8"], "are no ways"),
        (["--repeats", "0"], "repeats must be at least 1"),
    ],
)
def test_bad_options(check: ModuleType, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert check.main(["--device", "cpu", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
