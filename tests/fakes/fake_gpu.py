"""A GPU that is not there: the modules `tensorrt` and `cuda.bindings.runtime` as far as Brushcast uses them.

Its memory is the process's own, its streams are queues that are emptied when somebody waits, and its plans are ONNX
graphs that ONNX Runtime computes, with data that really was copied to the addresses that were bound. What the real
libraries forbid is an error here: copies beyond an allocation or in the wrong direction, memory that was freed,
allocating or waiting while a stream is captured, uint8 that is anything but cast at the border, shapes outside the
profile, a missing address or workspace.
"""

# ruff: noqa: N802, N815, N801 - the names are the real libraries'

from __future__ import annotations

import ctypes
import enum
import json
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

Op = Callable[[], None]


class CudaError(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorInvalidDevice = 101
    cudaErrorStreamCaptureUnsupported = 900


class Kind(enum.IntEnum):
    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class Mode(enum.IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1


OK = CudaError.cudaSuccess


class Gpu:
    """The state of the fake, and what tests look at and set."""

    def __init__(self) -> None:
        self.count, self.name, self.capability, self.driver = 1, "NVIDIA Fake 9000", (8, 9), 13000
        self.total = 1 << 30
        self.driver_there = True
        self.can_capture = True
        self.version = "10.3.0"
        self.unsupported: set[str] = set()
        self.unused: set[str] = set()  # inputs that TensorRT leaves out of a plan
        self.workspace_per_pixel = 16
        self.fail_build = ""
        self.stop_build = False
        self.builds = self.enqueued = self.launched = self.captures = self.uploads = 0
        self.timings: list[bytes] = []
        self.monitored: list[str] = []
        self.blocks: dict[int, tuple[Any, int, str]] = {}
        self.queues: dict[int, list[Op]] = {}
        self.capturing: dict[int, list[Op]] = {}
        self.capturing_threads: dict[int, int] = {}
        self.graphs: dict[int, list[Op]] = {}
        self.threads: set[int] = set()  # that have chosen a device
        self.handles = 100
        self.lock = threading.RLock()

    @property
    def used(self) -> int:
        # Of a copy: the garbage collector may end a forgotten engine in the middle of it, which frees its blocks.
        with self.lock:
            return sum(size for _, size, kind in self.blocks.copy().values() if kind == "device")

    def new(self, size: int, kind: str) -> int:
        with self.lock:
            block = (ctypes.c_uint8 * size)()
            address = ctypes.addressof(block)
            self.blocks[address] = (block, size, kind)
            return address

    def check(self, address: int, size: int, kind: str) -> None:
        with self.lock:
            for start, (_, length, found) in self.blocks.copy().items():
                if start <= address and address + size <= start + length:
                    assert found == kind, f"{found} memory is used as {kind} memory"
                    return
        raise AssertionError(f"{size} bytes of {kind} memory are not there")

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        count = int(np.prod(shape))
        size = count * np.dtype(dtype).itemsize
        self.check(address, size, "device")
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype, count).reshape(shape)

    def ask(self, stream: int, op: Op) -> None:
        with self.lock:
            assert threading.get_ident() in self.threads, "this thread has chosen no device"
            (self.capturing[stream] if stream in self.capturing else self.queues[stream]).append(op)


class Runtime:
    """cuda.bindings.runtime"""

    cudaError_t, cudaMemcpyKind, cudaStreamCaptureMode = CudaError, Kind, Mode
    cudaStreamNonBlocking = 1

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    def _busy(self) -> bool:
        return threading.get_ident() in self.gpu.capturing_threads.values()

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        return (OK, self.gpu.count) if self.gpu.driver_there else (CudaError.cudaErrorInsufficientDriver, None)

    def cudaGetErrorString(self, error: Any) -> tuple[Any, ...]:
        return OK, f"said of {CudaError(error).name}".encode()

    def cudaGetLastError(self) -> tuple[Any, ...]:
        return (OK,)

    def cudaSetDevice(self, index: int) -> tuple[Any, ...]:
        if index >= self.gpu.count:
            return (CudaError.cudaErrorInvalidDevice,)
        self.gpu.threads.add(threading.get_ident())
        return (OK,)

    def cudaGetDeviceProperties(self, index: int) -> tuple[Any, ...]:
        major, minor = self.gpu.capability
        return OK, SimpleNamespace(name=self.gpu.name.encode() + bytes(3), major=major, minor=minor)

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return OK, self.gpu.driver

    def cudaMemGetInfo(self) -> tuple[Any, ...]:
        return OK, self.gpu.total - self.gpu.used, self.gpu.total

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        if self._busy():
            return CudaError.cudaErrorStreamCaptureUnsupported, None
        if size > self.gpu.total - self.gpu.used:
            return CudaError.cudaErrorMemoryAllocation, None
        return OK, self.gpu.new(size, "device")

    def cudaMallocHost(self, size: int) -> tuple[Any, ...]:
        return (
            (CudaError.cudaErrorStreamCaptureUnsupported, None) if self._busy() else (OK, self.gpu.new(size, "pinned"))
        )

    def _free(self, address: int, kind: str) -> tuple[Any, ...]:
        with self.gpu.lock:
            if address not in self.gpu.blocks or self.gpu.blocks[address][2] != kind:
                return (CudaError.cudaErrorInvalidValue,)
            del self.gpu.blocks[address]
        return (OK,)

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._free(address, "device")

    def cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        return self._free(address, "pinned")

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        assert flags == self.cudaStreamNonBlocking
        with self.gpu.lock:
            self.gpu.handles += 1
            self.gpu.queues[self.gpu.handles] = []
            return OK, self.gpu.handles

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        del self.gpu.queues[stream]
        return (OK,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        if stream in self.gpu.capturing:
            return (CudaError.cudaErrorStreamCaptureUnsupported,)
        queue = self.gpu.queues[stream]
        while queue:
            queue.pop(0)()
        return (OK,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: Any, stream: int) -> tuple[Any, ...]:
        ends = {Kind.cudaMemcpyHostToDevice: ("device", "pinned"), Kind.cudaMemcpyDeviceToHost: ("pinned", "device")}
        self.gpu.uploads += kind == Kind.cudaMemcpyHostToDevice

        def copy() -> None:
            self.gpu.check(to, size, ends[kind][0])
            self.gpu.check(source, size, ends[kind][1])
            ctypes.memmove(to, source, size)

        self.gpu.ask(stream, copy)
        return (OK,)

    def cudaStreamBeginCapture(self, stream: int, mode: Any) -> tuple[Any, ...]:
        assert mode == Mode.cudaStreamCaptureModeThreadLocal
        self.gpu.capturing[stream] = []
        self.gpu.capturing_threads[stream] = threading.get_ident()
        return (OK,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        del self.gpu.capturing_threads[stream]
        return OK, self.gpu.capturing.pop(stream)

    def cudaGraphInstantiate(self, graph: list[Op], flags: int) -> tuple[Any, ...]:
        assert flags == 0
        if not self.gpu.can_capture:
            return CudaError.cudaErrorStreamCaptureUnsupported, None
        self.gpu.captures += 1
        self.gpu.handles += 1
        self.gpu.graphs[self.gpu.handles] = list(graph)
        return OK, self.gpu.handles

    def cudaGraphDestroy(self, graph: list[Op]) -> tuple[Any, ...]:
        graph.clear()
        return (OK,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[Any, ...]:
        del self.gpu.graphs[graph]
        return (OK,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[Any, ...]:
        self.gpu.launched += 1
        for op in self.gpu.graphs[graph]:
            self.gpu.ask(stream, op)
        return (OK,)


# ---- tensorrt


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT64 = 2
    UINT8 = 3


class IOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


DTYPES = {1: (DataType.FLOAT, np.float32), 2: (DataType.UINT8, np.uint8), 7: (DataType.INT64, np.int64)}


class ILogger:
    def __init__(self) -> None:
        self.made = True  # a subclass has to call this


class IProgressMonitor:
    def __init__(self) -> None:
        self.made = True


def sides(value: onnx.ValueInfoProto) -> list[int | str]:
    return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
        if not all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True)):
            raise RuntimeError("Shape provided for opt is inconsistent with other shapes.")
        self.shapes[name] = [list(least), list(usual), list(most)]


class Cache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> memoryview:
        return memoryview(self.data)


class Config:
    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.pools: dict[Any, int] = {}
        self.flags = {"TF32"}
        self.progress_monitor: Any = None
        self.cache: Cache | None = None

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.pools[pool] = size

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, data: bytes) -> Cache:
        return Cache(bytes(data))

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if cache.data and not cache.data.startswith(b"timings"):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Cache | None:
        return self.cache


class ParserError:
    def __init__(self, node: onnx.NodeProto, why: str) -> None:
        self._node, self._why = node, why

    def desc(self) -> str:
        return self._why

    def node_operator(self) -> str:
        return self._node.op_type

    def node_name(self) -> str:
        return self._node.name


class TensorRt:
    """What the module `tensorrt` is made of, for one `Gpu`."""

    def __init__(self, gpu: Gpu) -> None:
        fake = self
        major = int(gpu.version.partition(".")[0])

        class Network:
            def __init__(self) -> None:
                self.model: onnx.ModelProto | None = None

        class Builder:
            def __init__(self, log: Any) -> None:
                assert log.made
                self.log = log

            def create_network(self, flags: int = 0) -> Network:
                assert major > 10 or flags & 2, "a network of TensorRT 10 is weakly typed"
                return Network()

            def create_builder_config(self) -> Config:
                return Config()

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: Network, config: Config) -> memoryview | None:
                return fake.build(self.log, network.model, config)

        class OnnxParser:
            def __init__(self, network: Network, log: Any) -> None:
                self.network, self.log = network, log
                self.errors: list[ParserError] = []

            def parse(self, data: bytes) -> bool:
                model = onnx.load_model_from_string(bytes(data))
                self.errors = fake.complaints(model)
                self.network.model = model
                return not self.errors

            def supports_model_v2(self, data: bytes) -> bool:
                return self.parse(data)

            @property
            def num_errors(self) -> int:
                return len(self.errors)

            def get_error(self, index: int) -> ParserError:
                return self.errors[index]

        class Runtime_:
            def __init__(self, log: Any) -> None:
                assert log.made
                self.log = log

            def deserialize_cuda_engine(self, data: bytes) -> CudaEngine | None:
                head, _, body = bytes(data).partition(b"\n")
                told = json.loads(head) if head.startswith(b"{") else {"version": "another"}
                if told["version"] != gpu.version:
                    self.log.log(Severity.ERROR, "Version tag does not match.\nmore")
                    return None
                return CudaEngine(gpu, told, body)

        self.gpu = gpu
        self.module = module = ModuleType("tensorrt")
        module.__spec__ = ModuleSpec("tensorrt", None)  # PyTorch asks for it
        members: dict[str, Any] = {
            "__version__": gpu.version,
            "ILogger": ILogger,
            "IProgressMonitor": IProgressMonitor,
            "Builder": Builder,
            "OnnxParser": OnnxParser,
            "Runtime": Runtime_,
            "NetworkDefinitionCreationFlag": SimpleNamespace(STRONGLY_TYPED=1),
            "BuilderFlag": SimpleNamespace(TF32="TF32"),
            "MemoryPoolType": SimpleNamespace(WORKSPACE="workspace"),
            "ExecutionContextAllocationStrategy": SimpleNamespace(STATIC=0, USER_MANAGED=2),
            "DataType": DataType,
            "TensorIOMode": IOMode,
        }
        for name, value in members.items():
            setattr(module, name, value)

    def complaints(self, model: onnx.ModelProto) -> list[ParserError]:
        """What the parser of a strongly typed network does not take."""
        bytes_in = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == 2}
        bytes_out = {value.name for value in model.graph.output if value.type.tensor_type.elem_type == 2}
        errors = []
        for node in model.graph.node:
            if node.op_type in self.gpu.unsupported:
                errors.append(ParserError(node, f"no importer for {node.op_type}"))
            elif node.op_type != "Cast" and (bytes_in & {*node.input} or bytes_out & {*node.output}):
                errors.append(ParserError(node, "uint8 can only be cast"))
        return errors

    def build(self, log: Any, model: onnx.ModelProto | None, config: Config) -> memoryview | None:
        gpu = self.gpu
        assert model is not None
        assert len(config.profiles) <= 1
        shapes = config.profiles[0].shapes if config.profiles else {}
        free = {value.name: sides(value) for value in model.graph.input}
        for name, found in free.items():
            assert (name in shapes) == any(isinstance(side, str) for side in found), name
        for which in range(3):  # dimensions of one name are one
            known: dict[str, int] = {}
            for name, three in shapes.items():
                for side, size in zip(free[name], three[which], strict=True):
                    assert known.setdefault(str(side), size) == size or isinstance(side, int)
        monitor = config.progress_monitor
        if monitor is not None:
            assert monitor.made
            gpu.monitored.append("build")
            monitor.phase_start("Building", None, 2)
            monitor.phase_start("Timing", "Building", 1)
            going = monitor.step_complete("Building", 0)
            monitor.phase_finish("Timing")
            monitor.phase_finish("Building")
            if not going:
                return None
        if gpu.fail_build:
            log.log(Severity.WARNING, "not this")
            log.log(Severity.ERROR, gpu.fail_build)
            return None
        gpu.builds += 1
        assert config.cache is not None
        gpu.timings.append(config.cache.data)
        config.cache.data = b"timings" + bytes([gpu.builds])
        assert "TF32" not in config.flags
        head = {"version": gpu.version, "shapes": shapes, "pools": config.pools}
        return memoryview(json.dumps(head).encode() + b"\n" + model.SerializeToString())


class CudaEngine:
    def __init__(self, gpu: Gpu, told: dict[str, Any], body: bytes) -> None:
        self.gpu, self.shapes = gpu, told["shapes"]
        model = onnx.load_model_from_string(body)
        values = [(IOMode.INPUT, value) for value in model.graph.input if value.name not in gpu.unused]
        values += [(IOMode.OUTPUT, value) for value in model.graph.output]
        self.values = {value.name: (mode, value) for mode, value in values}
        self.left_out = {
            value.name: (sides(value), DTYPES[value.type.tensor_type.elem_type][1])
            for value in model.graph.input
            if value.name in gpu.unused
        }
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        self.session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])

    @property
    def num_io_tensors(self) -> int:
        return len(self.values)

    def get_tensor_name(self, index: int) -> str:
        return list(self.values)[index]

    def get_tensor_mode(self, name: str) -> IOMode:
        return self.values[name][0]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DTYPES[self.values[name][1].type.tensor_type.elem_type][0]

    def create_execution_context(self, strategy: int) -> Context:
        assert strategy == 2
        return Context(self)


class Context:
    def __init__(self, engine: CudaEngine) -> None:
        self.engine, self.gpu = engine, engine.gpu
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.workspace: tuple[int, int] | None = None

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        wanted = sides(self.engine.values[name][1])
        good = len(shape) == len(wanted)
        good = good and all(isinstance(side, str) or side == size for side, size in zip(wanted, shape, strict=True))
        if good and name in self.engine.shapes:
            least, _, most = self.engine.shapes[name]
            good = all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))
        self.shapes[name] = tuple(shape)
        return good

    def infer_shapes(self) -> list[str]:
        inputs = [name for name, (mode, _) in self.engine.values.items() if mode == IOMode.INPUT]
        missing = [name for name in inputs if name not in self.shapes]
        if not missing:
            # By running it: only the real shapes of the answers are believed.
            feeds = {name: np.zeros(self.shapes[name], self._dtype(name)) for name in inputs} | self._left_out()
            names = [entry.name for entry in self.engine.session.get_outputs()]
            for name, answer in zip(names, self.engine.session.run(names, feeds), strict=True):
                self.shapes[name] = answer.shape
        return missing

    def update_device_memory_size_for_shapes(self) -> int:
        return 256 + self.gpu.workspace_per_pixel * max(int(np.prod(shape)) for shape in self.shapes.values())

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= self.update_device_memory_size_for_shapes()
        self.gpu.check(address, size, "device")
        self.workspace = (address, size)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in self.engine.values

    def execute_async_v3(self, stream: int) -> bool:
        if self.workspace is None or set(self.addresses) != set(self.engine.values):
            return False
        self.gpu.enqueued += 1
        shapes, addresses, workspace = dict(self.shapes), dict(self.addresses), self.workspace

        def compute() -> None:
            self.gpu.check(*workspace, "device")
            feeds = self._left_out()
            for name, (mode, _) in self.engine.values.items():
                if mode == IOMode.INPUT:
                    feeds[name] = self.gpu.array(addresses[name], shapes[name], self._dtype(name)).copy()
            names = [entry.name for entry in self.engine.session.get_outputs()]
            for name, answer in zip(names, self.engine.session.run(names, feeds), strict=True):
                assert answer.shape == shapes[name]
                self.gpu.array(addresses[name], answer.shape, answer.dtype)[...] = answer

        self.gpu.ask(stream, compute)
        return True

    def _dtype(self, name: str) -> Any:
        return DTYPES[self.engine.values[name][1].type.tensor_type.elem_type][1]

    def _left_out(self) -> dict[str, Any]:
        return {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.engine.left_out.items()}


def install(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Put both modules there for one test; `reinstall` after a change of `Gpu.version`."""
    gpu = Gpu()
    reinstall(monkeypatch, gpu)
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = Runtime(gpu)  # type: ignore[attr-defined]
    cuda = ModuleType("cuda")
    cuda.bindings = bindings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", cuda)
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    return gpu


def reinstall(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", TensorRt(gpu).module)


def install_torch_tensorrt(monkeypatch: pytest.MonkeyPatch, gpu: Gpu, graphs: list[onnx.ModelProto]) -> list[Any]:
    """Put `torch_tensorrt` there. Its plans are of those `graphs` that have as many inputs as the program.

    Returns a list to which every program is added, with its inputs and options.
    """
    import torch  # noqa: PLC0415 (most tests need none)

    asked: list[Any] = []

    class Input:
        def __init__(self, shape: Any = None, **told: Any) -> None:
            assert set(told) == ({"dtype"} if shape is not None else {"min_shape", "opt_shape", "max_shape", "dtype"})
            self.shapes = [shape] * 3 if shape is not None else [told[f"{key}_shape"] for key in ("min", "opt", "max")]
            self.fixed, self.dtype = shape is not None, told["dtype"]

    def convert(program: Any, *, arg_inputs: list[Input], **options: Any) -> bytes:
        asked.append((program, arg_inputs, options))
        names = program.graph_signature.user_inputs
        first = {next(iter(node.users)).target for node in program.graph.nodes if node.name in names and node.users}
        assert any(entry.dtype == torch.uint8 for entry in arg_inputs)
        assert all("permute" not in str(target) for target in first), "uint8 can only be cast"
        with torch.no_grad():  # the program has to be good for the least and the usual sizes
            for which in (0, 1):
                feeds = [torch.zeros(entry.shapes[which], dtype=entry.dtype) for entry in arg_inputs]
                answers = program.module()(*feeds)
        count = len(answers) if isinstance(answers, tuple) else 1
        (graph,) = (model for model in graphs if len(model.graph.input) == len(arg_inputs))
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        new = dict(zip((value.name for value in copy.graph.input), names, strict=True))
        new |= {value.name: f"output{place}" for place, value in enumerate(copy.graph.output)}
        assert len(copy.graph.output) == count
        for value in (*copy.graph.input, *copy.graph.output):
            value.name = new[value.name]
        for node in copy.graph.node:
            for side in (node.input, node.output):
                for place, name in enumerate(side):
                    side[place] = new.get(name, name)
        shapes = {name: entry.shapes for name, entry in zip(names, arg_inputs, strict=True) if not entry.fixed}
        head = {"version": gpu.version, "shapes": shapes}
        return json.dumps(head).encode() + b"\n" + copy.SerializeToString()

    module = ModuleType("torch_tensorrt")
    module.__spec__ = ModuleSpec("torch_tensorrt", None)
    module.Input = Input  # type: ignore[attr-defined]
    module.dynamo = SimpleNamespace(  # type: ignore[attr-defined]
        convert_exported_program_to_serialized_trt_engine=convert
    )
    monkeypatch.setitem(sys.modules, "torch_tensorrt", module)
    return asked
