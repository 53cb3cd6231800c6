from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.api import Look
from engines.bundle import Bundle, seal
from engines.errors import BundleError, StyleError
from engines.ort import CPU, OrtEngine, open_session
from engines.registry import open_engine
from engines.styles import save_style
from export.bake import bake
from export.metadata import read_graph
from export.source import open_source


def test_baked_graphs_answer_as_the_dynamic_ones_with_that_style(tiny_bundle: Bundle, tmp_path: Path) -> None:
    style = tiny_bundle.style("moss")
    before = tiny_bundle.frame_graph.read_bytes()
    models = bake(graphs(tiny_bundle), style)
    assert tiny_bundle.frame_graph.read_bytes() == before
    colour_map = np.zeros(12, np.float32)
    guide = {"guide": np.zeros((64, 72, 3), np.uint8), "colour_map": colour_map}
    frame = {
        "frame": np.random.default_rng(0).integers(0, 256, (64, 70, 3), dtype=np.uint8),
        "small": np.zeros((16, 18, 3), np.uint8),
        "guidance": np.random.default_rng(1).random((1, 3, 20, 22), np.float32),
        "colour_map": colour_map,
        "strength": np.array(0.8, np.float32),
        "smoothing": np.array(0.5, np.float32),
        "memory.painting": np.zeros((64, 70, 3), np.uint8),
        "memory.source": np.zeros((16, 18, 3), np.uint8),
    }
    for name, feeds in (("guide.onnx", guide), ("frame.onnx", frame)):
        onnx.save_model(models[name], tmp_path / name)
        baked = open_session(tmp_path / name, CPU, threads=1)
        assert {entry.name for entry in baked.get_inputs()} == set(feeds)
        dynamic = open_session(tiny_bundle.folder / name, CPU, threads=1)
        wanted = {entry.name for entry in dynamic.get_inputs()}
        tensors = {f"style.{key}": tensor for key, tensor in style.tensors.items() if f"style.{key}" in wanted}
        for ours, theirs in zip(baked.run(None, feeds), dynamic.run(None, feeds | tensors), strict=True):
            assert np.array_equal(ours, theirs)


def graphs(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    return {path.name: read_graph(path) for path in (bundle.guide_graph, bundle.frame_graph)}


@pytest.fixture
def baked(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    folder = tmp_path / "baked"
    folder.mkdir()
    style = tiny_bundle.style("moss")
    for name, model in bake(graphs(tiny_bundle), style).items():
        onnx.save_model(model, folder / name)
    manifest = {**tiny_bundle.manifest, "form": "baked"}
    for graph in ("guide", "frame"):
        told = tiny_bundle.manifest[graph]
        manifest[graph] = {**told, "inputs": [one for one in told["inputs"] if not one["name"].startswith("style.")]}
    bundle = seal(folder, manifest)
    (folder / "styles").mkdir()
    outside = {"palette": style.tensors["palette"]}
    save_style(replace(style, tensors=outside, bundle_id=bundle.id), folder / "styles" / "moss.safetensors")
    return seal(folder, manifest)


def test_an_engine_paints_a_baked_bundle(tiny_bundle: Bundle, baked: Bundle) -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    with OrtEngine(baked, threads=1) as ours, OrtEngine(tiny_bundle, threads=1) as theirs:
        painted = ours.stylise(image, Look(baked.style("moss")))
        assert np.array_equal(painted, theirs.stylise(image, Look(tiny_bundle.style("moss"))))
        other = replace(baked.style("moss"), name="ember")
        with pytest.raises(StyleError, match="baked for moss; it cannot paint 'ember'"):
            ours.stylise(image, Look(other))


def test_what_a_baked_bundle_cannot_do(baked: Bundle) -> None:
    with pytest.raises(BundleError, match="no torch weights; use a dynamic bundle"):
        open_source(str(baked.folder))
    with pytest.raises(BundleError, match="no torch weights"):
        open_engine("torch", baked)
    with pytest.raises(BundleError, match="paints moss only"):
        _ = baked.style_graph
