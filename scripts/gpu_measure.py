"""What `scripts/gpu_check.py` measures: ceilings of a device, plans stage by stage, whole engines, and parity."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from engines.api import Engine, Look
from engines.guide import guidance_size, guide_size
from engines.styles import Style
from engines.together import Job, paint_together
from engines.torch_core import TorchCore
from engines.torch_plans import Plan
from engines.working import working_size

Picture = NDArray[np.uint8]
WARM_UPS = 3
SCENE_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device does at the best, measured in this run. Bytes a second (read and written both count), and
    operations a second of a large matrix product by its precision; a multiply-add is two. upload, download: pinned.
    """

    copy: float
    upload: float
    download: float
    products: dict[str, float]


@dataclass(frozen=True, slots=True)
class Timing:
    """Median milliseconds of each stage of a run, for all of its frames together."""

    stages_ms: dict[str, float]
    more: dict[str, Any] = field(default_factory=dict)


class Marks:
    """Times on the device: CUDA events there, the clock elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        if not self._cuda:
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def milliseconds(self) -> list[float]:
        """Between every two marks; waits for the device."""
        pairs = pairwise(self._marks)
        if not self._cuda:
            return [1e3 * (later - earlier) for earlier, later in pairs]
        torch.cuda.synchronize()
        return [earlier.elapsed_time(later) for earlier, later in pairs]


def scene(size: tuple[int, int], stream: int = 0) -> list[Picture]:
    """A picture with slopes and grain that moves to the right, RGB uint8 (*size, 3)."""
    height, width = size
    rng = np.random.default_rng(stream)
    step = max(1, width // 160)
    wide = cv2.resize(
        rng.integers(25, 231, (7, 12, 3), dtype=np.uint8),
        (width + step * SCENE_FRAMES, height),
        interpolation=cv2.INTER_CUBIC,
    )
    grain = rng.integers(0, 12, wide.shape, dtype=np.uint8)
    wide = cv2.add(wide, grain)
    return [np.ascontiguousarray(wide[:, step * k : step * k + width]) for k in range(SCENE_FRAMES)]


def ceilings(device: torch.device, *, side: int, copied: int, repeats: int) -> Ceilings:
    """side: of the square matrices. copied: bytes of one copy."""

    def best(run: Callable[[], object]) -> float:
        return min(_timed(device, run, repeats)) / 1e3

    source, target = (torch.empty(copied, dtype=torch.uint8, device=device) for _ in range(2))
    seconds = {"copy": best(lambda: target.copy_(source))}
    host = torch.empty(copied, dtype=torch.uint8, pin_memory=device.type == "cuda")
    seconds["upload"] = best(lambda: target.copy_(host, non_blocking=True))
    seconds["download"] = best(lambda: host.copy_(target, non_blocking=True))
    products = {}
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        products[name] = 2 * side**3 / best(lambda a=a, b=b: a @ b)  # type: ignore[misc]
    return Ceilings(2 * copied / seconds["copy"], copied / seconds["upload"], copied / seconds["download"], products)


def graphs(core: TorchCore, styles: Sequence[Style], size: tuple[int, int], *, repeats: int) -> dict[str, Timing]:
    """The graphs alone for one frame of each style's stream: with a memory, without one, and the whole on the device.

    size: height and width of the frames.
    """
    working = working_size(*size)
    guide = guide_size(*working)
    count = len(styles)
    look = Look(styles[0], smoothing=0.0)
    told: dict[str, Timing] = {}
    with core.running():
        first, first_styles = core.guide_plan(count, guide)
        guidance = (core.guidance_channels, *guidance_size(*guide))
        for place, style in enumerate(styles):
            first.host["guide"][place] = cv2.resize(scene(size, place)[0], guide[::-1])
            first.host["colour_map"][place] = [1 / 128, 0, 0, 0, 1 / 128, 0, 0, 0, 1 / 128, -1, -1, -1]
            core.put_styles(first, first_styles, place, "guide", style)
        told["guide"] = _stages(core, first, repeats)
        for name, remembers in (("frame", True), ("frame, smoothing 0", False)):
            plan, plan_styles = core.paint_plan(count, working, guidance, remembers=remembers)
            for place, style in enumerate(styles):
                plan.host["frame"][place] = cv2.resize(scene(size, place)[0], working[::-1])
                plan.host["guidance"][place] = first.outputs[0][place].cpu().numpy()
                plan.host["colour_map"][place] = first.host["colour_map"][place]
                plan.host["strength"][place] = 1
                core.put_styles(plan, plan_styles, place, "frame", style)
            told[name] = _stages(core, plan, repeats)
        whole, whole_styles = core.whole_plan(count, size, look)
        for place, style in enumerate(styles):
            whole.host["image"][place] = scene(size, place)[0]
            core.put_whole(whole, whole_styles, place, Look(style, smoothing=0.0))
        told["whole, smoothing 0"] = _stages(core, whole, repeats)
    return told


def engine(opened: Engine, looks: Sequence[Look], size: tuple[int, int], *, repeats: int) -> Timing:
    """The whole engine, a frame of each look's stream at a time, with all that is done on the CPU."""
    sessions = [opened.session() for _ in looks]
    scenes = [scene(size, place) for place in range(len(looks))]
    took_ms = []
    try:
        for index in range(WARM_UPS + repeats):
            begin = time.perf_counter()
            paint_together(
                [
                    Job(session, images[index % SCENE_FRAMES], look)
                    for session, images, look in zip(sessions, scenes, looks, strict=True)
                ]
            )
            took_ms.append(1e3 * (time.perf_counter() - begin))
    finally:
        for session in sessions:
            session.close()
    # Kernels are computed for every second frame only: a mean of pairs, of which the median is taken.
    rest = took_ms[WARM_UPS:]
    pairs = [(one + other) / 2 for one, other in pairwise(rest)] or rest
    return Timing({"all": median(pairs)}, {"p99": float(np.percentile(rest, 99))})


def parity(opened: Engine, reference: Sequence[Picture], look: Look, size: tuple[int, int]) -> dict[str, float]:
    """Differences in steps of 255 from the reference's paintings of the scene's first frames."""
    stream = opened.session()
    try:
        away = [
            np.abs(stream.stylise(image, look).astype(int) - wanted)
            for image, wanted in zip(scene(size), reference, strict=False)
        ]
    finally:
        stream.close()
    return {"mean": float(np.mean([one.mean() for one in away])), "worst": float(max(one.max() for one in away))}


def _stages(core: TorchCore, plan: Plan, repeats: int) -> Timing:
    device = core.place.device
    for _ in range(WARM_UPS):
        plan.run()
    rows = []
    for _ in range(repeats):
        marks = Marks(device)
        marks.mark()
        plan.upload()
        marks.mark()
        plan.launch()
        marks.mark()
        kept = plan.fetch()
        marks.mark()
        rows.append(marks.milliseconds())
        del kept
    upload, launch, download = (median(column) for column in zip(*rows, strict=True))
    return Timing({"upload": upload, "compute": launch, "download": download}, counted(plan))


def counted(plan: Plan) -> dict[str, float]:
    """Operations of the convolutions and products, and bytes that all operations read and write one by one."""
    try:
        with FlopCounterMode(display=False) as flops, _Traffic() as traffic:
            plan.uncaptured()
    except RuntimeError:  # compiled code cannot be looked into
        return {}
    return {"operations": float(flops.get_total_flops()), "bytes": float(traffic.bytes)}


class _Traffic(TorchDispatchMode):
    """Adds up what operations read and write; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = torch.utils._pytree.tree_leaves((args, answer))
            self.bytes += sum(one.numel() * one.element_size() for one in leaves if isinstance(one, torch.Tensor))
        return answer


def _timed(device: torch.device, run: Callable[[], object], repeats: int) -> list[float]:
    for _ in range(WARM_UPS):
        run()
    took = []
    for _ in range(repeats):
        marks = Marks(device)
        marks.mark()
        run()
        marks.mark()
        took += marks.milliseconds()
    return took


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """The device as the current one."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        yield
