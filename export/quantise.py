"""int8: ONNX Runtime's static quantisation of a graph's convolutions, as QDQ, calibrated on given inputs.

Weights are 8 bits by channel, activations 8 bits around 0: TensorRT parses no other zero point. Biases stay as they
are, for it takes no int32 either. Everything that is no convolution computes in fp32.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.calibration import Feeds


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Iterable[Feeds], names: set[str]) -> None:
        self._feeds = ({name: array for name, array in one.items() if name in names} for one in feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def quantised_graph(model: onnx.ModelProto, feeds: Iterable[Feeds]) -> onnx.ModelProto:
    """A copy whose convolutions are in int8. model: fp32, shapes inferred. feeds: what it takes, and maybe more."""
    noisy = logging.getLogger()
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with TemporaryDirectory() as folder:
            before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
            onnx.save_model(model, before)
            quantize_static(
                str(before),
                str(after),
                _Reader(feeds, {value.name for value in model.graph.input}),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
            )
            return onnx.load_model(after)
    finally:
        noisy.setLevel(level)
