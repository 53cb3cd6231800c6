"""How fast it paints: the motion estimate, the engine and the whole loop, in turn, over several rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from engines.api import Engine, Look
from engines.memory import Memory
from engines.working import Working
from realtime.bench.results import Run
from realtime.control import Control
from realtime.frames import Image
from realtime.loop import run as run_loop
from realtime.machine import peak_memory_mb
from realtime.sinks import Sink
from realtime.stats import Percentiles, Report, percentiles
from realtime.synthetic import SyntheticSource

MOTION, ENGINE, WHOLE = "motion alone", "engine alone", "loop interval"

OpenSink = Callable[[SyntheticSource], AbstractContextManager[Sink]]


def measure(
    engine: Engine,
    look: Look,
    size: tuple[int, int],
    open_sink: OpenSink,
    *,
    frames: int,
    rounds: int,
    told: Callable[[int], object] = lambda frames: None,
) -> Run:
    """Paint the synthetic scene `rounds` times with nothing around the engine, and as often through the whole loop.

    In turn, so that a machine that slows down slows both. told: called with numbers of frames that are done.
    """
    images = scene(size, frames)
    motions: list[Percentiles] = []
    alone: list[Percentiles] = []
    loops: list[Report] = []
    # An engine does this itself, before its network runs; smoothing 0 needs none, and a copy remembers nothing.
    moves = look.smoothing > 0 and engine.name != "identity"
    for _ in range(rounds):
        if moves:
            motions.append(motion_alone(images, look))
        alone.append(engine_alone(engine, look, images))
        told(frames)
        source = SyntheticSource(size, frames=frames)
        with open_sink(source) as sink:
            loops.append(run_loop(source, engine, sink, Control(look)))
        told(frames)
    stages = {MOTION: median(motions)} if moves else {}
    stages[ENGINE] = median(alone)
    for stage in loops[0].stages:
        stages[f"loop {stage}"] = median([report.stages[stage] for report in loops])
    more: dict[str, object] = {"peak_memory_mb": peak_memory_mb()}
    if WHOLE in stages and stages[ENGINE].p50_ms:
        more["loop_adds_percent"] = round((stages[WHOLE].p50_ms / stages[ENGINE].p50_ms - 1) * 100, 1)
    rate = statistics.median(report.rate for report in loops)
    return Run(f"{size[0]}x{size[1]}", look.style.name, round(rate, 2), stages, more)


def scene(size: tuple[int, int], frames: int) -> list[Image]:
    """The first frames of the synthetic scene, drawn before anything is timed."""
    source = SyntheticSource(size, frames=frames)
    return [frame.image for frame in iter(source.read, None)]


def engine_alone(engine: Engine, look: Look, images: Iterable[Image]) -> Percentiles:
    """Time per frame with nothing around it: the network, its memory and the motion estimate."""
    engine.reset()
    took_s = []
    for image in images:
        begin = time.perf_counter()
        engine.stylise(image, look)
        took_s.append(time.perf_counter() - begin)
    return percentiles(took_s)


def motion_alone(images: Sequence[Image], look: Look) -> Percentiles:
    """Time per frame of estimating the motion and moving the memory along, the part of an engine before its network."""
    memory, working = Memory(), Working()
    took_s = []
    for frame in images:
        image = working.of(frame, look.render_scale)
        begin = time.perf_counter()
        recalled = memory.before(image, look.smoothing)
        took_s.append(time.perf_counter() - begin)
        memory.after(image, recalled.small.copy())
    return percentiles(took_s)


def median(rounds: Sequence[Percentiles]) -> Percentiles:
    """Of several rounds, number by number."""
    return Percentiles(
        round(statistics.median(row.p50_ms for row in rounds), 3),
        round(statistics.median(row.p95_ms for row in rounds), 3),
        round(statistics.median(row.p99_ms for row in rounds), 3),
    )
