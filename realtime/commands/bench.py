"""brushcast bench: speed, of one stream or many, delay or endurance on the synthetic scene; kept, drawn, compared."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from engines.api import Look
from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.errors import InputError
from engines.paths import is_folder
from realtime.bench import compare, latency, plots, results, soak, speed, streams, tables
from realtime.bench.results import Circumstances, Kind, Result, Run
from realtime.cli import version
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.machine import RUNTIMES, installed, machine, machine_load, memory_meter
from realtime.recording import Recording, check_folder
from realtime.sinks import NullSink, Sink
from realtime.sources import Source
from realtime.synthetic import SyntheticSource

SIZE = (640, 360)
WARM_UP_FRAMES = 5
ROUNDS = 3
FRAMES = {"speed": 60, "latency": 150, "streams": 60}
PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "av")
# Options that mean nothing in a mode are refused there: who gives one expects that it counts.
_MEASURING = (
    "sizes",
    "style",
    "styles",
    "to",
    "frames",
    "rounds",
    "warm_up",
    "json",
    "plot",
    "provider",
    "threads",
    "precision",
    "engine_mode",
)
_MEANS_NOTHING = {"compare": _MEASURING, "soak": ("frames", "rounds"), "latency": ("rounds",), "streams": ("to",)}

OpenSink = Callable[[Source], AbstractContextManager[Sink]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--latency", action="store_true", help="the true delay, by numbers drawn into frames and read from paintings"
    )
    mode.add_argument("--soak", type=minutes, metavar="MINUTES", help="memory and pace over so long, at full load")
    mode.add_argument("--compare", type=Path, nargs=2, metavar=("A.json", "B.json"), help="two results that were kept")
    mode.add_argument(
        "--streams", type=counts, metavar="N[,N...]", help="so many streams through one engine, each in another style"
    )
    parser.add_argument(
        "--sizes", type=sizes, metavar="WxH[,WxH...]", help="of the frames (default 640x360, or the model's own)"
    )
    parser.add_argument(
        "--styles",
        type=names,
        metavar="NAME[,NAME...]",
        help="several in turn, in place of --style; with --soak one fades to the next every second, with --streams "
        "each stream has another (default there: all of the model's)",
    )
    parser.add_argument("--to", metavar="null|FILE", help="FILE: paintings are encoded as well (default null)")
    parser.add_argument("--frames", type=painting.count, metavar="N", help="in each round (default 60, latency 150)")
    parser.add_argument("--rounds", type=painting.count, metavar="N", help="of engine and loop, in turn (default 3)")
    parser.add_argument(
        "--warm-up",
        type=painting.count,
        metavar="N",
        help=f"frames before anything is timed (default {WARM_UP_FRAMES})",
    )
    parser.add_argument("--json", metavar="FILE", help="keep the result; -: print it in place of the table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the result")
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    _check(args)
    if args.compare is not None:
        return _compare(*args.compare)
    kind: Kind = "latency" if args.latency else "streams" if args.streams else "speed"
    if args.soak is not None:
        kind = "soak"
    result = _measure(args, kind)
    if args.json == "-":
        painting.print_json(result.as_json())
    else:
        print("\n".join(tables.heading(result)))
        for run_ in result.runs:
            print("\n".join(["", *tables.body(run_, kind)]))
        print("\n".join(["", *tables.LEGEND]))
    if args.json not in (None, "-"):
        results.keep(result, Path(args.json))
    if args.plot is not None:
        plots.plot(result, args.plot)
    return 0


def minutes(text: str) -> float:
    """A length of time above 0, for argparse."""
    try:
        return painting.seconds(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; it must be minutes above 0") from None


def sizes(text: str) -> list[tuple[int, int]]:
    """Sizes with commas between, for argparse; the same one twice is one."""
    return list(dict.fromkeys(painting.size(word.strip()) for word in text.split(",")))


def counts(text: str) -> list[int]:
    """Whole numbers with commas between, for argparse; the same one twice is one."""
    return list(dict.fromkeys(painting.count(word.strip()) for word in text.split(",")))


def names(text: str) -> list[str]:
    """Names with commas between, for argparse; the same one twice is one."""
    told = list(dict.fromkeys(word.strip() for word in text.split(",")))
    if not all(told):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; it must be NAME,NAME")
    return told


def _check(args: argparse.Namespace) -> None:
    """Refuse before anything is measured what would fail, or mean nothing, after it."""
    for mode, nothing in _MEANS_NOTHING.items():
        if getattr(args, mode) in (None, False):
            continue
        for name in nothing:
            if getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} means nothing with --{mode}; leave one of them out")
    if args.style is not None and args.styles is not None:
        raise InputError("--style and --styles were both given; leave one of them out")
    if args.soak is not None and len(args.sizes or ()) > 1:
        raise InputError("--soak takes one size")
    if args.plot is not None:
        if args.plot.suffix.lower() != ".png":
            raise InputError(f"{args.plot} must end in .png")
        plots.need_matplotlib()
    for file in (args.plot, None if args.json in (None, "-") else Path(args.json)):
        if file is not None and (is_folder(file) or not is_folder(file.absolute().parent)):
            raise InputError(f"{file} cannot be written; it must be a file in a folder that exists")
        if file is not None:
            check_folder(file)
            check_apart(file, args.style, args.background, *(args.styles or ()))


def _compare(first_file: Path, second_file: Path) -> int:
    first, second = results.load(first_file), results.load(second_file)
    rows = compare.rows(first, second)
    print(f"first:  {first_file} ({first.kind}, {first.when})")
    print(f"second: {second_file} ({second.kind}, {second.when})")
    print("\n".join(tables.comparison(rows, compare.differences(first, second))))
    return 0


def _measure(args: argparse.Namespace, kind: Kind) -> Result:
    if kind == "streams" and args.style is None and args.styles is None:
        args.styles = list(Bundle.load(args.model).styles)
    if args.styles:
        args.style = args.styles[0]
    memory_mb = memory_meter() if kind == "soak" else None
    load = machine_load()
    with painting.opened(args) as painter:
        look = painter.control.setting.look
        more = [resolve_style(name, painter.bundle, threads=args.threads) for name in (args.styles or [])[1:]]
        looks = [look, *(replace(look, style=style) for style in more)]
        here = _circumstances(args, kind, painter, looks)
        # A soak changes from one style to the next by itself.
        frame_sizes = args.sizes or [painter.bundle.size_or_usual(SIZE)]
        cases = [(size, look) for size in frame_sizes for look in (looks if kind != "soak" else looks[:1])]
        if kind == "streams":
            runs = _streams(painter, looks, frame_sizes, here, args)
            return Result(kind, datetime.now(UTC).isoformat(timespec="seconds"), load, here, runs)
        total = None if here.frames is None else here.frames * len(cases) * (2 * here.rounds if here.rounds else 1)
        runs = []
        with painting.progress(total, f"bench, {kind}") as bar:
            for size, look in cases:
                speed.engine_alone(painter.engine, look, speed.scene(size, here.warm_up))
                runs.append(_case(painter, looks if kind == "soak" else [look], size, here, args, memory_mb, bar))
    return Result(kind, datetime.now(UTC).isoformat(timespec="seconds"), load, here, runs)


def _streams(
    painter: painting.Painter,
    looks: list[Look],
    frame_sizes: list[tuple[int, int]],
    here: Circumstances,
    args: argparse.Namespace,
) -> list[Run]:
    """Every size with every number of streams; styles come round again where there are more streams than styles."""
    assert here.frames is not None and here.rounds is not None
    cases = [(size, count) for size in frame_sizes for count in args.streams]
    runs = []
    with painting.progress(len(cases) * here.rounds * here.frames, "bench, streams") as bar:
        for size, count in cases:
            asked = list(islice(cycle(looks), count))
            numbers = {"frames": here.frames, "rounds": here.rounds, "warm_up": here.warm_up}
            runs.append(streams.measure(painter.engine, asked, size, **numbers, told=bar.update))
    return runs


def _case(
    painter: painting.Painter,
    looks: list[Look],
    size: tuple[int, int],
    here: Circumstances,
    args: argparse.Namespace,
    memory_mb: Callable[[], float] | None,
    bar: Any,
) -> Run:
    open_sink = _sink(args.to)
    if memory_mb is not None:
        source = SyntheticSource(size)
        return soak.measure(painter.engine, looks, source, open_sink, args.soak, memory_mb, told=bar.update)
    assert here.frames is not None
    if args.latency:
        source = SyntheticSource(size, frames=here.frames)
        return latency.measure(painter.engine, looks[0], source, open_sink, told=bar.update)
    rounds = here.rounds or 1
    (look,) = looks
    return speed.measure(painter.engine, look, size, open_sink, frames=here.frames, rounds=rounds, told=bar.update)


def _sink(to: str | None) -> OpenSink:
    """Opens where the paintings of one run go; a recording holds the last run in the end."""
    if to in (None, "null"):
        return lambda source: NullSink()
    return lambda source: Recording(Path(to), source.info, live=source.live)


def _circumstances(args: argparse.Namespace, kind: Kind, painter: painting.Painter, looks: list[Look]) -> Circumstances:
    computing = {"ort": RUNTIMES, "torch": ("torch",)}.get(painter.engine.name, ())
    versions = {
        "brushcast": version(),
        "python": platform.python_version(),
        **installed((*computing, *PACKAGES)),
    }
    return Circumstances(
        machine=machine(),
        versions=versions,
        model=painter.bundle.name,
        bundle=painter.bundle.id,
        engine=painter.engine.name,
        provider=painter.engine.provider,
        precision=_precision(painter),
        threads=args.threads,
        strength=looks[0].strength,
        smoothing=looks[0].smoothing,
        stroke=looks[0].stroke,
        render_scale=looks[0].render_scale,
        kernel_interval=looks[0].kernel_interval,
        keep_colours=looks[0].keep_colours,
        styles=[look.style.name for look in looks],
        to="null" if args.to in (None, "null") else "recording",
        warm_up=args.warm_up or WARM_UP_FRAMES,
        frames=None if kind == "soak" else args.frames or FRAMES[kind],
        rounds=args.rounds or ROUNDS if kind in ("speed", "streams") else None,
        oil=looks[0].oil,
    )


def _precision(painter: painting.Painter) -> str:
    if painter.engine.name == "identity":
        return "no arithmetic"
    if (computes := getattr(painter.engine, "precision", None)) is not None and painter.engine.name == "torch":
        return f"{computes}, mode {getattr(painter.engine, 'mode', 'not told')} (weights as in the bundle)"
    return painter.bundle.precision
