"""brushcast image: one picture, painted."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.pictures import load_photo
from realtime.commands import image_gatys, painting
from realtime.commands.written import check_apart
from realtime.pictures import check_picture_name, save_picture
from realtime.recording import check_folder

NETWORK = "network"
_OF_MANY = ("smoothing", "kernel_interval")  # numbers of a look that a single picture has no use for


class _Noted(argparse.Action):
    """Stores the value, and which options were given at all: by dest, how the user wrote them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, self._value(namespace, values))
        if option_string is not None:
            namespace.given = {**getattr(namespace, "given", {}), self.dest: option_string}

    def _value(self, namespace: argparse.Namespace, values: Any) -> Any:
        return values


class _NotedFlag(_Noted):
    def __init__(self, option_strings: Sequence[str], dest: str, default: bool = False, **others: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=default, **others)

    def _value(self, namespace: argparse.Namespace, values: Any) -> bool:
        return True


class _NotedList(_Noted):
    def _value(self, namespace: argparse.Namespace, values: Any) -> list[Any]:
        return [*(getattr(namespace, self.dest) or ()), values]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # An option of the other method is refused even where its value is the default one.
    for name, action in ((None, _Noted), ("store_true", _NotedFlag), ("append", _NotedList)):
        parser.register("action", name, action)
    parser.add_argument("input", metavar="IN", type=Path, help="a picture")
    parser.add_argument(
        "output",
        metavar="OUT",
        type=Path,
        help="the painted picture: .png, .jpg, .webp, ... (a transparent IN: .png, .webp and .tiff are transparent, "
        "too, others white)",
    )
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    parser.add_argument(
        "--method",
        choices=(NETWORK, image_gatys.METHOD),
        default=NETWORK,
        help="network: a model paints, in a moment; gatys: the picture itself is optimised, for minutes (extra train; "
        "default %(default)s)",
    )
    painting.add_painting(parser, many=False)
    parser.set_defaults(given={}, gatys_only=image_gatys.add_arguments(parser))


def run(args: argparse.Namespace) -> int:
    _check_method(args)
    check_folder(args.output)
    check_picture_name(args.output)
    # Another style of the slow method may have its weight behind it.
    mixed = [part for text in args.mix or () for part in (text, text.rpartition("=")[0])]
    check_apart(args.output, args.input, args.style, args.background, *mixed)
    if args.method == image_gatys.METHOD:
        return image_gatys.run(args)
    picture, opacity = load_photo(args.input)
    with painting.opened(args) as painter:
        begin = time.perf_counter()
        painted = painter.engine.stylise(picture, painter.control.setting.look)
        took_s = time.perf_counter() - begin
        words = painter.words()
    save_picture(painted, args.output, opacity)
    height, width = painted.shape[:2]
    if args.json:
        told = {"output": str(args.output), "width_px": width, "height_px": height, "seconds": round(took_s, 4)}
        painting.print_json(told)
    else:
        print(f"painted {args.output}: {width}x{height} in {took_s:.2f} s {words}")
    return 0


def _check_method(args: argparse.Namespace) -> None:
    """Raises InputError: an option was given that the method does not have."""
    gatys = args.method == image_gatys.METHOD
    for name, written in args.given.items():
        if gatys and name not in args.gatys_only | image_gatys.allowed(args):
            raise InputError(f"--method {args.method} has no {written}; it is for --method {NETWORK}")
        if not gatys and name in args.gatys_only:
            raise InputError(f"{written} is for --method {image_gatys.METHOD}; add that, or leave {written} out")
        if name in _OF_MANY:
            raise InputError(f"{written} is for pictures that follow each other; leave it out")
