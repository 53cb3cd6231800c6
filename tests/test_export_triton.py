from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError
from engines.triton_wire import NUMBERS
from export.commands import triton as command
from export.triton import ACCELERATORS, Hosting, graph_info, write_repository

pytest.importorskip("tritonclient.grpc", reason="the extra triton is not installed")

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

GRAPHS = {"guide": "guide.onnx", "frame": "frame.onnx", "regions": "regions.onnx", "style": "style.onnx"}
TYPES = {
    TensorProto.UINT8: model_config_pb2.TYPE_UINT8,
    TensorProto.FLOAT: model_config_pb2.TYPE_FP32,
}


def config_of(folder: Path) -> Any:
    config = model_config_pb2.ModelConfig()
    text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), config)
    assert config.name == folder.name
    return config


def ask(*words: str) -> argparse.Namespace:
    """What the command hands over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("-o", "--out", type=Path)
    for option in ("--style", "--name", "--precision", "--sizes"):
        parser.add_argument(option)
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_frame_model_is_a_sequence_for_every_stream(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    hosting = Hosting("paint", threads=3, provider="cpu", streams=5, idle_s=2.5, wait_ms=4)
    assert write_repository(tiny_bundle, out, hosting) == ("paint", "paint_style")
    config = config_of(out / "paint")
    assert config.backend == "python" and config.max_batch_size == 5
    batching = config.sequence_batching
    assert batching.max_sequence_idle_microseconds == 2_500_000
    assert batching.oldest.max_candidate_sequences == 5
    assert batching.oldest.max_queue_delay_microseconds == 4000
    control = model_config_pb2.ModelSequenceBatching.Control
    assert {entry.name: entry.control[0].kind for entry in batching.control_input} == {
        "START": control.CONTROL_SEQUENCE_START,
        "END": control.CONTROL_SEQUENCE_END,
        "CORRID": control.CONTROL_SEQUENCE_CORRID,
    }
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "bundle": tiny_bundle.id,
        "engine": "ort",
        "provider": "cpu",
        "threads": "3",
    }
    assert config.instance_group[0].count == 1
    inputs = {entry.name: entry for entry in config.input}
    assert list(inputs["FRAME"].dims) == [-1, -1, 3] and not inputs["FRAME"].optional
    assert all(entry.optional for name, entry in inputs.items() if name != "FRAME")
    assert set(NUMBERS) <= set(inputs)
    assert inputs["STRENGTH"].data_type == model_config_pb2.TYPE_FP64
    assert inputs["KERNEL_INTERVAL"].data_type == model_config_pb2.TYPE_INT32
    style = tiny_bundle.style("moss")
    for prefix in ("style.", "background.style."):
        told = {name.removeprefix(prefix): entry for name, entry in inputs.items() if name.startswith(prefix)}
        assert {name: tuple(entry.dims) for name, entry in told.items()} == {
            name: tensor.shape for name, tensor in style.tensors.items()
        }
        assert all(entry.data_type == model_config_pb2.TYPE_FP32 for entry in told.values())
    assert {entry.name: list(entry.dims) for entry in config.output} == {"PAINTED": [-1, -1, 3], "COMPUTES": [1]}


def test_a_repository_has_all_it_needs(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    models = write_repository(tiny_bundle, out, Hosting())
    assert sorted(path.name for path in out.iterdir()) == ["brushcast", "brushcast.json", "brushcast_style"]
    for model in models:
        assert sorted(path.name for path in (out / model).iterdir()) == ["1", "config.pbtxt"]
        assert sorted(path.name for path in (out / model / "1").iterdir()) == ["bundle", "model.py"]
        assert Bundle.load(out / model / "1" / "bundle").id == tiny_bundle.id
    style = config_of(out / "brushcast_style")
    assert [(entry.name, list(entry.dims)) for entry in style.input] == [("PICTURE", [-1, -1, 3])]
    assert {entry.name for entry in style.output} == {f"style.{name}" for name in tiny_bundle.style("moss").tensors}
    assert json.loads((out / "brushcast.json").read_text())["models"] == list(models)


@pytest.mark.parametrize("released", [False, True])
def test_graphs_for_onnx_runtime_are_told_as_they_are(
    tiny_bundle: Bundle, request: pytest.FixtureRequest, tmp_path: Path, released: bool
) -> None:
    bundle: Bundle = request.getfixturevalue("live_bundle") if released else tiny_bundle
    out = tmp_path / "repository"
    models = write_repository(bundle, out, Hosting(), "onnxruntime")
    assert models == tuple(f"brushcast_{what}" for what in GRAPHS)
    for what, file in GRAPHS.items():
        folder = out / f"brushcast_{what}"
        assert (folder / "1" / "model.onnx").read_bytes() == (bundle.folder / file).read_bytes()
        config, graph = config_of(folder), onnx.load(bundle.folder / file).graph
        assert config.backend == "onnxruntime" and config.max_batch_size == 0
        for told, values in ((config.input, graph.input), (config.output, graph.output)):
            assert [entry.name for entry in told] == [value.name for value in values]
            for entry, value in zip(told, values, strict=True):
                kind = value.type.tensor_type
                assert entry.data_type == TYPES[kind.elem_type]
                sides = [side.dim_value if side.HasField("dim_value") else -1 for side in kind.shape.dim]
                assert list(entry.dims) == (sides or [1])
                assert entry.HasField("reshape") == (not sides) and not entry.reshape.shape


def test_what_runs_the_graphs(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for number, provider in enumerate(ACCELERATORS):
        out = tmp_path / str(number)
        write_repository(tiny_bundle, out, Hosting(provider=provider), "onnxruntime")
        config = config_of(out / "brushcast_frame")
        group = model_config_pb2.ModelInstanceGroup
        on_gpu = provider in ("cuda", "tensorrt")
        assert config.instance_group[0].kind == (group.KIND_GPU if on_gpu else group.KIND_CPU)
        accelerators = config.optimization.execution_accelerators
        assert [entry.name for entry in accelerators.gpu_execution_accelerator] == ["tensorrt"] * (
            provider == "tensorrt"
        )
        assert [entry.name for entry in accelerators.cpu_execution_accelerator] == ["openvino"] * (
            provider == "openvino"
        )
    with pytest.raises(InputError, match=r"no provider 'coreml' here; known: cpu, openvino, cuda, tensorrt"):
        write_repository(tiny_bundle, tmp_path / "other", Hosting(provider="coreml"), "onnxruntime")
    assert not (tmp_path / "other").exists() and len(list(tmp_path.iterdir())) == len(ACCELERATORS)


def test_a_baked_bundle_has_no_styles_to_choose(baked_bundle: Bundle, tmp_path: Path) -> None:
    assert write_repository(baked_bundle, tmp_path / "repository", Hosting()) == ("brushcast",)
    names = {entry.name for entry in config_of(tmp_path / "repository" / "brushcast").input}
    assert names == {"FRAME", "BUNDLE", *NUMBERS}
    assert len(write_repository(baked_bundle, tmp_path / "graphs", Hosting(), "onnxruntime")) == 2


def test_only_a_repository_of_ours_is_replaced(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    write_repository(tiny_bundle, out, Hosting("old"))
    write_repository(tiny_bundle, out, Hosting("new"))
    assert sorted(path.name for path in out.iterdir()) == ["brushcast.json", "new", "new_style"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="is no model repository of brushcast; give another folder"):
        write_repository(tiny_bundle, other, Hosting())
    assert (other / "diary.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "repository"]


def test_a_bundle_s_names_cannot_break_the_configuration(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    write_repository(tiny_bundle, out, Hosting(provider='c"u\\pu é'))
    assert config_of(out / "brushcast").parameters["provider"].string_value == 'c"u\\pu é'


def test_the_command(tiny_bundle: Bundle, tmp_path: Path) -> None:
    lines: list[str] = []
    out = tmp_path / "repository"
    command.run(ask(str(tiny_bundle.folder), "-o", str(out), "--model", "paint", "--streams", "3"), lines.append)
    assert config_of(out / "paint").max_batch_size == 3
    assert f"wrote {out} for Triton's python back end: paint, paint_style (tiny, id {tiny_bundle.id})" in lines
    assert "--engine triton://HOST:8001/paint" in lines[-1]
    command.run(ask(str(tiny_bundle.folder), "-o", str(out), "--backend", "onnxruntime"), lines.append)
    assert lines[-1] == "checked against the graphs; no server with that back end has run it"


def test_the_released_bundle_by_its_name(live_bundle: Bundle, tmp_path: Path) -> None:
    command.run(ask("live", "-o", str(tmp_path / "repository")), lambda line: None)
    assert config_of(tmp_path / "repository" / "brushcast").parameters["bundle"].string_value == live_bundle.id


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engine", "magic"], "no engine 'magic' for the server; known: ort"),
        (["--engine", "triton://host"], "no engine 'triton://host' for the server"),
        (["--model", "a/b"], "a name has letters, digits, - and _"),
        (["--streams", "0"], "streams is 0; it must be 1 to 1024"),
        (["--threads", "0"], "threads is 0"),
        (["--idle", "nan"], "idle is nan"),
        (["--batch-wait", "-1"], "batch-wait is -1"),
        (["--name", "foo"], "a bundle that is taken as it is takes no --name; leave that out"),
        (
            ["--backend", "onnxruntime", "--engine=ort", "--threads=7", "--streams=16", "--idle=7", "--batch-wait=5"],
            "--backend onnxruntime takes no --engine, --threads, --streams, --idle, --batch-wait; leave that out",
        ),
    ],
)
def test_what_cannot_be_asked_for(tiny_bundle: Bundle, tmp_path: Path, words: list[str], told: str) -> None:
    out = tmp_path / "repository"
    with pytest.raises(BrushcastError) as error:
        command.run(ask(str(tiny_bundle.folder), "-o", str(out), *words), print)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not out.exists()


def test_writing_imports_no_torch(tiny_bundle: Bundle, tmp_path: Path) -> None:
    lines = [
        "import sys, pathlib",
        "from engines.bundle import Bundle",
        "from export.triton import Hosting, write_repository",
        f"bundle = Bundle.load({str(tiny_bundle.folder)!r})",
        f"write_repository(bundle, pathlib.Path({str(tmp_path / 'out')!r}), Hosting())",
        "sys.exit('torch' in sys.modules or 'tritonclient' in sys.modules)",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == 0


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle) -> list[argparse.Namespace]:
    """In the place of the ONNX export: copies the tiny bundle, and keeps what it was asked."""
    asked: list[argparse.Namespace] = []

    def run(namespace: argparse.Namespace, tell: Callable[[str], None]) -> None:
        asked.append(namespace)
        shutil.copytree(tiny_bundle.folder, namespace.out)

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--own", default="usual")

    monkeypatch.setitem(sys.modules, "export.commands.onnx", SimpleNamespace(run=run, add_arguments=options))
    return asked


def test_what_is_no_bundle_yet_is_exported_first(exporter: list[argparse.Namespace], tmp_path: Path) -> None:
    out = tmp_path / "repository"
    command.run(ask("checkpoint.pt", "-o", str(out), "--precision", "fp16"), lambda line: None)
    assert (exporter[0].checkpoint, exporter[0].precision, exporter[0].name) == ("checkpoint.pt", "fp16", "repository")
    assert exporter[0].own == "usual"
    assert not exporter[0].out.exists() and (out / "brushcast").is_dir()


def test_half_floats_have_their_type(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("half", TensorProto.FLOAT16, [1, "free"])
    graph = helper.make_graph([helper.make_node("Identity", ["half"], ["same"])], "g", [value], [])
    onnx.save(helper.make_model(graph), tmp_path / "half.onnx")
    (info,) = graph_info(tmp_path / "half.onnx").inputs
    assert (info.name, info.dtype, info.shape) == ("half", np.dtype(np.float16).name, (1, "free"))
