"""How fast one engine paints many streams at once, each in a style of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from engines.api import Engine, Look
from engines.together import Batched, Job, paint_together
from realtime.bench.results import Run
from realtime.bench.speed import median, scene
from realtime.frames import Image
from realtime.machine import peak_memory_mb
from realtime.stats import Percentiles, percentiles

ROUND, FRAME = "all streams", "a frame of one"
_APART = 7  # frames of the scene between two streams: no two paint the same picture


def measure(
    engine: Engine,
    looks: Sequence[Look],
    size: tuple[int, int],
    *,
    frames: int,
    rounds: int,
    warm_up: int,
    told: Callable[[int], object] = lambda frames: None,
) -> Run:
    """Paint one stream for each look, `frames` frames of each, `rounds` times.

    In one run of the graphs where the engine can do batches, else each stream in a thread of its own. rate: frames a
    second of all streams together.
    """
    images = scene(size, frames + _APART * len(looks))
    batched = isinstance(engine, Batched)
    paint = _together if batched else _in_threads
    with ExitStack() as stack:
        sessions = [stack.enter_context(engine.session()) for _ in looks]
        paint(sessions, looks, images, warm_up)
        measured = []
        for _ in range(rounds):
            for session in sessions:
                session.reset()
            measured.append(paint(sessions, looks, images, frames))
            told(frames)
    wall = median([percentiles(took) for took in measured])
    rates = sorted(len(looks) * len(took) / sum(took) for took in measured)
    rate = rates[len(rates) // 2]
    alone = Percentiles(*(round(number / len(looks), 3) for number in (wall.p50_ms, wall.p95_ms, wall.p99_ms)))
    names = list(dict.fromkeys(look.style.name for look in looks))
    more = {
        "streams": len(looks),
        "rate_of_each": round(rate / len(looks), 2),
        "how": "one run of the graphs for all" if batched else "a thread for each",
        "peak_memory_mb": peak_memory_mb(),
    }
    many = f"{len(looks)} stream{'s' * (len(looks) > 1)} in {', '.join(names)}"
    return Run(f"{size[0]}x{size[1]}", many, round(rate, 2), {ROUND: wall, FRAME: alone}, more)


def _together(sessions: Sequence[Engine], looks: Sequence[Look], images: Sequence[Image], frames: int) -> list[float]:
    """Seconds for each frame of all streams."""
    took_s = []
    for index in range(frames):
        begin = time.perf_counter()
        paint_together(
            [
                Job(session, images[(index + _APART * place) % len(images)], look)
                for place, (session, look) in enumerate(zip(sessions, looks, strict=True))
            ]
        )
        took_s.append(time.perf_counter() - begin)
    return took_s


def _in_threads(sessions: Sequence[Engine], looks: Sequence[Look], images: Sequence[Image], frames: int) -> list[float]:
    """The same: no stream waits for the others, and a frame of all is a frame of one of them on the average."""
    streams = len(sessions)

    def stream(place: int) -> list[float]:
        took_s = []
        for index in range(frames):
            begin = time.perf_counter()
            sessions[place].stylise(images[(index + _APART * place) % len(images)], looks[place])
            took_s.append(time.perf_counter() - begin)
        return took_s

    begin = time.perf_counter()
    with ThreadPoolExecutor(streams, thread_name_prefix="stream") as pool:
        each = list(pool.map(stream, range(streams)))
    whole = time.perf_counter() - begin
    # Scaled to what really passed: threads that wait for one another count that twice.
    means = [sum(row) / streams for row in zip(*each, strict=True)]
    share = whole / sum(means)
    return [mean * share for mean in means]
