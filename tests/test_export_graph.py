from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from engines.errors import EngineError
from export.graph import export_frame_graph, export_style_graph, frame_tensors, store_half
from export.parity import Arrays, compare_frames, compare_styles, demand

SIZES = ((64, 64), (67, 90))
STYLE = {"colour": np.array([0.9, 0.3, 0.1], np.float32)}


class TinyFrameGraph(nn.Module):
    """Obeys the contract of a frame graph: a blur, the style's colour, and a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 5, padding=2, bias=False)
        with torch.no_grad():
            self.blur.weight.copy_(torch.full_like(self.blur.weight, 1 / 128))

    def forward(
        self,
        frame: Tensor,
        guide: Tensor,
        colour: Tensor,
        strength: Tensor,
        smoothing: Tensor,
        painting: Tensor,
        source: Tensor,
        statistics: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        image = frame.permute(2, 0, 1)[None].float() / 255
        fresh = image + strength * (
            0.5 * self.blur(image) + 0.5 * (colour + guide.float().mean((0, 1)) / 255)[None, :, None, None] / 2 - image
        )
        small = frame[::4, ::4]
        same = ((small.float() - source.float()).abs().mean() < 60).float()
        share = smoothing * statistics[12] * same
        mixed = fresh + share * (painting.permute(2, 0, 1)[None].float() / 255 - fresh)
        painted = (mixed[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
        return painted, small, torch.cat([image.mean((2, 3))[0], torch.zeros(9), torch.ones(1), torch.zeros(3)])


class TinyStyleGraph(nn.Module):
    def forward(self, picture: Tensor) -> tuple[Tensor]:
        return ((picture.float() / 255).mean((0, 1)),)


def eager(module: nn.Module) -> object:
    inputs, outputs = frame_tensors(STYLE)

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            answers = module(*(torch.tensor(feeds[info.name]) for info in inputs))
        return {info.name: answer.numpy() for info, answer in zip(outputs, answers, strict=True)}

    return run


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return export_frame_graph(TinyFrameGraph(), STYLE)


def test_names_types_and_free_sizes_are_the_contract_s(model: onnx.ModelProto) -> None:
    inputs, outputs = frame_tensors(STYLE)
    for infos, values in ((inputs, model.graph.input), (outputs, model.graph.output)):
        assert [info.name for info in infos] == [value.name for value in values]
        for info, value in zip(infos, values, strict=True):
            told = value.type.tensor_type
            assert told.elem_type == (TensorProto.UINT8 if info.dtype == "uint8" else TensorProto.FLOAT)
            assert tuple(side.dim_param or side.dim_value for side in told.shape.dim) == info.shape
    assert all(not node.doc_string and not node.metadata_props for node in model.graph.node)


def test_exact_weights_are_stored_as_fp16_and_nothing_is_rounded(model: onnx.ModelProto, tmp_path: Path) -> None:
    halved = store_half(model)
    assert any(constant.data_type == TensorProto.FLOAT16 for constant in halved.graph.initializer)
    assert not any(constant.data_type == TensorProto.FLOAT16 for constant in model.graph.initializer)
    onnx.checker.check_model(halved)
    onnx.save_model(model, tmp_path / "full.onnx")
    onnx.save_model(halved, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < (tmp_path / "full.onnx").stat().st_size
    style = {"style.colour": STYLE["colour"]}
    full = compare_frames(eager(TinyFrameGraph()), tmp_path / "full.onnx", style, SIZES)  # type: ignore[arg-type]
    half = compare_frames(eager(TinyFrameGraph()), tmp_path / "half.onnx", style, SIZES)  # type: ignore[arg-type]
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
    rows = compare_frames(eager(other), tmp_path / "frame.onnx", {"style.colour": STYLE["colour"]}, SIZES)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"refused: .* 2 is allowed"):
        demand(rows)


def test_nan_is_refused(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save_model(model, tmp_path / "frame.onnx")

    def broken(feeds: Arrays) -> Arrays:
        answers = eager(TinyFrameGraph())(feeds)  # type: ignore[operator]
        answers["next.statistics"][0] = np.nan
        return answers  # type: ignore[no-any-return]

    with pytest.raises(EngineError, match="refused"):
        demand(compare_frames(broken, tmp_path / "frame.onnx", {"style.colour": STYLE["colour"]}, SIZES[:1]))


def test_style_graphs_take_pictures_of_any_size(tmp_path: Path) -> None:
    onnx.save_model(export_style_graph(TinyStyleGraph(), STYLE), tmp_path / "style.onnx")

    def run(feeds: Arrays) -> Arrays:
        return {"style.colour": TinyStyleGraph()(torch.tensor(feeds["picture"]))[0].numpy()}

    rows = compare_styles(run, tmp_path / "style.onnx", ((16, 16), (35, 90)))
    assert len(rows) == 2
    demand(rows)
