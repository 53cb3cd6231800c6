"""What all commands that paint share: their options, and opening model, style and engine from them."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engines.api import (
    DEFAULT_KERNEL_INTERVAL,
    DEFAULT_RENDER_SCALE,
    DEFAULT_SMOOTHING,
    DEFAULT_STRENGTH,
    DEFAULT_STROKE,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    RANGES,
    Engine,
    Look,
)
from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.errors import InputError, StyleError
from engines.registry import ENGINES, TRITON, open_engine, with_regions
from engines.styles import Style, told_apart
from engines.words import WORDS, words_of
from realtime.control import Control

FADE_S = 0.6


@dataclass(frozen=True, slots=True)
class Painter:
    """An opened model: what paints, and what it can be told while it paints."""

    bundle: Bundle
    engine: Engine
    control: Control

    def words(self) -> str:
        """Which engine and provider, in brackets."""
        return f"({self.engine.name}, {self.engine.provider})"


def add_painting(parser: argparse.ArgumentParser, *, style: bool = True, many: bool = True) -> None:
    """Add the options that every command that paints has; `style`: also those that say how. many: see `add_numbers`."""
    if style:
        parser.add_argument(
            "--style",
            metavar="NAME|PICTURE",
            help="a named style (see `brushcast styles`), a style file, any picture, a folder of pictures by one hand, "
            'or words ("text:stormy sea in thick oil paint", extra `text`); default: the first named one',
        )
        add_library(parser)
        add_numbers(parser, many=many)
        parser.add_argument(
            "--background",
            metavar="NAME|PICTURE",
            help="a style of its own for all that is no person (default: the same as the rest)",
        )
        parser.add_argument(
            "--background-strength",
            type=float,
            default=1.0,
            metavar="0..1",
            help="strength of the background's painting; with 0 only people are painted (default %(default)s)",
        )
    add_engine(parser)


def add_library(parser: argparse.ArgumentParser) -> None:
    """The option that says where styles told in words are looked up."""
    parser.add_argument(
        "--text-library",
        type=Path,
        metavar="FOLDER",
        help="the pictures that words of a style are looked up in (default: the named artworks)",
    )


def check_library(library: Path | None, *styles: str | None) -> None:
    """Raise InputError for a library where no style is told in words."""
    if library is not None and all(style is None or words_of(style) is None for style in styles):
        raise InputError(f'--text-library is for styles told in words, as "{WORDS}stormy sea"; leave it out')


def add_numbers(parser: argparse.ArgumentParser, *, many: bool = True) -> None:
    """The numbers of a look, each by the name it has in `engines.api.RANGES`.

    many: pictures follow each other; else help is silent about the numbers that are for such pictures alone.
    """
    parser.add_argument(
        "--strength",
        type=float,
        default=DEFAULT_STRENGTH,
        metavar="0..1",
        help="0: the frame, 1: all painted (default %(default)s)",
    )
    parser.add_argument(
        "--smoothing",
        type=float,
        default=DEFAULT_SMOOTHING,
        metavar="0..1",
        help="0: every frame by itself, 1: as steady as can be (default %(default)s)" if many else argparse.SUPPRESS,
    )
    parser.add_argument(
        "--stroke",
        type=float,
        default=DEFAULT_STROKE,
        metavar="0.5..2",
        help="size of the strokes relative to the frame; finer ones take more time (default %(default)s)",
    )
    parser.add_argument(
        "--render-scale",
        type=float,
        default=DEFAULT_RENDER_SCALE,
        metavar="0.25..16",
        help="how much larger than usual frames are painted inside, up to their own size; output keeps its size "
        "(default %(default)s; 16: every pixel)",
    )
    parser.add_argument(
        "--keep-colours",
        type=float,
        default=0.0,
        metavar="0..1",
        help="paint light and dark, and keep so much of the frame's own colours (default %(default)s)",
    )
    parser.add_argument(
        "--oil",
        type=float,
        default=0.0,
        metavar="0..1",
        help="draw the strokes out along edges, as in oil paint: 0.5 a little, 1 a lot (default %(default)s)",
    )
    parser.add_argument(
        "--kernel-interval",
        type=int,
        default=DEFAULT_KERNEL_INTERVAL,
        metavar="1..8",
        help="frames from one computation of the style kernels to the next; between, they move along with the "
        "picture (default %(default)s; always 1 with --smoothing 0)"
        if many
        else argparse.SUPPRESS,
    )


def add_engine(parser: argparse.ArgumentParser, *, model: bool = True) -> None:
    """The options that choose what paints; `model`: also the one model."""
    if model:
        parser.add_argument(
            "--model",
            default="live",
            metavar="NAME|BUNDLE",
            help="a released model or a bundle's folder (default %(default)s)",
        )
    parser.add_argument(
        "--engine",
        default="ort",
        metavar="NAME",
        help=f"{', '.join(ENGINES)} or {TRITON}HOST:PORT[/MODEL] (default ort; `brushcast doctor` tells what runs)",
    )
    parser.add_argument("--provider", metavar="NAME", help="what computes: cpu, cuda, cuda:1, ... (default cpu)")
    parser.add_argument(
        "--precision", metavar="NAME", help="of the arithmetic: fp32, fp16, ... (default: the engine's own)"
    )
    parser.add_argument(
        "--engine-mode",
        metavar="NAME",
        help="of the torch engine: eager, compile or graphs (CUDA graphs; default: graphs on CUDA, else eager)",
    )
    parser.add_argument(
        "--allow-cpu-fallback",
        action="store_true",
        help="what the provider cannot compute may run on the CPU, slowly; without it that is an error (ort)",
    )
    parser.add_argument(
        "--threads", type=int, metavar="1..256", help="CPU threads of the engine (default: its own choice)"
    )


def open_asked(args: argparse.Namespace, bundle: Bundle) -> Engine:
    """The engine that the options of `add_engine` ask for. Raises EngineError, BundleError."""
    return open_engine(
        args.engine,
        bundle,
        threads=args.threads,
        provider=args.provider,
        precision=getattr(args, "precision", None),
        mode=getattr(args, "engine_mode", None),
        allow_cpu_fallback=args.allow_cpu_fallback,
    )


@contextmanager
def opened(
    args: argparse.Namespace, *, fade_s: float = FADE_S, played: bool = False, kept: Sequence[Style] = ()
) -> Iterator[Painter]:
    """Open model, style and engine as the options say, and close the engine at the end.

    played: a background may be asked for later. kept: other styles that can be chosen later. A picture that is called
    as one of them, or as one of the model's own, gets a number behind its name: styles are chosen, and kept, by names.
    Raises BundleError, StyleError, EngineError, InputError (numbers of the look).
    """
    bundle = Bundle.load(args.model)
    asked = getattr(args, "style", None)
    library = getattr(args, "text_library", None)
    check_library(library, asked, getattr(args, "background", None))
    if asked is None and bundle.styles:
        style = bundle.style(bundle.styles[0])
    elif asked is None:
        raise StyleError(f"{bundle.name} has no styles of its own; give a picture with --style")
    else:
        style = resolve_style(asked, bundle, threads=args.threads, tell=tell, library=library)
    behind = getattr(args, "background", None)
    background = (
        None if behind is None else resolve_style(behind, bundle, threads=args.threads, tell=tell, library=library)
    )
    known = {one.name: one for one in kept}

    def named(name: str) -> Style | None:
        return bundle.style(name) if name in bundle.styles else known.get(name)

    style = told_apart(style, named)
    known.setdefault(style.name, style)
    background = None if background is None else told_apart(background, named)
    # Commands that choose their looks themselves have none of these options.
    numbers = {name: getattr(args, name) for name in RANGES if hasattr(args, name)}
    look = Look(style, background=background, **numbers)
    engine = open_asked(args, bundle)
    if look.behind is not None or played:
        engine = with_regions(engine)
    with engine:
        control = Control(look, styles=bundle.styles, load=bundle.style, fade_s=fade_s, check=bundle.check_look)
        yield Painter(bundle, engine, control)


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as two numbers, for argparse."""
    match = re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; it must be WIDTHxHEIGHT, for example 640x360")
    width, height = int(match[1]), int(match[2])
    if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_SIDE_PX:
        raise argparse.ArgumentTypeError(f"{text}: each side must be {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels")
    return width, height


def seconds(text: str) -> float:
    """A length of time above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; it must be a number of seconds above 0")
    return value


def rate(text: str) -> float:
    """Frames per second, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; it must be a number from 1 to 1000 frames per second")
    return value


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; it must be a whole number above 0")
    return int(text)


def tell(line: str) -> None:
    """A line for the user beside the result: on stderr."""
    print(line, file=sys.stderr)


def print_json(value: Any) -> None:
    """The result for a program: on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """Lines of a table, its head first. right: the columns that stand at the right, by their heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = [">" if head in right else "<" for head in rows[0]]
    return [
        "  ".join(f"{cell:{side}{wide}}" for cell, side, wide in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]


def progress(total: int | None, what: str, unit: str = "frame") -> Any:
    """A progress bar with rate and time left on stderr; nothing where stderr is no terminal."""
    return tqdm(total=total, desc=what, unit=unit, disable=None, dynamic_ncols=True, leave=False)
