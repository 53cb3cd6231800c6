"""From torch modules to ONNX graphs: free frame sizes, the contract's names, weights stored as fp16 where exact."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from torch import Tensor, nn

from engines.bundle import TensorInfo
from engines.memory import STATISTICS, small_size
from export.shuffle import split_shuffles
from export.slices import join_slices

OPSET = 20
IR_VERSION = 10  # what ONNX Runtime 1.22, the oldest that is allowed, reads
# The traced example: no side is a multiple of anything that the network uses, and all sides differ.
_TRACED = (101, 147)
_TRACED_GUIDE = (72, 88)
_HALF_FROM = 64  # smaller constants are not worth a Cast

GUIDE_SHAPE = ("guide_height", "guide_width", 3)
FRAME_SHAPE = ("height", "width", 3)
SMALL_SHAPE = ("small_height", "small_width", 3)


def frame_tensors(style: Mapping[str, NDArray[np.float32]]) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Inputs and outputs of a dynamic frame graph whose style tensors have the shapes of `style`."""
    statistics = (STATISTICS,)
    inputs = [
        TensorInfo("frame", "uint8", FRAME_SHAPE),
        TensorInfo("guide", "uint8", GUIDE_SHAPE),
        *(TensorInfo(f"style.{name}", "float32", tensor.shape) for name, tensor in style.items()),
        TensorInfo("strength", "float32", ()),
        TensorInfo("smoothing", "float32", ()),
        TensorInfo("memory.painting", "uint8", FRAME_SHAPE),
        TensorInfo("memory.source", "uint8", SMALL_SHAPE),
        TensorInfo("memory.statistics", "float32", statistics),
    ]
    outputs = [
        TensorInfo("painted", "uint8", FRAME_SHAPE),
        TensorInfo("next.source", "uint8", SMALL_SHAPE),
        TensorInfo("next.statistics", "float32", statistics),
    ]
    return inputs, outputs


def export_frame_graph(graph: nn.Module, style: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The frame graph as ONNX, with free frame sizes.

    graph: takes and gives the tensors of `frame_tensors`, in that order. style: an example, in the graph's order.
    """
    inputs, outputs = frame_tensors(style)
    (height, width), small = _TRACED, small_size(*_TRACED)
    example = (
        torch.randint(0, 256, (height, width, 3), dtype=torch.uint8),
        torch.randint(0, 256, (*_TRACED_GUIDE, 3), dtype=torch.uint8),
        *(torch.tensor(tensor) for tensor in style.values()),
        torch.tensor(1.0),
        torch.tensor(0.7),
        torch.randint(0, 256, (height, width, 3), dtype=torch.uint8),
        torch.randint(0, 256, (*small, 3), dtype=torch.uint8),
        torch.ones(STATISTICS),
    )
    return _export(graph, example, inputs, outputs)


def export_style_graph(graph: nn.Module, style: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The style graph as ONNX: a picture of any size from 16 px becomes the style tensors, in the order of `style`."""
    inputs = [TensorInfo("picture", "uint8", FRAME_SHAPE)]
    outputs = [TensorInfo(f"style.{name}", "float32", tensor.shape) for name, tensor in style.items()]
    example = (torch.randint(0, 256, (*_TRACED, 3), dtype=torch.uint8),)
    return _export(graph, example, inputs, outputs)


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every fp32 constant that fp16 holds exactly as fp16, with a Cast behind it; computing stays fp32.

    ONNX Runtime folds the casts when it loads. What fp16 would round stays as it is. Works on a copy.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts: list[onnx.NodeProto] = []
    for constant in halved.graph.initializer:
        if constant.data_type != TensorProto.FLOAT:
            continue
        full = numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            half = full.astype(np.float16)
        if full.size < _HALF_FROM or not np.array_equal(half.astype(np.float32), full):
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = list(halved.graph.node)
    del halved.graph.node[:]
    halved.graph.node.extend([*casts, *nodes])
    return halved


def _export(
    graph: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> onnx.ModelProto:
    free = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, side in enumerate(info.shape) if isinstance(side, str)}
        for info in inputs
    )
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter warns of its own future; what comes out is measured afterwards.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.eval(),
                example,
                input_names=[info.name for info in inputs],
                output_names=[info.name for info in outputs],
                dynamic_shapes=(free,) if _takes_many(graph) else free,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    assert program is not None
    told = _told(program.model_proto, inputs, outputs)
    return join_slices(split_shuffles(shape_inference.infer_shapes(told, data_prop=True)))


def _takes_many(graph: nn.Module) -> bool:
    """Whether `forward` takes *tensors: the exporter then wants the sizes of all of them as one argument's."""
    return bool(graph.forward.__code__.co_flags & 0x04)  # CO_VARARGS


def _told(model: onnx.ModelProto, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> onnx.ModelProto:
    """Give inputs and outputs the contract's shapes, drop what only debugging needs."""
    told: dict[str, Any] = {info.name: info for info in (*inputs, *outputs)}
    for value in (*model.graph.input, *model.graph.output):
        info = told[value.name]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(info.dtype))
        if value.type.tensor_type.elem_type != kind:
            raise ValueError(f"the graph's {value.name} is not {info.dtype}")
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, list(info.shape)))
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for constant in model.graph.initializer:
        del constant.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    del model.functions[:]
    model.ir_version = IR_VERSION
    model.producer_name, model.doc_string = "brushcast-export", ""
    onnx.checker.check_model(model, full_check=False)
    return model
