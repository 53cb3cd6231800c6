"""brushcast bench: the engine alone and the whole loop, in turn, on the synthetic scene; percentiles, not means."""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from typing import Any

from engines.api import Engine
from realtime.commands import painting
from realtime.control import Control
from realtime.frames import Image
from realtime.loop import run as run_loop
from realtime.sinks import NullSink
from realtime.stats import Percentiles, Report, percentiles
from realtime.synthetic import SyntheticSource

WARM_UP_FRAMES = 5
ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=painting.size, default=(640, 360), metavar="WxH", help="default 640x360")
    parser.add_argument("--frames", type=painting.count, default=60, metavar="N", help="in each round (default 60)")
    parser.add_argument(
        "--rounds", type=painting.count, default=ROUNDS, metavar="N", help="of both, in turn (default 3)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    with painting.opened(args) as painter:
        images = _images(args.size, args.frames)
        alone: list[Percentiles] = []
        loops: list[Report] = []
        engine_alone(painter.engine, painter.control, images[:WARM_UP_FRAMES])
        with painting.progress(2 * args.rounds * args.frames, "bench") as bar:
            for _ in range(args.rounds):
                alone.append(engine_alone(painter.engine, painter.control, images))
                bar.update(args.frames)
                source = SyntheticSource(args.size, frames=args.frames)
                loops.append(run_loop(source, painter.engine, NullSink(), painter.control))
                bar.update(args.frames)
        told = _told(args, painter, alone, loops)
    if args.json:
        painting.print_json(told)
    else:
        _print(told)
    return 0


def engine_alone(engine: Engine, control: Control, images: list[Image]) -> Percentiles:
    """Time per frame with nothing around it: the network, its memory and the motion estimate."""
    engine.reset()
    look = control.setting.look
    took_s = []
    for image in images:
        begin = time.perf_counter()
        engine.stylise(image, look)
        took_s.append(time.perf_counter() - begin)
    return percentiles(took_s)


def _images(size: tuple[int, int], frames: int) -> list[Image]:
    source = SyntheticSource(size, frames=frames)
    images = []
    while (frame := source.read()) is not None:
        images.append(frame.image)
    return images


def _told(
    args: argparse.Namespace, painter: painting.Painter, alone: list[Percentiles], loops: list[Report]
) -> dict[str, Any]:
    rows = {"engine alone": _median(alone)}
    for stage in loops[0].stages:
        rows[f"loop {stage}"] = _median([report.stages[stage] for report in loops])
    whole_ms, engine_ms = rows["loop interval"]["p50_ms"], rows["engine alone"]["p50_ms"]
    return {
        "model": painter.bundle.name,
        "style": painter.control.setting.look.style.name,
        "engine": painter.engine.name,
        "provider": painter.engine.provider,
        "threads": args.threads,
        "size": f"{args.size[0]}x{args.size[1]}",
        "frames": args.frames,
        "rounds": args.rounds,
        "machine": platform.processor() or platform.machine(),
        "rows": rows,
        "rate": round(statistics.median(report.rate for report in loops), 2),
        "loop_adds_percent": round((whole_ms / engine_ms - 1) * 100, 1) if engine_ms else None,
        "peak_memory_mb": _peak_memory_mb(),
    }


def _median(rounds: list[Percentiles]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(row.p50_ms for row in rounds), 3),
        "p95_ms": round(statistics.median(row.p95_ms for row in rounds), 3),
        "p99_ms": round(statistics.median(row.p99_ms for row in rounds), 3),
    }


def _peak_memory_mb() -> float | None:
    """The most memory that this process ever held; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _print(told: dict[str, Any]) -> None:
    print(
        f"{told['model']} in the style {told['style']}, {told['size']}, {told['engine']} on {told['provider']}, "
        f"threads {told['threads'] or 'auto'}"
    )
    print(f"{'stage':16}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}")
    for name, row in told["rows"].items():
        print(f"{name:16}{row['p50_ms']:10.2f}{row['p95_ms']:10.2f}{row['p99_ms']:10.2f}")
    memory = f", peak memory {told['peak_memory_mb']:.0f} MB" if told["peak_memory_mb"] else ""
    print(f"{told['rate']:.1f} frames/s; the loop adds {told['loop_adds_percent']:.1f} %{memory}")
