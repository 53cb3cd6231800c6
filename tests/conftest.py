"""Bundles for the tests: a tiny one made by hand, which needs no torch, and the released one."""

from __future__ import annotations

import errno
import importlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from commanded import write_video
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from engines.api import Look
from engines.artworks import load_artworks
from engines.bundle import RELEASED, Bundle, seal
from engines.encoder import StyleEncoder
from engines.nets.config import StyleKernelConfig
from engines.styles import Style, save_style
from realtime.control import Control
from realtime.desk import Bench, Desk
from realtime.drive import Driven, Tempo
from realtime.presets import Presets
from realtime.stats import Stats

OPSET = 18
# The painting is half the frame, half the style's mean colour.
STYLE_SHAPES = {"mean": (3,), "tokens": (2, 3), "palette": (1, 12)}
HELD = 0.47  # of the memory, where smoothing is 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BRUSHCAST_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws does not depend on which tests ran before it in its process."""
    if (torch := sys.modules.get("torch")) is not None:  # most tests do without it
        torch.manual_seed(0)


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests behave alike on machines with and without cameras and displays."""
    monkeypatch.setattr("realtime.cameras.list_cameras", lambda: [])
    monkeypatch.setattr("realtime.commands.doctor.list_cameras", lambda: [])
    for module in ("realtime.window", "realtime.commands.demo", "realtime.commands.doctor"):
        monkeypatch.setattr(f"{module}.why_no_display", lambda: "there is no display; use --to FILE.mp4")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4")


@pytest.fixture
def small_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be told of style pictures is told of small ones in a fraction of the time."""
    monkeypatch.setattr("engines.nets.style_kernel.STYLE_SIDE_PX", 128)
    monkeypatch.setattr("engines.nets.style_kernel.DETAIL_SIDE_PX", 192)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Closes a folder: nobody may look into it, whoever runs the tests."""

    def close(folder: Path) -> None:
        stat, access, opened, closed_folder = os.stat, os.access, io.open, folder.absolute()

        def refuse(path: Any) -> None:
            if isinstance(path, str | Path) and closed_folder in Path(path).absolute().parents:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        def looked(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            refuse(path)
            return stat(path, *args, **kwargs)

        def read(path: Any, *args: Any, **kwargs: Any) -> Any:
            refuse(path)
            return opened(path, *args, **kwargs)

        def may(path: Any, *args: Any, **kwargs: Any) -> bool:
            return Path(path).absolute() != closed_folder and access(path, *args, **kwargs)

        monkeypatch.setattr(os, "stat", looked)
        monkeypatch.setattr(os, "access", may)
        monkeypatch.setattr(io, "open", read)

    return close


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A dynamic bundle with the styles "ember" and "moss": shifts colours to the style's mean, keeps a memory."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def live_bundle() -> Bundle:
    """The released bundle `live`; the test is skipped where it is not there."""
    if not (RELEASED / "live" / "bundle.json").is_file():
        pytest.skip("the released bundle is not in this checkout")
    return Bundle.load("live")


@pytest.fixture(scope="session")
def baked_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle with its style "moss" folded in."""
    folder = tmp_path_factory.mktemp("baked") / "baked"
    (folder / "styles").mkdir(parents=True)
    style, manifest = tiny_bundle.style("moss"), {**tiny_bundle.manifest, "form": "baked"}
    for name in ("guide", "frame"):
        model = onnx.load(tiny_bundle.folder / f"{name}.onnx")
        for value in [value for value in model.graph.input if value.name.startswith("style.")]:
            model.graph.input.remove(value)
            tensor = style.tensors[value.name.removeprefix("style.")]
            model.graph.initializer.append(numpy_helper.from_array(tensor, value.name))
        onnx.save(model, folder / f"{name}.onnx")
        told = tiny_bundle.manifest[name]
        manifest[name] = {**told, "inputs": [one for one in told["inputs"] if not one["name"].startswith("style.")]}
    sealed = seal(folder, manifest)
    outside = {"palette": style.tensors["palette"]}
    save_style(replace(style, tensors=outside, bundle_id=sealed.id), folder / "styles" / "moss.safetensors")
    return seal(folder, manifest)


@pytest.fixture(scope="session")
def named_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle as one that knows its two named styles only: no picture becomes a style by itself."""
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path_factory.mktemp("named") / "named"))
    (folder / "style.onnx").unlink()
    table = list(tiny_bundle.styles)
    manifest = {**tiny_bundle.manifest, "name": "named", "network": {"name": "cin", "config": {}}, "table": table}
    sealed = seal(folder, manifest)
    for name in sealed.styles:
        style = replace(tiny_bundle.style(name), bundle_id=sealed.id)
        save_style(style, folder / "styles" / f"{name}.safetensors")
    return seal(folder, manifest)


@pytest.fixture
def small_control() -> Control:
    """Four small styles of one grey each: ember 200, moss 90, sky 30, stone 120."""

    def style(name: str, value: int) -> Style:
        tensors = {"mean": np.full(3, value, np.float32)}
        return Style(name, tensors, np.full((12, 16, 3), value, np.uint8), "b")

    known = {name: style(name, value) for name, value in {"ember": 200, "moss": 90, "sky": 30, "stone": 120}.items()}
    return Control(Look(known["ember"]), styles=list(known), load=known.__getitem__)


@pytest.fixture
def small_desk(small_control: Control, tmp_path: Path) -> Desk:
    """A desk over `small_control`; presets are kept in tmp_path."""

    def no_encoder(picture: NDArray[np.uint8], name: str) -> Style:
        raise AssertionError("remotes add no pictures")

    driven, names = Driven(small_control, Tempo()), frozenset(small_control.names)
    return Desk(Bench(small_control, driven, Stats(), no_encoder, Presets(tmp_path), "", names))


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Waits until what it is given is true, and returns it; fails after five seconds."""

    def wait(truth: Callable[[], Any]) -> Any:
        end_s = time.monotonic() + 5
        while not (value := truth()):
            assert time.monotonic() < end_s, "it did not come about"
            time.sleep(0.005)
        return value

    return wait


class PortAudioError(Exception):
    pass


class InputStream:
    """In the place of sounddevice's: keeps how it was opened."""

    opened: dict[str, Any]
    problem: Exception | None = None
    closed = False

    def __init__(self, **told: Any) -> None:
        if InputStream.problem is not None:
            raise InputStream.problem
        InputStream.opened, InputStream.closed = told, False

    def start(self) -> None: ...

    def close(self) -> None:
        InputStream.closed = True


@pytest.fixture
def microphones(monkeypatch: pytest.MonkeyPatch) -> type[InputStream]:
    """Puts a sounddevice there that hears what a test wants it to; see `hear`."""
    monkeypatch.setattr(InputStream, "problem", None)
    fake = SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return InputStream


@pytest.fixture
def hear(microphones: type[InputStream]) -> Callable[[float, float], None]:
    """Makes the microphone hear 1024 samples of this loudness that long ago, in seconds, as PortAudio would."""

    def block(loudness: float, ago_s: float) -> None:
        samples = (loudness * np.sin(np.arange(1024) / 8)).astype(np.float32)[:, None]
        times = SimpleNamespace(currentTime=100.0, inputBufferAdcTime=100.0 - ago_s)
        microphones.opened["callback"](samples, 1024, times, None)

    return block


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts TensorRT and the CUDA runtime there, as `fakes/fake_gpu.py` has them; returns what it calls `Gpu`."""
    return importlib.import_module("fake_gpu").install(monkeypatch)


@pytest.fixture(scope="session")
def tiny_style_kernels() -> StyleKernelConfig:
    """The smallest style kernels that train."""
    return StyleKernelConfig(
        widths=(4, 4, 8),
        style_width=8,
        encoder_blocks=0,
        decoder_blocks=1,
        style_blocks=0,
        key_width=4,
        code_width=8,
        hidden_width=8,
        grid=4,
        groups4=4,
        groups8=4,
    )


@pytest.fixture
def narrow_vgg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """VGGs of four channels, and one thread: what is small is slower with more."""
    import torch  # noqa: PLC0415 (most tests need none)

    from engines.nets import vgg  # noqa: PLC0415

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(vgg, "BLOCKS", tuple((4,) * len(widths) for widths in vgg.BLOCKS))
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_judge() -> Callable[[Any], dict[str, Any]]:
    """In the place of a network that judges pictures: means of places of several sizes."""
    import torch  # noqa: PLC0415 (most tests need none)

    from engines.training.metrics import STYLE_LAYERS  # noqa: PLC0415

    return lambda images: {
        layer: torch.nn.functional.avg_pool2d(images, 2 ** (k + 1)) for k, layer in enumerate(STYLE_LAYERS)
    }


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """ONNX Runtime with every provider it knows, as `fakes/onnxruntime_devices.py` has them; returns its `Devices`."""
    pinned_memory = importlib.import_module("engines.ort_device").pinned_memory
    pinned_memory.cache_clear()
    yield importlib.import_module("onnxruntime_devices").Devices(monkeypatch)
    pinned_memory.cache_clear()


@pytest.fixture
def red_fuji_bundle(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny bundle with one named artwork, red-fuji, as the programs in scripts/ want it."""
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    works = [work for work in load_artworks() if work.name == "red-fuji"]
    program = importlib.import_module("make_styles")
    bundle = Bundle.load(folder)
    program.make_styles(bundle, works, program.encoding(bundle, threads=1))
    return folder


def write_tiny_bundle(folder: Path) -> Bundle:
    """Write the tiny bundle into `folder` (made here)."""
    (folder / "styles").mkdir(parents=True)
    onnx.save(tiny_guide_graph(), folder / "guide.onnx")
    onnx.save(tiny_frame_graph(), folder / "frame.onnx")
    onnx.save(tiny_regions_graph(), folder / "regions.onnx")
    onnx.save(tiny_style_graph(), folder / "style.onnx")
    save_file({"half": np.full(3, 0.5, np.float16)}, folder / "weights.safetensors")
    (folder / "CARD.md").write_text("# tiny\n", encoding="utf-8")
    bundle = seal(folder, tiny_manifest())
    encoder = StyleEncoder(bundle, threads=1)
    for name, colour in {"ember": (200, 60, 20), "moss": (40, 120, 50)}.items():
        picture = np.broadcast_to(np.array(colour, np.uint8), (40, 56, 3))
        save_style(encoder.encode(np.ascontiguousarray(picture), name), folder / "styles" / f"{name}.safetensors")
    return seal(folder, bundle.manifest)


def tiny_manifest() -> dict[str, Any]:
    frame = {"dtype": "uint8", "shape": ["height", "width", 3]}
    guide = {"dtype": "uint8", "shape": ["guide_height", "guide_width", 3]}
    small = {"dtype": "uint8", "shape": ["small_height", "small_width", 3]}
    number: dict[str, Any] = {"dtype": "float32", "shape": []}
    guidance = {"name": "guidance", "dtype": "float32", "shape": [1, 3, "guidance_height", "guidance_width"]}
    colour_map = {"name": "colour_map", "dtype": "float32", "shape": [12]}

    def style(name: str) -> dict[str, Any]:
        return {"name": f"style.{name}", "dtype": "float32", "shape": list(STYLE_SHAPES[name])}

    return {
        "name": "tiny",
        "form": "dynamic",
        "network": {"name": "tiny", "config": {}},
        "guide": {
            "inputs": [{"name": "guide", **guide}, colour_map, style("mean"), style("tokens")],
            "outputs": [guidance],
        },
        "frame": {
            "inputs": [
                {"name": "frame", **frame},
                {"name": "small", **small},
                guidance,
                colour_map,
                style("tokens"),
                {"name": "strength", **number},
                {"name": "smoothing", **number},
                {"name": "memory.painting", **frame},
                {"name": "memory.source", **small},
            ],
            "outputs": [{"name": "painted", **frame}, {"name": "next.source", **small}],
        },
        "regions": {
            "inputs": [
                {"name": "frame", **frame},
                {"name": "small", **small},
                {"name": "mask", "dtype": "float32", "shape": small["shape"][:2]},
                guidance,
                colour_map,
                {**colour_map, "name": "background.colour_map"},
                style("tokens"),
                {**style("tokens"), "name": "background.style.tokens"},
                {"name": "smoothing", **number},
                {"name": "memory.painting", **frame},
                {"name": "memory.source", **small},
            ],
            "outputs": [{"name": "painted", **frame}, {"name": "next.source", **small}],
        },
    }


def tiny_painting(frame: NDArray[np.uint8], mean: NDArray[np.float32], strength: float) -> NDArray[np.uint8]:
    """What the tiny frame graph paints without memory; rounding may differ by 1."""
    picture = frame.astype(np.float32)
    painted = picture + np.float32(strength) * (0.5 * picture + 0.5 * 255.0 * mean - picture)
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


def tiny_guide_graph() -> onnx.ModelProto:
    """Guidance is the style's mean colour at every place."""
    node = helper.make_node
    constants = {
        "zero": np.float32(0),
        "first": np.array([0], np.int64),
        "third": np.array([2], np.int64),
        "four": np.array([4], np.int64),
        "one_three": np.array([1, 3], np.int64),
        "planes": np.array([1, 3, 1, 1], np.int64),
    }
    nodes = [
        node("ReduceMax", ["style.tokens"], ["most"], keepdims=0),
        node("ReduceMax", ["colour_map"], ["most_colour"], keepdims=0),
        node("Add", ["most", "most_colour"], ["told"]),
        node("Mul", ["told", "zero"], ["nothing"]),
        node("Add", ["style.mean", "nothing"], ["colour"]),
        node("Reshape", ["colour", "planes"], ["plane"]),
        node("Shape", ["guide"], ["size"]),
        node("Slice", ["size", "first", "third"], ["sides"]),
        node("Div", ["sides", "four"], ["quarters"]),
        node("Add", ["quarters", "four"], ["cells"]),
        node("Concat", ["one_three", "cells"], ["shape"], axis=0),
        node("Expand", ["plane", "shape"], ["guidance"]),
    ]
    return _model(nodes, constants, **tiny_manifest()["guide"])


def tiny_frame_graph() -> onnx.ModelProto:
    node = helper.make_node
    constants = {
        "half": np.float32(0.5),
        "white_half": np.float32(127.5),
        "zero": np.float32(0),
        "white": np.float32(255),
        "held": np.float32(HELD),
        "places": np.array([0, 2, 3], np.int64),
    }
    nodes = [
        node("Cast", ["frame"], ["picture"], to=TensorProto.FLOAT),
        node("ReduceMax", ["style.tokens"], ["most"], keepdims=0),
        node("ReduceMax", ["colour_map"], ["most_colour"], keepdims=0),
        node("Cast", ["memory.source"], ["last_small"], to=TensorProto.FLOAT),
        node("ReduceMax", ["last_small"], ["most_small"], keepdims=0),
        node("Sum", ["most", "most_colour", "most_small"], ["told"]),
        node("Mul", ["told", "zero"], ["nothing"]),
        node("ReduceMean", ["guidance", "places"], ["mean"], keepdims=0),
        node("Add", ["mean", "nothing"], ["colour"]),
        node("Mul", ["colour", "white_half"], ["half_colour"]),
        node("Mul", ["picture", "half"], ["half_picture"]),
        node("Sub", ["half_colour", "half_picture"], ["shift"]),
        node("Mul", ["shift", "strength"], ["shift_strength"]),
        node("Add", ["picture", "shift_strength"], ["fresh"]),
        node("Identity", ["small"], ["next.source"]),
        node("Mul", ["smoothing", "held"], ["share"]),
        node("Cast", ["memory.painting"], ["last"], to=TensorProto.FLOAT),
        node("Sub", ["last", "fresh"], ["towards"]),
        node("Mul", ["towards", "share"], ["part"]),
        node("Add", ["fresh", "part"], ["mixed"]),
        node("Round", ["mixed"], ["rounded"]),
        node("Clip", ["rounded", "zero", "white"], ["clipped"]),
        node("Cast", ["clipped"], ["painted"], to=TensorProto.UINT8),
    ]
    return _model(nodes, constants, **tiny_manifest()["frame"])


def tiny_regions_graph() -> onnx.ModelProto:
    """The frame graph at full strength, that needs what belongs to a background, too."""
    whole = tiny_frame_graph()
    told = tiny_manifest()["regions"]
    more = [
        helper.make_node("ReduceMax", [name], [f"most_{name}"], keepdims=0)
        for name in ("mask", "background.colour_map", "background.style.tokens")
    ]
    nodes = list(whole.graph.node)
    place = next(place for place, node in enumerate(nodes) if node.op_type == "Sum")
    nodes[place].input.extend(node.output[0] for node in more)
    constants = {entry.name: numpy_helper.to_array(entry) for entry in whole.graph.initializer}
    return _model([*more, *nodes], {**constants, "strength": np.float32(1)}, **told)


def tiny_style_graph() -> onnx.ModelProto:
    node = helper.make_node
    constants = {
        "white": np.float32(255),
        "sides": np.array([0, 1], np.int64),
        "first": np.array([0], np.int64),
        "root": np.eye(3, dtype=np.float32).ravel() / 10,
    }
    nodes = [
        node("Cast", ["picture"], ["whole"], to=TensorProto.FLOAT),
        node("Div", ["whole", "white"], ["scaled"]),
        node("ReduceMean", ["scaled", "sides"], ["style.mean"], keepdims=0),
        node("ReduceMax", ["scaled", "sides"], ["highest"], keepdims=0),
        node("Unsqueeze", ["style.mean", "first"], ["mean_row"]),
        node("Unsqueeze", ["highest", "first"], ["highest_row"]),
        node("Concat", ["mean_row", "highest_row"], ["style.tokens"], axis=0),
        node("Unsqueeze", ["root", "first"], ["root_row"]),
        node("Concat", ["mean_row", "root_row"], ["style.palette"], axis=1),
    ]
    inputs = [{"name": "picture", "dtype": "uint8", "shape": ["height", "width", 3]}]
    outputs = [
        {"name": f"style.{key}", "dtype": "float32", "shape": list(shape)} for key, shape in STYLE_SHAPES.items()
    ]
    return _model(nodes, constants, inputs, outputs)


def _model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
) -> onnx.ModelProto:
    def value(told: dict[str, Any]) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(told["dtype"]))
        return helper.make_tensor_value_info(told["name"], kind, told["shape"])

    graph = helper.make_graph(
        nodes,
        "tiny",
        [value(told) for told in inputs],
        [value(told) for told in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, by playwright; the test is skipped where it is not installed.

    One for all tests of a file that ask for it, which must be its last: while it runs, asyncio.run does not, in this
    thread.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only where there is a browser)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
