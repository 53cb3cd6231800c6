from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from engines.bundle import GraphInfo
from engines.errors import EngineError
from export.eager import eager
from export.graph import export_graph, export_style_graph, frame_info, guide_info, store_half, stored_whole
from export.parity import Arrays, Row, compare_frames, compare_guides, compare_styles, demand, ort_graph

SIZES = ((64, 64), (67, 90))
STYLE = {"colour": np.array([0.9, 0.3, 0.1], np.float32)}
INPUTS: Arrays = {"style.colour": STYLE["colour"], "style.palette": np.full((1, 12), 0.2, np.float32)}
GUIDE, FRAME = guide_info(STYLE, 3), frame_info(STYLE, 3)


class TinyGuideGraph(nn.Module):
    """Obeys the contract of a guide's graph: the style's colour and the guide's at every place."""

    def forward(self, guide: Tensor, colour_map: Tensor, colour: Tensor) -> Tensor:
        rows, columns = guide.shape[0] // 4 + 4, guide.shape[1] // 4 + 4
        told = colour + guide.float().mean((0, 1)) / 255 + colour_map.mean()
        return told[None, :, None, None].expand(1, 3, rows, columns)


class TinyFrameGraph(nn.Module):
    """Obeys the contract of a frame graph: a blur, the guidance's colour, and a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 5, padding=2, bias=False)
        with torch.no_grad():
            self.blur.weight.copy_(torch.full_like(self.blur.weight, 1 / 128))

    def forward(
        self,
        frame: Tensor,
        small: Tensor,
        guidance: Tensor,
        colour_map: Tensor,
        colour: Tensor,
        strength: Tensor,
        smoothing: Tensor,
        painting: Tensor,
        source: Tensor,
    ) -> tuple[Tensor, Tensor]:
        image = frame.permute(2, 0, 1)[None].float() / 255
        told = (guidance.mean((0, 2, 3)) + colour + colour_map.mean())[None, :, None, None] / 4
        fresh = image + strength * (0.5 * self.blur(image) + 0.5 * told - image)
        mixed = fresh + 0.5 * smoothing * (painting.permute(2, 0, 1)[None].float() / 255 - fresh)
        painted = (mixed[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
        return painted, (small.float() + smoothing * (source.float() - small.float())).round().to(torch.uint8)


class TinyStyleGraph(nn.Module):
    def forward(self, picture: Tensor) -> tuple[Tensor]:
        return ((picture.float() / 255).mean((0, 1)),)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return export_graph(TinyFrameGraph(), FRAME)


@pytest.fixture(scope="module")
def guide_model() -> onnx.ModelProto:
    return export_graph(TinyGuideGraph(), GUIDE)


def compare(module: nn.Module, path: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Row]:
    guide = eager(TinyGuideGraph(), GUIDE)
    return compare_frames(guide, eager(module, FRAME), guide, ort_graph(path), INPUTS, sizes)


@pytest.mark.parametrize(("graph", "info"), [("guide_model", GUIDE), ("model", FRAME)])
def test_names_types_and_free_sizes_are_the_contract_s(
    graph: str, info: GraphInfo, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(graph)
    for infos, values in ((info.inputs, model.graph.input), (info.outputs, model.graph.output)):
        assert [info.name for info in infos] == [value.name for value in values]
        for entry, value in zip(infos, values, strict=True):
            told = value.type.tensor_type
            assert told.elem_type == (TensorProto.UINT8 if entry.dtype == "uint8" else TensorProto.FLOAT)
            assert tuple(side.dim_param or side.dim_value for side in told.shape.dim) == entry.shape
    assert all(not node.doc_string and not node.metadata_props for node in model.graph.node)


def test_exact_weights_are_stored_as_fp16_and_nothing_is_rounded(model: onnx.ModelProto, tmp_path: Path) -> None:
    halved = store_half(model)
    assert any(constant.data_type == TensorProto.FLOAT16 for constant in halved.graph.initializer)
    assert not any(constant.data_type == TensorProto.FLOAT16 for constant in model.graph.initializer)
    whole = {constant.name: numpy_helper.to_array(constant) for constant in stored_whole(halved).graph.initializer}
    for constant in model.graph.initializer:
        assert np.array_equal(whole[constant.name], numpy_helper.to_array(constant))
    onnx.checker.check_model(halved)
    onnx.save_model(model, tmp_path / "full.onnx")
    onnx.save_model(halved, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < (tmp_path / "full.onnx").stat().st_size
    full, half = (compare(TinyFrameGraph(), tmp_path / f"{name}.onnx") for name in ("full", "half"))
    assert full == half
    demand(half)


def test_weights_that_fp16_would_round_stay_fp32() -> None:
    exact = numpy_helper.from_array(np.full((8, 16), 0.25, np.float32), "exact")
    third = numpy_helper.from_array(np.full((8, 16), 1 / 3, np.float32), "third")
    huge = numpy_helper.from_array(np.full((8, 16), 1e6, np.float32), "huge")
    small = numpy_helper.from_array(np.full(3, 0.25, np.float32), "small")
    graph = onnx.helper.make_graph([], "g", [], [], [exact, third, huge, small])
    kinds = {c.name: c.data_type for c in store_half(onnx.helper.make_model(graph)).graph.initializer}
    full = TensorProto.FLOAT
    assert kinds == {"exact.half": TensorProto.FLOAT16, "third": full, "huge": full, "small": full}


def test_a_graph_that_differs_is_refused(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save_model(model, tmp_path / "frame.onnx")
    other = TinyFrameGraph()
    with torch.no_grad():
        other.blur.weight.mul_(1.1)
    with pytest.raises(EngineError, match=r"refused: .* 2 is allowed"):
        demand(compare(other, tmp_path / "frame.onnx"))


def test_guides_graphs_are_compared_too(guide_model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "guide.onnx"
    onnx.save_model(guide_model, path)
    demand(compare_guides(eager(TinyGuideGraph(), GUIDE), ort_graph(path), INPUTS, SIZES))

    def broken(feeds: Arrays) -> Arrays:
        answers = eager(TinyGuideGraph(), GUIDE)(feeds)
        answers["guidance"] = answers["guidance"].copy()
        answers["guidance"][0, 0, 0, 0] = np.nan
        return answers

    with pytest.raises(EngineError, match="refused"):
        demand(compare_guides(broken, ort_graph(path), INPUTS, SIZES[:1]))


def test_style_graphs_take_pictures_of_any_size(tmp_path: Path) -> None:
    onnx.save_model(export_style_graph(TinyStyleGraph(), STYLE), tmp_path / "style.onnx")

    def run(feeds: Arrays) -> Arrays:
        return {"style.colour": TinyStyleGraph()(torch.tensor(feeds["picture"]))[0].numpy()}

    rows = compare_styles(run, ort_graph(tmp_path / "style.onnx"), ((16, 16), (35, 90)))
    assert len(rows) == 2
    demand(rows)
