from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.api import RANGES
from engines.bundle import Bundle
from engines.errors import BrushcastError, BundleError, EngineError, InputError
from engines.guide import guide_size
from engines.plans import load_plans
from engines.sizes import SizeRange
from engines.working import working_size
from export.commands import tensorrt
from export.plan_graph import check_graph, prepared
from export.profiles import profile, ranges

SMALL = SizeRange((64, 64), (96, 80), (160, 128))

Export = Callable[..., Path]


@pytest.fixture
def export(tiny_bundle: Bundle, tmp_path: Path) -> Export:
    """Runs the command on the tiny bundle, with its own options as words; returns the folder that it was to write."""

    def run(*words: str, told: list[str] | None = None, out: Path = tmp_path / "out", **common: Any) -> Path:
        parser = argparse.ArgumentParser()
        tensorrt.add_arguments(parser)
        options = vars(parser.parse_args(list(words)))
        common = {
            "checkpoint": str(tiny_bundle.folder),
            "out": out,
            "style": None,
            "sizes": SMALL,
            "precision": None,
            "name": None,
            **common,
        }
        tensorrt.run(argparse.Namespace(**options, **common), [].append if told is None else told.append)
        return out

    return run


def test_a_bundle_with_plans(gpu: Any, export: Export, tiny_bundle: Bundle, tmp_path: Path) -> None:
    lines: list[str] = []
    out = export(told=lines, name="quick")
    bundle = Bundle.load(out)
    assert [line for line in lines if "\n" in line] == []
    assert (bundle.id, bundle.name, bundle.styles) == (tiny_bundle.id, "quick", tiny_bundle.styles)
    plans = load_plans(bundle)
    assert set(plans.plans) == {"guide.onnx", "frame.onnx", "regions.onnx"}
    assert plans.host is not None
    assert plans.host.told() == {
        "tensorrt": "10.3.0",
        "gpu": "NVIDIA Fake 9000",
        "capability": "8.9",
        "driver": "13.0",
    }
    assert {f"plans/{plan.file}" for plan in plans.plans.values()} <= set(bundle.manifest["files"])
    assert (gpu.builds, len(gpu.monitored)) == (3, 3)
    assert gpu.timings == [b"", b"timings\x01", b"timings\x02"]  # each build knows what the one before measured
    assert any("at the worst place" in line for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_plans_are_built_once(gpu: Any, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    export()
    export(told=lines)
    assert gpu.builds == 3
    assert sum("kept from an earlier build" in line for line in lines) == 3
    gpu.driver = 13010  # everything that a plan depends on makes another one
    export()
    assert gpu.builds == 6
    export(sizes=SizeRange((64, 64), (96, 80), (160, 136)))
    assert gpu.builds == 9
    export("--workspace-mb", "64")
    assert gpu.builds == 12


def test_a_damaged_plan_that_was_kept_is_built_anew(gpu: Any, export: Export, own_cache: Path) -> None:
    export()
    for path in (own_cache / "plans").glob("*.plan"):
        path.write_bytes(path.read_bytes()[:-1])
    export()
    assert gpu.builds == 6


def test_tensorrt_11(gpu: Any, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_gpu  # type: ignore[import-not-found]  # noqa: PLC0415 (on the path since the fixture)

    gpu.version = "11.0.0.114"
    fake_gpu.reinstall(monkeypatch, gpu)
    plans = load_plans(Bundle.load(export()))
    assert plans.host is not None
    assert plans.host.tensorrt == "11.0.0.114"


def test_fp16_is_in_the_graph(gpu: Any, export: Export) -> None:
    out = export("--commands", precision="fp16")
    model = onnx.load(out / "plans" / "onnx" / "frame.onnx")
    assert any(
        attribute.name == "to" and attribute.i == TensorProto.FLOAT16
        for node in model.graph.node
        for attribute in node.attribute
    )
    assert load_plans(Bundle.load(export(precision="fp16"))).precision == "fp16"


def test_the_lines_that_build_elsewhere_need_no_tensorrt(
    export: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines: list[str] = []
    out = export("--commands", "--workspace-mb", "512", told=lines)
    script = (out / "plans" / "build.sh").read_text(encoding="utf-8")
    builds = [line for line in script.splitlines() if line.startswith("trtexec ")]
    assert len(builds) == 3
    assert all(line in lines for line in builds)
    (frame,) = (line for line in builds if "frame.onnx" in line)
    for word in ("--stronglyTyped", "--saveEngine=plans/frame.plan", "--timingCacheFile=", "workspace:512M"):
        assert word in frame
    for word in ("--minShapes=", "--optShapes=", "--maxShapes="):
        assert frame.count(word) == 1
    assert "frame:64x64x3," in frame
    assert "small:16x16x3," in frame
    assert "memory.source:32x40x3" in frame
    assert "style.tokens" not in frame  # its shape is fixed
    assert "--adopt" in script
    for graph in ("guide", "frame", "regions"):
        onnx.checker.check_model(onnx.load(out / "plans" / "onnx" / f"{graph}.onnx"))
    assert load_plans(Bundle.load(out)).host is None


def test_plans_from_elsewhere_are_taken_in(gpu: Any, export: Export, tmp_path: Path) -> None:
    built = export(out=tmp_path / "built")
    out = export("--commands")
    with pytest.raises(BundleError, match=r"lacks guide\.plan, frame\.plan, regions\.plan; run plans/build\.sh"):
        export("--adopt", checkpoint=str(out), sizes=None)
    for plan in (built / "plans").glob("*.plan"):
        (out / "plans" / plan.name).write_bytes(plan.read_bytes())
    with pytest.raises(EngineError, match=r"not taken in yet; run: brushcast-export tensorrt .* --adopt"):
        load_plans(Bundle.load(out)).check(Bundle.load(out), load_plans(Bundle.load(built)).host)  # type: ignore[arg-type]
    lines: list[str] = []
    export("--adopt", checkpoint=str(out), sizes=None, told=lines)
    assert load_plans(Bundle.load(out)).host is not None
    assert any("at the worst place" in line for line in lines)


def test_what_is_refused_leaves_nothing(gpu: Any, export: Export, tmp_path: Path) -> None:
    def refused(*words: str, **common: Any) -> str:
        with pytest.raises(BrushcastError) as caught:
            export(*words, **common)
        assert list(tmp_path.iterdir()) == []
        assert "\n" not in str(caught.value)
        return str(caught.value)

    gpu.unsupported = {"Expand"}
    assert "TensorRT 10.3.0 does not take guide.onnx: Expand (): no importer for Expand" in refused()
    gpu.unsupported = set()
    gpu.fail_build = "no tactic has room\nsecond line"
    assert "cannot build guide.onnx: no tactic has room" in refused()
    gpu.fail_build = ""
    assert "workspace is 0 MB" in refused("--workspace-mb", "0")
    assert "export an int8 bundle first: brushcast-export onnx" in refused(precision="int8")
    assert "torch-tensorrt builds fp32" in refused("--method", "torch-tensorrt", precision="fp16")
    gpu.count = 0
    assert "no GPU 0; CUDA sees 0" in refused()
    gpu.driver_there = False
    assert "said of cudaErrorInsufficientDriver" in refused()


def test_options_that_nothing_would_come_of_are_refused(gpu: Any, export: Export, tmp_path: Path) -> None:
    told = r"--adopt takes no --size, --precision, --name, --method, --workspace-mb; leave that out"
    with pytest.raises(InputError, match=told):
        export("--adopt", "--method", "api", "--workspace-mb", "64", precision="fp32", name="mine")
    with pytest.raises(InputError, match="--commands takes no --device, --method; leave that out"):
        export("--commands", "--device", "0", "--method", "api")
    with pytest.raises(InputError, match=r"last\.pt is none; give its folder"):
        export("--adopt", checkpoint="last.pt", sizes=None)
    assert list(tmp_path.iterdir()) == []


def test_plans_that_paint_otherwise_are_refused(gpu: Any, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.plan_bundle.STREAMED", -1)
    with pytest.raises(EngineError, match="refused: the plans paint otherwise"):
        export()


def test_where_tensorrt_is_missing(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        EngineError, match=r'pip install "brushcast\[tensorrt\]"; or write the lines .* with --commands'
    ):
        export()


def test_ctrl_c_ends_a_build(gpu: Any, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(self: object, n: int = 1) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("export.plan.tqdm.update", update)
    with pytest.raises(KeyboardInterrupt):
        export()


# The sizes of graphs


@pytest.mark.parametrize(
    "sizes",
    [
        SMALL,
        SizeRange((640, 360), (640, 360), (640, 360)),
        SizeRange((64, 64), (640, 360), (1920, 1080)),
        SizeRange((1080, 1920), (1080, 1920), (2160, 3840)),
    ],
    ids=str,
)
def test_no_look_at_any_frame_leaves_the_ranges(sizes: SizeRange) -> None:
    known = ranges(sizes)
    rng = np.random.default_rng(0)
    assert all(least <= usual <= most for least, usual, most in known.values())
    for _ in range(2000):
        width, height = (int(rng.integers(low, high + 1)) for low, high in zip(sizes.least, sizes.most, strict=True))
        working = working_size(height, width, float(np.exp(rng.uniform(*np.log(RANGES["render_scale"])))))
        guide = guide_size(*working, float(rng.uniform(*RANGES["stroke"])))
        for axis, side in enumerate(("height", "width")):
            for name, size in ((side, working[axis]), (f"guide_{side}", guide[axis])):
                least, _, most = known[name]
                assert least <= size <= most, (name, size, known[name], height, width)


def test_the_released_graphs_are_ready_for_tensorrt(live_bundle: Bundle) -> None:
    assert live_bundle.regions is not None
    known = ranges(SizeRange((320, 180), (640, 360), (1280, 720)))
    for graph, info in (
        ("guide.onnx", live_bundle.guide),
        ("frame.onnx", live_bundle.frame),
        ("regions.onnx", live_bundle.regions),
    ):
        model = onnx.load(live_bundle.folder / graph)
        for precision in ("fp32", "fp16"):
            check_graph(prepared(model, precision), graph, profile(info, known))


def small_graph(*nodes: onnx.NodeProto, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    told = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", kind, ["height", 3])],
        [helper.make_tensor_value_info("y", kind, ["height", 3])],
    )
    return helper.make_model(told, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_graphs_that_cannot_be_built() -> None:
    shapes = {"x": ((1, 3), (2, 3), (4, 3))}
    good = small_graph(helper.make_node("Relu", ["x"], ["y"]))
    check_graph(good, "small.onnx", shapes)
    double = small_graph(
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["wide"], ["y"], to=TensorProto.FLOAT),
    )
    with pytest.raises(EngineError, match=r"small\.onnx computes with double \(wide\)"):
        check_graph(double, "small.onnx", shapes)
    turned = small_graph(
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("Transpose", ["t"], ["u"]),
        helper.make_node("Concat", ["u", "x"], ["y"], axis=0),
    )
    with pytest.raises(EngineError, match=r"at its least sizes: y has a side of 2, not 1"):
        check_graph(turned, "small.onnx", shapes)


def test_bytes_are_cast_where_they_come_in() -> None:
    graph = small_graph(
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["f"], ["r"]),
        helper.make_node("Transpose", ["r"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.UINT8),
        kind=TensorProto.UINT8,
    )
    ready = prepared(graph, "fp32")
    assert [node.op_type for node in ready.graph.node if "x" in node.input] == ["Cast"]
    check_graph(ready, "small.onnx", {"x": ((1, 3), (2, 3), (4, 3))})


def test_sizes_outside_the_bundle_s_own(gpu: Any, export: Export, tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    shutil.copytree(tiny_bundle.folder, folder)
    told = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    told["sizes"] = SizeRange((64, 64), (96, 80), (128, 128)).told()
    (folder / "bundle.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match="is for frames of 64x64:96x80:128x128; it cannot be built for"):
        export(checkpoint=str(folder))
    assert load_plans(Bundle.load(export(checkpoint=str(folder), sizes=None))).sizes.most == (128, 128)


@pytest.mark.slow
def test_a_style_is_baked_in_first(gpu: Any, export: Export, live_bundle: Bundle) -> None:
    sizes = SizeRange((128, 96), (160, 128), (192, 160))
    out = export(checkpoint=str(live_bundle.folder), sizes=sizes, style="red-fuji", precision="fp16")
    bundle = Bundle.load(out)
    assert (bundle.form, bundle.styles) == ("baked", ("red-fuji",))
    assert set(load_plans(bundle).plans) == {"guide.onnx", "frame.onnx"}


@pytest.mark.slow
def test_plans_by_torch_tensorrt(
    gpu: Any, export: Export, live_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fake_gpu  # noqa: PLC0415 (on the path since the fixture)

    # The network of the bundle runs on the CPU here: everything but the device is as it would be.
    monkeypatch.setattr("export.plan_bundle._DEVICE", "cpu")
    names = ("guide.onnx", "frame.onnx", "regions.onnx")
    graphs = [onnx.load(live_bundle.folder / name) for name in names]
    asked = fake_gpu.install_torch_tensorrt(monkeypatch, gpu, graphs)
    words = ("--method", "torch-tensorrt", "--workspace-mb", "256")
    sizes = SizeRange((128, 96), (160, 128), (192, 160))
    for _ in range(2):
        out = export(*words, checkpoint=str(live_bundle.folder), sizes=sizes)
        plans = load_plans(Bundle.load(out))
        assert plans.method == "torch-tensorrt"
        assert plans.plans["frame.onnx"].names["painted"] == "output0"
    assert len(asked) == 3  # the second time all were kept, their names too
    for _, _, options in asked:
        assert options["disable_tf32"] is options["require_full_compilation"] is True
        assert options["workspace_size"] == 256 << 20
