"""int8: ONNX Runtime's static quantisation of a graph's convolutions, as QDQ, calibrated on given inputs.

Weights are 8 bits by channel, activations 8 bits around 0: TensorRT parses no other zero point. Biases stay as they
are, for it takes no int32 either. The last convolutions stay in fp32, for their outputs are the picture (0..255, of
which 8 bits around 0 leave 127 steps) or its kernels; and so does everything that is no convolution.

An activation's range leaves out one value in 100,000 of those seen: a few bright dots would make its steps too wide.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from export.calibration import Feeds

_KEPT_PERCENT = 99.999


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Iterable[Feeds], names: set[str]) -> None:
        self._feeds = ({name: array for name, array in one.items() if name in names} for one in feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def quantised_graph(model: onnx.ModelProto, feeds: Iterable[Feeds]) -> onnx.ModelProto:
    """A copy whose convolutions, but the last, are in int8.

    model: fp32, shapes inferred, nodes named. feeds: what it takes, and maybe more.
    """
    chosen = _narrowed(model.graph)
    if not chosen:
        same = onnx.ModelProto()
        same.CopyFrom(model)
        return same
    noisy = logging.getLogger()
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        # Calibration prints what it is at.
        with contextlib.redirect_stdout(io.StringIO()), TemporaryDirectory() as folder:
            before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
            onnx.save_model(model, before)
            quantize_static(
                str(before),
                str(after),
                _Reader(feeds, {value.name for value in model.graph.input}),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_quantize=chosen,
                calibrate_method=CalibrationMethod.Percentile,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "CalibPercentile": _KEPT_PERCENT,
                },
            )
            return onnx.load_model(after)
    finally:
        noisy.setLevel(level)


def _narrowed(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions that another one computes with; all of them where none is such."""
    reach: set[str] = set()  # values that a convolution is computed from
    inner: list[str] = []
    last: list[str] = []
    for node in reversed(graph.node):  # in order: what is used is made before
        follows = any(name in reach for name in node.output)
        if node.op_type == "Conv":
            (inner if follows else last).append(node.name)
        if node.op_type == "Conv" or follows:
            reach.update(node.input)
    return inner or last
