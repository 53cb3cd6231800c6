"""The command `brushcast bench`: what it prints, keeps and draws, and what it refuses before it measures."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from engines.bundle import Bundle
from realtime.cli import main
from realtime.commands import bench

SHORT = ("--frames", "4", "--rounds", "2", "--warm-up", "1")


def measure(bundle: Bundle, *words: str | Path, size: str = "64x64") -> int:
    return main(["bench", "--sizes", size, *map(str, words), "--model", str(bundle.folder), "--threads", "1"])


def test_stages_and_the_whole_are_told_for_each_size_and_style(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "a.json"
    assert measure(tiny_bundle, *SHORT, "--styles", "moss,ember", "--json", kept, size="64x64,96x64") == 0
    told = json.loads(kept.read_text())
    here = told["circumstances"]
    assert here["provider"] == "CPUExecutionProvider"
    assert here["styles"] == ["moss", "ember"]
    assert (here["warm_up"], here["frames"], here["rounds"], here["threads"]) == (1, 4, 2, 1)
    assert here["machine"]["cpu"]
    assert here["machine"]["cores"] >= 1
    assert {"brushcast", "python", "onnxruntime", "numpy"} <= set(here["versions"])
    assert [(run["size"], run["style"]) for run in told["runs"]] == [
        ("64x64", "moss"),
        ("64x64", "ember"),
        ("96x64", "moss"),
        ("96x64", "ember"),
    ]
    for run in told["runs"]:
        assert {"motion alone", "engine alone", "loop read", "loop paint", "loop write"} <= set(run["stages"])
        assert run["rate"] > 0
    text = capsys.readouterr().out
    for words in ("machine:", "versions:", "CPUExecutionProvider", "1 thread", "moss, ember", "p99", "frames/s end to"):
        assert words in text
    assert "4 frames in each of 2 rounds" in text


def test_the_released_model_is_measured_and_its_precision_told(
    live_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "a.json"
    assert measure(live_bundle, *SHORT, "--json", kept) == 0
    told = json.loads(kept.read_text())["circumstances"]
    assert (told["model"], told["bundle"], told["precision"]) == ("live", live_bundle.id, "fp32")
    assert "fp32" in capsys.readouterr().out


def test_many_streams_each_in_another_style(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "a.json"
    assert measure(tiny_bundle, *SHORT, "--streams", "1,3", "--json", kept) == 0
    told = json.loads(kept.read_text())
    assert told["kind"] == "streams" and told["circumstances"]["rounds"] == 2
    assert [run["style"] for run in told["runs"]] == ["1 stream in ember", "3 streams in ember, moss"]
    for run, count in zip(told["runs"], (1, 3), strict=True):
        assert run["more"]["streams"] == count
        assert run["rate"] == pytest.approx(count * run["more"]["rate_of_each"], abs=0.05)
        assert set(run["stages"]) == {"all streams", "a frame of one"}
    assert "frames/s of all streams" in capsys.readouterr().out
    assert main(["bench", "--compare", str(kept), str(kept)]) == 0


def test_json_can_be_printed(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure(tiny_bundle, *SHORT, "--engine", "identity", "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["circumstances"]["precision"] == "no arithmetic"
    assert "motion alone" not in told["runs"][0]["stages"]


def test_paintings_can_be_encoded(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure(tiny_bundle, *SHORT, "--to", tmp_path / "a.mp4") == 0
    assert (tmp_path / "a.mp4").stat().st_size > 0
    assert "to recording" in capsys.readouterr().out


def test_kept_results_are_compared(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert measure(tiny_bundle, *SHORT, "--style", "moss", "--json", first) == 0
    assert measure(tiny_bundle, *SHORT, "--style", "ember", "--engine", "identity", "--json", second) == 0
    capsys.readouterr()
    assert main(["bench", "--compare", str(first), str(second)]) == 0
    text = capsys.readouterr().out
    paints = [json.loads(file.read_text())["runs"][0]["stages"]["loop paint"]["p50_ms"] for file in (first, second)]
    row = next(line for line in text.splitlines() if "loop paint" in line)
    assert row.split()[-1] == f"{paints[1] / paints[0]:.3f}"
    assert "differs: provider: CPUExecutionProvider / none" in text
    assert "differs: style: moss / ember" in text


@pytest.mark.parametrize("mode", ["speed", "latency", "soak"])
def test_each_kind_is_kept_and_drawn(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("psutil")
    words = {"speed": SHORT, "latency": ("--latency", "--frames", "6"), "soak": ("--soak", "0.01")}[mode]
    files = ("--json", tmp_path / "a.json", "--plot", tmp_path / "a.png")
    assert measure(tiny_bundle, *words, "--engine", "identity", *files) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["kind"] == mode
    text = capsys.readouterr().out
    if mode == "latency":
        assert "codes read: " in text
        assert told["runs"][0]["more"]["share_read"] == 1
        assert told["runs"][0]["stages"]["delay"]["p99_ms"] > 0
    if mode == "soak":
        assert "verdict: memory" in text
        assert told["runs"][0]["more"]["start_mb"] > 1
    assert main(["bench", "--compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sizes", "huge"], "it must be WIDTHxHEIGHT"),
        (["--sizes", "640x360,2x2"], "each side must be"),
        (["--sizes", "640x360,"], "it must be WIDTHxHEIGHT"),
        (["--soak", "-1"], "it must be minutes above 0"),
        (["--soak", "nan"], "it must be minutes above 0"),
        (["--soak", "1", "--latency"], "not allowed with"),
        (["--soak", "1", "--compare", "a.json", "b.json"], "not allowed with"),
        (["--soak", "1", "--rounds", "3"], "--rounds means nothing with --soak"),
        (["--soak", "1", "--sizes", "64x64,96x96"], "--soak takes one size"),
        (["--latency", "--rounds", "3"], "--rounds means nothing with --latency"),
        (["--streams", "0"], "it must be a whole number above 0"),
        (["--streams", "2", "--latency"], "not allowed with"),
        (["--streams", "2", "--to", "a.mp4"], "--to means nothing with --streams"),
        (["--precision", "fp64", "--engine", "torch"], "fp64"),
        (["--engine-mode", "eager"], "the ort engine has no mode"),
        (["--compare", "a.json"], "expected 2 arguments"),
        (["--compare", "a.json", "b.json", "--warm-up", "3"], "--warm-up means nothing with --compare"),
        (["--compare", "none.json", "none.json"], "none.json cannot be read"),
        (["--frames", "0"], "it must be a whole number above 0"),
        (["--warm-up", "few"], "it must be a whole number above 0"),
        (["--style", "moss", "--styles", "moss,ember"], "--style and --styles were both given"),
        (["--styles", "moss,"], "empty name"),
        (["--styles", "moss,embr"], "did you mean ember"),
        (["--json", "none/a.json"], "a folder that exists"),
        (["--json", "."], "a folder that exists"),
        (["--plot", "a.jpg"], "must end in .png"),
        (["--to", "a.xyz", "--frames", "1"], "must end in"),
        (["--provider", "cuba"], "cuba"),
    ],
)
def test_bad_options(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    try:
        code = main(["bench", *words, "--model", str(tiny_bundle.folder)])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert told in lines[0]


@pytest.mark.parametrize(("words", "package"), [(["--plot", "a.png"], "matplotlib"), (["--soak", "1"], "psutil")])
def test_a_missing_extra_is_named_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], package: str
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(bench.painting, "opened", lambda args: pytest.fail("it began to measure"))
    assert main(["bench", *words]) == 2
    told = capsys.readouterr().err
    assert told == f'brushcast: {package} is not installed; run: pip install "brushcast[bench]"\n'
