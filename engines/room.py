"""How large a frame there is memory for, where a device had too little for one: an estimate from sizes.

What painting needs grows with the pixels of the working frame (`engines.working`); the rest is the same for all sizes.
"""

from __future__ import annotations

import os
import re
import subprocess

from engines.api import MIN_SIDE_PX
from engines.errors import EngineError
from engines.providers import CPU, ON_CUDA, Provider
from engines.working import working_size

# Of a working frame's pixel, at the most crowded moment. Measured by what a process grew by (CPU provider, fp32, the
# released network, frames of 640x360 to 1920x1080 painted at their own size): 128 to 154.
BYTES_PER_PIXEL = 160
_MIB = 2**20
_SAYINGS = re.compile(
    r"out.of.memory|failed to allocate memory|available memory of|CUDA failure 2\b|bad.?alloc|8007000E", re.IGNORECASE
)


class OutOfMemory(EngineError):  # noqa: N818 (what it is, not that it is an error, is told by its name)
    """A device has too little memory for a frame."""


def is_out_of_memory(text: str) -> bool:
    """Whether an error of a runtime says so."""
    return _SAYINGS.search(text) is not None


def too_large(what: str, height: int, width: int, render_scale: float, free: int | None) -> OutOfMemory:
    """The error for a frame that a device had no memory for, with the largest size of its shape that should fit.

    what: the device has, for example "CUDAExecutionProvider". free: bytes that it has still; None: not known.
    """
    rows, columns = working_size(height, width, render_scale)
    needed = rows * columns * BYTES_PER_PIXEL
    # It did fail: whatever the estimate says, half of it is the most that is worth a try.
    budget = needed // 2 if free is None else min(free, needed // 2)
    there = "" if free is None else f", and {free / _MIB:.0f} MB are free"
    said = f"{what} is out of memory: {width}x{height}, painted at {columns}x{rows}, takes about"
    said = f"{said} {needed / _MIB:.0f} MB{there}"
    fits = largest_size(height, width, render_scale, budget)
    if fits is None:
        return OutOfMemory(f"{said}; no size fits: close what else uses the device")
    return OutOfMemory(f"{said}; by that, about {fits[1]}x{fits[0]} fits: give that, or lower render-scale")


def largest_size(height: int, width: int, render_scale: float, budget: int) -> tuple[int, int] | None:
    """Height and width of the largest frame of this shape, and not larger, that `budget` bytes are enough for."""
    # Steps are small enough that a user sees no difference, and no search can miss the largest.
    for percent in range(100, 0, -1):
        rows, columns = (round(side * percent / 100) // 2 * 2 for side in (height, width))
        if min(rows, columns) < MIN_SIDE_PX:
            return None
        painted = working_size(rows, columns, render_scale)
        if painted[0] * painted[1] * BYTES_PER_PIXEL <= budget:
            return rows, columns
    return None


def free_memory(provider: Provider) -> int | None:
    """Bytes that are free where the provider computes; None: nobody tells."""
    if provider.name == CPU and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if provider.name not in ON_CUDA:
        return None
    asked = ["nvidia-smi", f"--id={provider.index}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
        return int(answer.strip()) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
