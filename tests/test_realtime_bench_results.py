"""Results are kept and read again; two are compared; what is no result is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import InputError, SinkError
from realtime.bench import compare, results, tables
from realtime.bench.results import Circumstances, Result, Run
from realtime.machine import Machine
from realtime.stats import Percentiles

HERE = Circumstances(
    machine=Machine("a processor", 2, "Linux 6", ""),
    versions={"brushcast": "1", "onnxruntime": "1.31"},
    model="live",
    bundle="0123456789abcdef",
    engine="ort",
    provider="CPUExecutionProvider",
    precision="float32",
    threads=None,
    strength=1.0,
    smoothing=0.9,
    stroke=1.0,
    render_scale=1.0,
    kernel_interval=2,
    keep_colours=0.0,
    styles=["moss"],
    to="null",
    warm_up=5,
    frames=60,
    rounds=3,
)


def measured(paint_ms: float, rate: float, size: str = "640x360", style: str = "moss") -> Run:
    stages = {"paint": Percentiles(paint_ms, 2 * paint_ms, 3 * paint_ms), "write": Percentiles(0.0, 0.1, 0.2)}
    return Run(size, style, rate, stages, {"peak_memory_mb": 180.5})


def result(*runs: Run, here: Circumstances = HERE) -> Result:
    return Result("speed", "2026-01-02T03:04:05+00:00", 0.25, here, list(runs))


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    told = result(measured(40, 24.5), measured(90, 11, "1280x720"))
    results.keep(told, tmp_path / "a.json")
    assert results.load(tmp_path / "a.json") == told
    with pytest.raises(SinkError, match="cannot be written"):
        results.keep(told, tmp_path / "none" / "a.json")


def test_what_was_kept_before_there_was_oil_is_read_and_compared(tmp_path: Path) -> None:
    told = result(measured(40, 24.5)).as_json()
    del told["circumstances"]["oil"]
    (tmp_path / "old.json").write_text(json.dumps(told), encoding="utf-8")
    old = results.load(tmp_path / "old.json")
    assert compare.differences(old, result(measured(40, 24.5))) == []
    assert "oil" in compare.differences(old, result(measured(40, 24.5), here=replace(HERE, oil=0.5)))[0]


def test_ratios_are_second_over_first() -> None:
    first = result(measured(40, 24), measured(90, 11, "1280x720"))
    second = result(measured(120, 8, "1280x720"), measured(20, 48))
    rows = compare.rows(first, second)
    assert [(row.size, row.stage, row.ratio) for row in rows] == [
        ("640x360", "paint", 0.5),
        ("640x360", "write", None),  # nothing over nothing
        ("640x360", compare.RATE, 2.0),
        ("1280x720", "paint", pytest.approx(4 / 3)),
        ("1280x720", "write", None),
        ("1280x720", compare.RATE, pytest.approx(8 / 11)),
    ]
    assert compare.differences(first, second) == []
    text = "\n".join(tables.comparison(rows, []))
    assert "0.500" in text
    assert "are the same" in text


def test_what_was_not_the_same_is_said() -> None:
    there = replace(
        HERE,
        machine=Machine("another processor", 2, "Linux 6", "a GPU"),
        provider="CUDAExecutionProvider",
        precision="float16",
        styles=["ember"],
        versions={"brushcast": "1", "onnxruntime-gpu": "1.31"},
    )
    told = compare.differences(
        result(measured(40, 24), measured(9, 1, "64x64")), result(measured(20, 48, style="ember"), here=there)
    )
    assert told == [
        "machine (cpu): a processor / another processor",
        "machine (gpu): none / a GPU",
        "version of onnxruntime: 1.31 / none",
        "version of onnxruntime-gpu: none / 1.31",
        "provider: CPUExecutionProvider / CUDAExecutionProvider",
        "precision: float32 / float16",
        "style: moss / ember",
        "sizes: only the first has 64x64",
    ]


def test_the_same_style_is_compared_where_there_are_several() -> None:
    first = result(measured(1, 1, style="moss"), measured(2, 1, style="ember"), measured(3, 1, style="fog"))
    second = result(measured(4, 1, style="ember"), measured(5, 1, style="snow"), measured(6, 1, style="moss"))
    assert [row.second / row.first for row in compare.rows(first, second) if row.stage == "paint"] == [6, 2, 5 / 3]


def test_results_without_anything_in_common_are_refused() -> None:
    with pytest.raises(InputError, match="no size in common"):
        compare.rows(result(measured(1, 1)), result(measured(1, 1, "64x64")))
    with pytest.raises(InputError, match="compare two of one kind"):
        compare.rows(result(measured(1, 1)), replace(result(measured(1, 1)), kind="soak"))


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    good = result(measured(40, 24)).as_json()
    other_number = json.loads(json.dumps(good))
    other_number["runs"][0]["stages"]["paint"]["p50_ms"] = "fast"
    for name, told in {
        "other": {"machine": {}, "networks": []},
        "list": [1, 2],
        "nothing": None,
        "version": {**good, "format": "brushcast-bench 99"},
        "empty": {**good, "runs": []},
        "kind": {**good, "kind": "taste"},
        "lacks": {key: value for key, value in good.items() if key != "runs"},
        "machine": {**good, "circumstances": {**good["circumstances"], "machine": 3}},
        "versions": {**good, "circumstances": {**good["circumstances"], "versions": "1.31"}},
        "number": other_number,
        "huge": {**good, "runs": [{**good["runs"][0], "rate": 10**400}]},
        "infinite": {**good, "runs": [{**good["runs"][0], "rate": float("inf")}]},
    }.items():
        (tmp_path / name).write_text(json.dumps(told))
        with pytest.raises(InputError, match=f"{name} is no result of `brushcast bench --json`"):
            results.load(tmp_path / name)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes", "missing"):
        with pytest.raises(InputError, match=name):
            results.load(tmp_path / name)
