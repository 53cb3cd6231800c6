"""brushcast styles --walk: one photo as a video, while its style walks from one style to the next."""

from __future__ import annotations

import argparse
import time
from fractions import Fraction

import numpy as np

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.errors import InputError
from engines.pictures import load_photo, shrink
from engines.styles import Style, fade
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.frames import Frame, Image, Painted, VideoInfo
from realtime.recording import SLOW_PRESET, Recording
from realtime.synthetic import photo

SECONDS, RATE = 6.0, Fraction(25)
LONGEST_PX = 1280


def run(args: argparse.Namespace, bundle: Bundle) -> int:
    """Paint and write the walk. Raises InputError, StyleError, EngineError, SinkError."""
    if len(args.walk) < 2:
        raise InputError("--walk needs two styles or more, from the first to the last")
    check_apart(args.output, args.input, *args.walk)
    stops = [
        resolve_style(text, bundle, threads=args.threads, tell=painting.tell, library=args.text_library)
        for text in args.walk
    ]
    fade(stops[0], stops[-1], 0.5)  # says what is wrong with them before anything is begun
    picture = _even(photo() if args.input is None else load_photo(args.input)[0])
    height, width = picture.shape[:2]
    count = max(2, round((args.seconds or SECONDS) * RATE))
    info = VideoInfo(args.output.name, width, height, RATE, 1 / RATE, count)
    begin = time.perf_counter()
    with painting.open_asked(args, bundle) as engine:
        with (
            Recording(args.output, info, preset=SLOW_PRESET, repeatable=True, tell=painting.tell) as recording,
            painting.progress(count, args.output.name) as bar,
        ):
            for index in range(count):
                recording.write(_painted(engine, picture, _at(stops, index / (count - 1)), index))
                bar.update(1)
        words = f"({engine.name}, {engine.provider})"
    took_s = time.perf_counter() - begin
    names = [style.name for style in stops]
    if args.json:
        told = {"output": str(args.output), "width_px": width, "height_px": height, "frames": count, "styles": names}
        painting.print_json({**told, "seconds": round(took_s, 2)})
    else:
        print(
            f"painted {args.output}: {' -> '.join(names)}, {count} frames of {width}x{height} in {took_s:.1f} s {words}"
        )
    return 0


def _at(stops: list[Style], t: float) -> Style:
    """The style at `t`, 0..1 of the whole way; each leg takes the same time."""
    legs = len(stops) - 1
    leg = min(int(t * legs), legs - 1)
    return fade(stops[leg], stops[leg + 1], min(1.0, t * legs - leg))


def _painted(engine: Engine, picture: Image, style: Style, index: int) -> Painted:
    """Each frame by itself: the photo stands still, and the style shall not lag behind."""
    begin = time.perf_counter()
    image = engine.stylise(picture, Look(style, smoothing=0.0, kernel_interval=1))
    frame = Frame(picture, index, index / RATE, begin, 0.0, 1 / RATE)
    return Painted(frame, image, begin, time.perf_counter())


def _even(picture: Image) -> Image:
    """At most LONGEST_PX, and with even sides: the usual H.264 has no odd ones, and many players no other H.264."""
    small = shrink(picture, LONGEST_PX)
    if small is not picture:
        painting.tell(f"the photo is shrunk to {small.shape[1]}x{small.shape[0]} for the video")
    height, width = (side // 2 * 2 for side in small.shape[:2])
    return np.ascontiguousarray(small[:height, :width])
