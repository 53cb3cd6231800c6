from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import FORMAT, Bundle
from engines.errors import BundleError
from export.metadata import metadata, read_graph, stamp
from export.sizes import parse_sizes


def told() -> dict[str, str]:
    more = {"name": "x", "id": "12"}
    sizes = parse_sizes("640x360")
    return metadata(form="dynamic", precision="fp16", opset=20, sizes=sizes, licence="Apache-2.0", more=more)


def test_what_a_file_tells(tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = read_graph(tiny_bundle.frame_graph)
    stamp(model, told())
    onnx.save_model(model, tmp_path / "frame.onnx")
    props = {entry.key: entry.value for entry in read_graph(tmp_path / "frame.onnx").metadata_props}
    assert props == {
        "brushcast.format": str(FORMAT),
        "brushcast.form": "dynamic",
        "brushcast.precision": "fp16",
        "brushcast.opset": "20",
        "brushcast.sizes": "640x360",
        "brushcast.licence": "Apache-2.0",
        "brushcast.name": "x",
        "brushcast.id": "12",
    }


def test_a_later_version(tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = read_graph(tiny_bundle.frame_graph)
    stamp(model, {**told(), "brushcast.format": "99"})
    onnx.save_model(model, tmp_path / "frame.onnx")
    with pytest.raises(BundleError, match="format 99; this program reads 5: update Brushcast"):
        read_graph(tmp_path / "frame.onnx")


def other() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (4,))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, (4,))
    weights = numpy_helper.from_array(np.ones(4, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["pixels", "w"], ["y"])], "g", [value], [out], [weights])
    return helper.make_model(graph)


def test_a_graph_of_another_program(tmp_path: Path) -> None:
    onnx.save_model(other(), tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="not a graph of Brushcast's: it takes pixels"):
        read_graph(tmp_path / "other.onnx")


def test_no_onnx_at_all(tmp_path: Path) -> None:
    (tmp_path / "frame.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(BundleError, match="cannot be read as ONNX"):
        read_graph(tmp_path / "frame.onnx")


def test_external_data_that_is_missing(tmp_path: Path) -> None:
    model = other()
    model.graph.input[0].name = model.graph.node[0].input[0] = "frame"
    onnx.save_model(
        model, tmp_path / "frame.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(BundleError, match="keeps data in another file, which is missing"):
        read_graph(tmp_path / "frame.onnx")
