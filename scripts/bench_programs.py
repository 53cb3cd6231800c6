"""What `bench_rivals` measures of whole programs and loops: pace, memory, and the time to the first painting."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from engines.api import Engine, Look
from engines.errors import EngineError
from engines.identity import IdentityEngine
from realtime.control import Control
from realtime.files import FileSource
from realtime.frames import Frame, Image, VideoInfo
from realtime.loop import run
from realtime.recording import Recording
from realtime.sinks import NullSink
from realtime.sources import Source
from realtime.synthetic import DEFAULT_RATE, SyntheticSource

Size = tuple[int, int]
# The child tells the peak of its own address space: the parent's view of it would begin with the parent's own size.
MEMORY_PROGRAM = """
import pathlib, sys
from realtime.cli import main
code = 0
try:
    code = main(sys.argv[1:])
except SystemExit as error:
    code = error.code
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"peak_mb={peak:.1f}", file=sys.stderr)
sys.exit(code)
"""
# Ends where the first painting is handed over; what the system does to end a process is no part of it.
START_PROGRAM = """
import os, sys
from realtime.cli import main
from realtime.sinks import NullSink

def first(self, painted):
    print("painted", file=sys.stderr, flush=True)
    os._exit(0)

NullSink.write = first
sys.exit(main(sys.argv[1:]))
"""


def loop_intervals(source: Source, engine: Engine, look: Look) -> list[float]:
    """Seconds between two written frames of a whole loop, source to null sink, without the first two frames."""
    intervals: list[float] = []
    last_s = 0.0

    def note(_: object) -> None:
        nonlocal last_s
        now_s = time.perf_counter()
        if last_s:
            intervals.append(now_s - last_s)
        last_s = now_s

    run(source, engine, NullSink(), Control(look), watched=note)
    # The first frame of a stream has no memory, and is no part of a loop that runs.
    return intervals[1:]


class Ready(Source):
    """Images that are there already, in a circle, as a source: what a loop costs beside it comes of the loop itself."""

    live = False

    def __init__(self, images: Sequence[Image], frames: int) -> None:
        height, width = images[0].shape[:2]
        self._images, self._frames, self._index = images, frames, 0
        self.info = VideoInfo("frames drawn before", width, height, DEFAULT_RATE, 1 / DEFAULT_RATE, frames)

    def read(self) -> Frame | None:
        if self._index == self._frames:
            return None
        index, self._index = self._index, self._index + 1
        return Frame(self._images[index % len(self._images)], index, index / DEFAULT_RATE, time.perf_counter())

    def close(self) -> None:
        """Nothing to free."""


def file_intervals(engine: Engine, look: Look, size: Size, frames: int, rounds: int) -> list[float]:
    """`loop_intervals` of an H.264 file of the synthetic scene, decoded as fast as it is painted."""
    with TemporaryDirectory() as name:
        path = Path(name) / "scene.mp4"
        source = SyntheticSource(size, frames=frames)
        with Recording(path, source.info) as recording:
            run(source, IdentityEngine(), recording, Control(look))
        intervals: list[float] = []
        for number in range(rounds + 1):
            found = loop_intervals(FileSource(str(path)), engine, look)
            engine.reset()
            intervals += found if number else []  # the first one warms up
    return intervals


def peak_memory_mb(options: list[str]) -> float:
    """Peak resident memory, in MB, of a `brushcast live` process of its own. Raises EngineError."""
    if sys.platform == "win32":
        raise EngineError("memory cannot be measured on this platform; run on Linux or macOS")
    told = _child(MEMORY_PROGRAM, options)
    peaks = [line for line in told.splitlines() if line.startswith("peak_mb=")]
    if not peaks:
        raise EngineError("`brushcast live` ended without telling its memory")
    return float(peaks[-1].removeprefix("peak_mb="))


def first_painting_s(options: list[str], repeats: int) -> float:
    """Median seconds from the start of a `brushcast live` process to its first painting. Raises EngineError."""
    took_s = []
    for _ in range(repeats):
        begin_s = time.perf_counter()
        told = _child(START_PROGRAM, options)
        took_s.append(time.perf_counter() - begin_s)
        if "painted" not in told:
            raise EngineError("`brushcast live` ended without a painting")
    return median(took_s)


def _child(program: str, options: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, "live", *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(f"`brushcast live` ended with code {done.returncode}: {last}")
    return done.stderr
