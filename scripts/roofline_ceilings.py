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
from onnx import TensorProto, helper, numpy_helper
from roofline_counts import Arithmetic

from engines.ort import CPU, open_session

# rows, depth, columns: square ones, of which the small one is over before other programs get their turn on a busy
# machine, and a tall one as a convolution over a frame is.
PRODUCTS = ((512, 512, 512), (1024, 1024, 1024), (1536, 1536, 1536), (8192, 512, 512))
# Bytes read and written by a copy: from what stays in the cores' own caches to what does not.
COPIES = tuple(2**power for power in (20, 22, 24, 26, 28))
LEAST_COPIED = 2**26  # in one timing: small copies are repeated, or the clock and the threads' start would count
WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class Ceilings:
    """products: arithmetic -> operations a second (a multiply-add is two). copies: (bytes of one copy, bytes a second),
    small ones first; read and written bytes are both counted.
    """

    products: dict[Arithmetic, float]
    copies: tuple[tuple[int, float], ...]

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
        computed = operations / self.products[arithmetic]
        carried = moved / self.bandwidth(moved)
        return (computed, arithmetic) if computed > carried else (carried, "memory")

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "operations_per_s": dict(self.products),
            "copies": [{"bytes": size, "bytes_per_s": rate} for size, rate in self.copies],
        }


def measure_ceilings(
    threads: int,
    repeats: int,
    products: Sequence[tuple[int, int, int]] = PRODUCTS,
    copies: Sequence[int] = COPIES,
) -> Ceilings:
    """Medians of `repeats`; of several matrix products the best. Raises EngineError."""
    kinds: tuple[Arithmetic, ...] = ("fp32", "int8")
    rates: dict[Arithmetic, float] = {
        kind: max(_product_rate(kind, sides, threads, repeats) for sides in products) for kind in kinds
    }
    with ThreadPoolExecutor(threads) as pool:
        return Ceilings(rates, tuple((size, _copy_rate(pool, size, threads, repeats)) for size in sorted(copies)))


def _product_rate(kind: Arithmetic, sides: tuple[int, int, int], threads: int, repeats: int) -> float:
    """Operations a second of one matrix product by the library and the settings that run the graph."""
    rows, depth, columns = sides
    random = np.random.default_rng(0)
    if kind == "fp32":
        left: NDArray[Any] = random.standard_normal((rows, depth)).astype(np.float32)
        right: NDArray[Any] = random.standard_normal((depth, columns)).astype(np.float32)
        op, types = "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
    else:
        left = random.integers(0, 256, (rows, depth)).astype(np.uint8)
        # Half the range: some processors' pairwise sums of larger products saturate, and the library goes round them.
        right = random.integers(-63, 64, (depth, columns)).astype(np.int8)
        op, types = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
    graph = helper.make_graph(
        [helper.make_node(op, ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", types[0], left.shape)],
        [helper.make_tensor_value_info("out", types[1], (rows, columns))],
        # A constant, as weights are: the library lays it out once for its own use.
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(model, path)
        session = open_session(path, CPU, threads=threads)
    binding = session.io_binding()
    binding.bind_cpu_input("left", left)
    out = np.empty((rows, columns), np.float32 if kind == "fp32" else np.int32)
    binding.bind_output("out", "cpu", 0, out.dtype, out.shape, out.ctypes.data)
    seconds = _times(lambda: session.run_with_iobinding(binding), repeats)
    return 2 * rows * depth * columns / median(seconds)


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
