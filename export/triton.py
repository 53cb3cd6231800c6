"""Model repositories for NVIDIA Triton Inference Server: a folder per model, with its config.pbtxt and version 1.

For the Python back end: a frame model, which is a whole engine with a sequence for every stream, and a style model. For
the ONNX Runtime back end: the bundle's graphs as they are, for clients that keep their own memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx

from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX, Bundle, GraphInfo, TensorInfo
from engines.errors import InputError
from engines.triton_wire import (
    BACKGROUND,
    BUNDLE,
    BUNDLE_ID,
    COMPUTES,
    CORRID,
    END,
    ENGINE,
    FRAME,
    MASK,
    MODEL,
    NUMBERS,
    PAINTED,
    PROVIDER,
    START,
    STYLE,
    THREADS,
    WHOLE,
)
from export.beside import beside

BackEnd = Literal["python", "onnxruntime"]
MARKER = "brushcast.json"  # tells a repository of ours, which may be replaced, from any other folder
VERSION = "1"
# What the ONNX Runtime back end calls what runs a graph: kind of instance, and an execution accelerator.
ACCELERATORS = {
    None: ("KIND_CPU", ""),
    "cpu": ("KIND_CPU", ""),
    "openvino": ("KIND_CPU", "cpu_execution_accelerator"),
    "cuda": ("KIND_GPU", ""),
    "tensorrt": ("KIND_GPU", "gpu_execution_accelerator"),
}
_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "float16": "TYPE_FP16", "int64": "TYPE_INT64"}
_MODELS = Path(__file__).parent / "triton_models"
_DYNAMIC = -1


@dataclass(frozen=True, slots=True)
class Hosting:
    """How a repository's models are to be run.

    engine, provider, threads: of the frame model on the server, as `engines.registry.open_engine` takes them.
    streams: sequences at once, and so the most frames in a batch. idle_s: how long a sequence may rest. wait_ms: how
    long a frame may wait for those of other streams to be painted with; 0 takes what is there.
    """

    name: str = MODEL
    engine: str = "ort"
    provider: str | None = None
    threads: int | None = None
    streams: int = 16
    idle_s: float = 60.0
    wait_ms: float = 0.0


def write_repository(bundle: Bundle, out: Path, hosting: Hosting, back_end: BackEnd = "python") -> tuple[str, ...]:
    """Write a model repository to the folder `out`, which is replaced only when all is well; the models' names.

    Raises InputError: `out` is something else than a repository written here, a provider that the ONNX Runtime back end
    has not; OSError: it cannot be written.
    """
    with beside(out, MARKER, "model repository of brushcast") as folder:
        write = _write_python if back_end == "python" else _write_graphs
        models = tuple(write(bundle, folder, hosting))
        told = {"format": 1, "bundle": bundle.id, "name": bundle.name, "backend": back_end, "models": models}
        (folder / MARKER).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return models


def style_outputs(bundle: Bundle) -> tuple[TensorInfo, ...]:
    """The tensors of a bundle's styles, as its style graph gives them; none where there is one style."""
    if bundle.takes == "any":
        return graph_info(bundle.style_graph).outputs
    return tuple(replace(info, name=f"{STYLE_PREFIX}{info.name}") for info in bundle.style_tensors)


def graph_info(path: Path) -> GraphInfo:
    """What an ONNX file takes and gives, in order. Free dimensions have their names."""
    graph = onnx.load_model(path, load_external_data=False).graph

    def told(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorInfo, ...]:
        return tuple(
            TensorInfo(
                value.name,
                onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                tuple(
                    int(side.dim_value) if side.HasField("dim_value") else str(side.dim_param)
                    for side in value.type.tensor_type.shape.dim
                ),
            )
            for value in values
        )

    return GraphInfo(told(graph.input), told(graph.output))


def _write_python(bundle: Bundle, folder: Path, hosting: Hosting) -> Iterator[str]:
    styles = style_outputs(bundle)
    parameters = {
        BUNDLE_ID: bundle.id,
        ENGINE: hosting.engine,
        PROVIDER: hosting.provider or "",
        THREADS: str(hosting.threads or ""),
    }
    frame = _frame_config(styles, hosting)
    yield _write_model(folder, hosting.name, "python", frame, parameters, "frame.py", bundle)
    if bundle.takes == "any":
        name = f"{hosting.name}_style"
        config = [
            "max_batch_size: 0",
            *_listed("input", [_tensor("PICTURE", "TYPE_UINT8", (_DYNAMIC, _DYNAMIC, 3))]),
            *_listed("output", [_graph_tensor(info) for info in styles]),
            _instances("KIND_CPU"),
        ]
        told = {BUNDLE_ID: bundle.id, THREADS: str(hosting.threads or "")}
        yield _write_model(folder, name, "python", config, told, "style.py", bundle)


def _frame_config(styles: tuple[TensorInfo, ...], hosting: Hosting) -> list[str]:
    """The frame model: a sequence for every stream, and what is ready of several of them in one batch."""
    inputs = [_tensor(FRAME, "TYPE_UINT8", (_DYNAMIC, _DYNAMIC, 3))]
    inputs += [_tensor(name, "TYPE_INT32" if name in WHOLE else "TYPE_FP64", (1,), optional=True) for name in NUMBERS]
    inputs.append(_tensor(BUNDLE, "TYPE_STRING", (1,), optional=True))
    if styles:
        inputs.append(_tensor(MASK, "TYPE_FP32", (_DYNAMIC, _DYNAMIC), optional=True))
        inputs += [_tensor(name, "TYPE_STRING", (1,), optional=True) for name in (STYLE, BACKGROUND)]
        inputs += [
            _graph_tensor(TensorInfo(f"{prefix}{info.name}", info.dtype, info.shape), optional=True)
            for prefix in ("", BACKGROUND_PREFIX)
            for info in styles
        ]

    def control(name: str, kind: str, values: str) -> str:
        return f"{{ name: {_quoted(name)} control [ {{ kind: {kind} {values} }} ] }}"

    return [
        f"max_batch_size: {hosting.streams}",
        *_listed("input", inputs),
        *_listed(
            "output", [_tensor(PAINTED, "TYPE_UINT8", (_DYNAMIC, _DYNAMIC, 3)), _tensor(COMPUTES, "TYPE_STRING", (1,))]
        ),
        "sequence_batching {",
        f"  max_sequence_idle_microseconds: {round(hosting.idle_s * 1e6)}",
        f"  oldest {{ max_candidate_sequences: {hosting.streams} "
        f"max_queue_delay_microseconds: {round(hosting.wait_ms * 1e3)} }}",
        *(
            f"  {line}"
            for line in _listed(
                "control_input",
                [
                    control(START, "CONTROL_SEQUENCE_START", "int32_false_true: [ 0, 1 ]"),
                    control(END, "CONTROL_SEQUENCE_END", "int32_false_true: [ 0, 1 ]"),
                    control(CORRID, "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"),
                ],
            )
        ),
        "}",
        # One instance paints all: sequences share its weights, and only what is together can be a batch.
        _instances("KIND_CPU"),
    ]


def _write_graphs(bundle: Bundle, folder: Path, hosting: Hosting) -> Iterator[str]:
    if hosting.provider not in ACCELERATORS:
        known = ", ".join(filter(None, ACCELERATORS))
        raise InputError(f"Triton's ONNX Runtime back end has no provider {hosting.provider!r} here; known: {known}")
    kind, accelerator = ACCELERATORS[hosting.provider]
    graphs = {Path(name).stem: bundle.folder / name for name in bundle.graphs}
    if bundle.takes == "any":
        graphs["style"] = bundle.style_graph
    for what, path in graphs.items():
        info = graph_info(path)
        config = [
            "max_batch_size: 0",
            *_listed("input", [_graph_tensor(entry) for entry in info.inputs]),
            *_listed("output", [_graph_tensor(entry) for entry in info.outputs]),
            _instances(kind),
        ]
        if accelerator:
            named = f"{accelerator}: [ {{ name: {_quoted(str(hosting.provider))} }} ]"
            config.append(f"optimization {{ execution_accelerators {{ {named} }} }}")
        yield _write_model(folder, f"{hosting.name}_{what}", "onnxruntime", config, {BUNDLE_ID: bundle.id}, path)


def _write_model(
    folder: Path,
    name: str,
    back_end: str,
    config: list[str],
    parameters: Mapping[str, str],
    source: str | Path,
    bundle: Bundle | None = None,
) -> str:
    """One model's folder; source: a model.py of ours, or a graph. bundle: what lies beside model.py. The name again."""
    version = folder / name / VERSION
    version.mkdir(parents=True)
    if isinstance(source, Path):
        shutil.copyfile(source, version / "model.onnx")
    else:
        shutil.copyfile(_MODELS / source, version / "model.py")
    if bundle is not None:
        shutil.copytree(bundle.folder, version / "bundle", ignore=shutil.ignore_patterns(".*"))
    told = [
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        for key, value in parameters.items()
        if value
    ]
    lines = [f"name: {_quoted(name)}", f"backend: {_quoted(back_end)}", *config, *told]
    (folder / name / "config.pbtxt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def _graph_tensor(info: TensorInfo, *, optional: bool = False) -> str:
    """A graph's tensor as an entry of config.pbtxt. A single number, which Triton does not know, is one of one."""
    sides = tuple(side if isinstance(side, int) else _DYNAMIC for side in info.shape)
    reshape = "" if sides else "reshape { shape: [ ] }"
    return _tensor(info.name, _TYPES[info.dtype], sides or (1,), optional=optional, more=reshape)


def _tensor(name: str, data_type: str, sides: tuple[int, ...], *, optional: bool = False, more: str = "") -> str:
    dims = ", ".join(map(str, sides))
    told = [f"name: {_quoted(name)}", f"data_type: {data_type}", f"dims: [ {dims} ]", more, "optional: true" * optional]
    return f"{{ {' '.join(filter(None, told))} }}"


def _instances(kind: str) -> str:
    return f"instance_group [ {{ count: 1 kind: {kind} }} ]"


def _listed(key: str, entries: list[str]) -> list[str]:
    return [f"{key} [", *(f"  {entry}{',' * (entry is not entries[-1])}" for entry in entries), "]"]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
