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

from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX, GraphInfo, TensorInfo
from engines.guide import guidance_size
from engines.memory import small_size
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
GUIDANCE_SIDES = ("guidance_height", "guidance_width")
COLOUR_MAP = TensorInfo("colour_map", "float32", (12,))
# What all graphs that paint take last, and give.
_MEMORY = (
    TensorInfo("smoothing", "float32", ()),
    TensorInfo("memory.painting", "uint8", FRAME_SHAPE),
    TensorInfo("memory.source", "uint8", SMALL_SHAPE),
)
_PAINTED = (TensorInfo("painted", "uint8", FRAME_SHAPE), TensorInfo("next.source", "uint8", SMALL_SHAPE))

Tensors = Mapping[str, NDArray[np.float32]]


def guide_info(style: Tensors, channels: int) -> GraphInfo:
    """What a dynamic guide's graph takes and gives whose style tensors have the shapes of `style`.

    channels: of the guidance.
    """
    inputs = (
        TensorInfo("guide", "uint8", GUIDE_SHAPE),
        COLOUR_MAP,
        *_style_infos(style),
    )
    return GraphInfo(inputs, (_guidance_info(channels),))


def frame_info(style: Tensors, channels: int) -> GraphInfo:
    """The same of a dynamic frame graph."""
    inputs = (
        TensorInfo("frame", "uint8", FRAME_SHAPE),
        TensorInfo("small", "uint8", SMALL_SHAPE),
        _guidance_info(channels),
        COLOUR_MAP,
        *_style_infos(style),
        TensorInfo("strength", "float32", ()),
        *_MEMORY,
    )
    return GraphInfo(inputs, _PAINTED)


def regions_info(style: Tensors, channels: int) -> GraphInfo:
    """The same of the graph for frames with two styles."""
    modulations = _style_infos(style)
    inputs = (
        TensorInfo("frame", "uint8", FRAME_SHAPE),
        TensorInfo("small", "uint8", SMALL_SHAPE),
        TensorInfo("mask", "float32", SMALL_SHAPE[:2]),
        _guidance_info(channels),
        COLOUR_MAP,
        TensorInfo(f"{BACKGROUND_PREFIX}{COLOUR_MAP.name}", COLOUR_MAP.dtype, COLOUR_MAP.shape),
        *modulations,
        *_behind(modulations),
        *_MEMORY,
    )
    return GraphInfo(inputs, _PAINTED)


def plain_info(style: Tensors) -> GraphInfo:
    """What the frame graph of a network without a guide takes and gives (`engines.nets.plain_graph`)."""
    inputs = (
        TensorInfo("frame", "uint8", FRAME_SHAPE),
        TensorInfo("small", "uint8", SMALL_SHAPE),
        *_style_infos(style),
        TensorInfo("strength", "float32", ()),
        *_MEMORY,
    )
    return GraphInfo(inputs, _PAINTED)


def plain_regions_info(style: Tensors) -> GraphInfo:
    """The same of the graph for frames with two styles."""
    tensors = _style_infos(style)
    inputs = (
        TensorInfo("frame", "uint8", FRAME_SHAPE),
        TensorInfo("small", "uint8", SMALL_SHAPE),
        TensorInfo("mask", "float32", SMALL_SHAPE[:2]),
        *tensors,
        *_behind(tensors),
        *_MEMORY,
    )
    return GraphInfo(inputs, _PAINTED)


def export_graph(graph: nn.Module, info: GraphInfo) -> onnx.ModelProto:
    """A graph as ONNX, with free sizes. graph: takes and gives the tensors of `info`, in that order."""
    shapes = ((FRAME_SHAPE, _TRACED), (GUIDE_SHAPE, _TRACED_GUIDE), (SMALL_SHAPE, small_size(*_TRACED)))
    sides = dict(zip(GUIDANCE_SIDES, guidance_size(*_TRACED_GUIDE), strict=True))
    for (rows, columns, _), (height, width) in shapes:
        sides |= {rows: height, columns: width}

    def example(tensor: TensorInfo) -> Tensor:
        shape = [sides[side] if isinstance(side, str) else side for side in tensor.shape]
        if tensor.dtype == "uint8":
            return torch.randint(0, 256, shape, dtype=torch.uint8)
        return torch.rand(shape)

    return _export(graph, tuple(example(tensor) for tensor in info.inputs), info.inputs, info.outputs)


def export_style_graph(graph: nn.Module, style: Tensors) -> onnx.ModelProto:
    """The style graph as ONNX: a picture of any size from 16 px becomes the style tensors, in the order of `style`."""
    inputs = [TensorInfo("picture", "uint8", FRAME_SHAPE)]
    outputs = _style_infos(style)
    example = (torch.randint(0, 256, (*_TRACED, 3), dtype=torch.uint8),)
    return _export(graph, example, inputs, outputs)


def _style_infos(style: Tensors) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(f"{STYLE_PREFIX}{name}", "float32", tensor.shape) for name, tensor in style.items())


def _behind(tensors: Sequence[TensorInfo]) -> tuple[TensorInfo, ...]:
    """The same inputs for the background."""
    return tuple(TensorInfo(f"{BACKGROUND_PREFIX}{info.name}", info.dtype, info.shape) for info in tensors)


def _guidance_info(channels: int) -> TensorInfo:
    return TensorInfo("guidance", "float32", (1, channels, *GUIDANCE_SIDES))


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


def stored_whole(model: onnx.ModelProto) -> onnx.ModelProto:
    """What `store_half` did, undone: constants that are stored as fp16 are fp32 again. Works on a copy."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    constants = {constant.name: constant for constant in whole.graph.initializer}
    nodes = []
    for node in whole.graph.node:
        stored = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if stored is not None and stored.data_type == TensorProto.FLOAT16 and node.attribute[0].i == TensorProto.FLOAT:
            full = numpy_helper.to_array(stored).astype(np.float32)
            whole.graph.initializer.append(numpy_helper.from_array(full, node.output[0]))
        else:
            nodes.append(node)
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [constant for constant in whole.graph.initializer if constant.name in used]
    del whole.graph.initializer[:]
    whole.graph.initializer.extend(kept)
    return whole


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
