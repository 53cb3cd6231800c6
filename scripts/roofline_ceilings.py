"""What the machine can do at the best: its matrix products a second, and the bytes it moves a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from roofline_counts import Arithmetic

from engines.ort import CPU, open_session

# rows, depth, columns of matrix products: square ones, of which the small one is over before other programs get their
# turn on a busy machine, and a tall one as a convolution over a frame is.
PRODUCTS = ((512, 512, 512), (1024, 1024, 1024), (1536, 1536, 1536), (8192, 512, 512))
# Channels in and out, height, width of a 3x3 convolution that suits the library well: its blocked convolutions are
# other code than its matrix products, and a ceiling that nodes break through would be none.
CONVOLUTION = (64, 128, 64, 96)
# Bytes read and written by a copy: from what stays in the cores' own caches to what does not.
COPIES = tuple(2**power for power in (20, 22, 24, 26, 28))
LEAST_COPIED = 2**26  # in one timing: small copies are repeated, or the clock and the threads' start would count
WARM_UPS = 3
ARITHMETIC: tuple[Arithmetic, ...] = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Product:
    """A piece of arithmetic that was measured. operations: a second; a multiply-add is two."""

    name: str
    arithmetic: Arithmetic
    operations: float


@dataclass(frozen=True, slots=True)
class Ceilings:
    """products: of every arithmetic at least one; the best is its ceiling. copies: (bytes of one copy, bytes a second),
    small ones first; read and written bytes are both counted.
    """

    products: tuple[Product, ...]
    copies: tuple[tuple[int, float], ...]

    def operations(self, arithmetic: Arithmetic) -> float:
        """Operations a second at the best."""
        return max(product.operations for product in self.products if product.arithmetic == arithmetic)

    def bandwidth(self, moved: int) -> float:
        """Bytes a second at which `moved` bytes can be moved at the best: by the best copy of as much or more.

        What fits into a cache may be there still from the node before, so its limit is that of the cache.
        """
        fitting = [rate for size, rate in self.copies if size >= moved]
        return max(fitting) if fitting else self.copies[-1][1]

    def limit(self, operations: int, moved: int, arithmetic: Arithmetic) -> tuple[float, str]:
        """The shortest time in seconds, and what binds: "fp32", "int8", "memory", or "nothing" to do."""
        if not operations and not moved:
            return 0.0, "nothing"
        computed = operations / self.operations(arithmetic)
        carried = moved / self.bandwidth(moved)
        return (computed, arithmetic) if computed > carried else (carried, "memory")

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "operations_per_s": {kind: self.operations(kind) for kind in ARITHMETIC},
            "products": [
                {"name": product.name, "arithmetic": product.arithmetic, "operations_per_s": product.operations}
                for product in self.products
            ],
            "copies": [{"bytes": size, "bytes_per_s": rate} for size, rate in self.copies],
        }


def measure_ceilings(
    threads: int,
    repeats: int,
    products: Sequence[tuple[int, int, int]] = PRODUCTS,
    convolution: tuple[int, int, int, int] = CONVOLUTION,
    copies: Sequence[int] = COPIES,
) -> Ceilings:
    """Medians of `repeats`. Raises EngineError."""
    found = [_product(kind, sides, threads, repeats) for kind in ARITHMETIC for sides in products]
    found.append(_convolution(convolution, threads, repeats))
    with ThreadPoolExecutor(threads) as pool:
        rates = tuple((size, _copy_rate(pool, size, threads, repeats)) for size in sorted(copies))
    return Ceilings(tuple(found), rates)


def _product(kind: Arithmetic, sides: tuple[int, int, int], threads: int, repeats: int) -> Product:
    rows, depth, columns = sides
    random = np.random.default_rng(0)
    if kind == "fp32":
        left: NDArray[Any] = random.standard_normal((rows, depth)).astype(np.float32)
        right: NDArray[Any] = random.standard_normal((depth, columns)).astype(np.float32)
        node = helper.make_node("MatMul", ["given", "weights"], ["out"])
    else:
        left = random.integers(0, 256, (rows, depth)).astype(np.uint8)
        # Half the range: some processors' pairwise sums of larger products saturate, and the library goes round them.
        right = random.integers(-63, 64, (depth, columns)).astype(np.int8)
        node = helper.make_node("MatMulInteger", ["given", "weights"], ["out"])
    seconds = _seconds_of(node, left, right, (rows, columns), threads, repeats)
    return Product(f"matrix product {rows}x{depth} by {depth}x{columns}", kind, 2 * rows * depth * columns / seconds)


def _convolution(sides: tuple[int, int, int, int], threads: int, repeats: int) -> Product:
    channels, out_channels, height, width = sides
    random = np.random.default_rng(0)
    image = random.standard_normal((1, channels, height, width)).astype(np.float32)
    weights = random.standard_normal((out_channels, channels, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["given", "weights"], ["out"], pads=[1, 1, 1, 1])
    seconds = _seconds_of(node, image, weights, (1, out_channels, height, width), threads, repeats)
    name = f"3x3 convolution {channels} to {out_channels} at {height}x{width}"
    return Product(name, "fp32", 2 * weights.size * height * width / seconds)


def _seconds_of(
    node: onnx.NodeProto,
    given: NDArray[Any],
    weights: NDArray[Any],
    shape: tuple[int, ...],
    threads: int,
    repeats: int,
) -> float:
    """Median seconds of a graph of this one node, by the library and the settings that run the frame graph."""
    out = np.empty(shape, np.float32 if given.dtype == np.float32 else np.int32)
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("given", helper.np_dtype_to_tensor_dtype(given.dtype), given.shape)],
        [helper.make_tensor_value_info("out", helper.np_dtype_to_tensor_dtype(out.dtype), shape)],
        # A constant, as weights are: the library lays it out once for its own use.
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(model, path)
        session = open_session(path, CPU, threads=threads)
    binding = session.io_binding()
    binding.bind_cpu_input("given", given)
    binding.bind_output("out", "cpu", 0, out.dtype, out.shape, out.ctypes.data)
    return median(_times(lambda: session.run_with_iobinding(binding), repeats))


def _copy_rate(pool: ThreadPoolExecutor, size: int, threads: int, repeats: int) -> float:
    """Bytes read and written a second by `threads` that each copy a part of their own, over and over."""
    part = max(1, size // 2 // threads)
    times = max(1, LEAST_COPIED // size)
    pairs = [(np.ones(part, np.uint8), np.zeros(part, np.uint8)) for _ in range(threads)]

    def copy(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
        source, target = pair
        for _ in range(times):
            np.copyto(target, source)

    seconds = _times(lambda: list(pool.map(copy, pairs)), repeats)
    return 2 * part * threads * times / median(seconds)


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    seconds: list[float] = []
    for number in range(WARM_UPS + repeats):
        begin = time.perf_counter()
        work()
        if number >= WARM_UPS:
            seconds.append(time.perf_counter() - begin)
    return seconds
