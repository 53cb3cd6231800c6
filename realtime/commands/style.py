"""brushcast style fit: a picture becomes a style of a model by fitting, where looking at it is not enough."""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from engines.artworks import load_artworks
from engines.bundle import Bundle
from engines.collection import pictures_in
from engines.errors import SinkError
from engines.pictures import load_picture
from engines.registry import missing_package
from engines.styles import STYLE_FILE_SUFFIX, save_style
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.recording import check_folder
from realtime.synthetic import photo

STEPS = 300
KERNEL_STEPS = 80  # style kernels begin with what they see of the picture, not with the mean of known styles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fit",), help="fit: learn what paints like a picture, in minutes")
    parser.add_argument("picture", metavar="PICTURE", type=Path, help="the style")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar=f"FILE{STYLE_FILE_SUFFIX}", help="the style file to write"
    )
    parser.add_argument("--model", default="cin", metavar="NAME|BUNDLE", help="a model of several styles (default cin)")
    parser.add_argument(
        "--steps", type=painting.count, metavar="N", help=f"(default: {STEPS}; style kernels: {KERNEL_STEPS})"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="photos to learn on (default: pictures that come with the program)",
    )
    parser.add_argument("--name", help="the style's name (default: the picture's)")
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")


def run(args: argparse.Namespace) -> int:
    check_folder(args.out)
    check_apart(args.out, args.picture)
    if args.out.suffix != STYLE_FILE_SUFFIX:
        raise SinkError(f"{args.out} is no name of a style file; it must end in {STYLE_FILE_SUFFIX}")
    bundle = Bundle.load(args.model)
    picture = load_picture(args.picture)
    photos = [photo(), *(work.picture() for work in load_artworks())]
    if args.photos is not None:
        photos = [load_picture(path) for path in pictures_in(args.photos)]
    try:
        module: Any = import_module("engines.training.fit_bundle")
    except ModuleNotFoundError as error:
        raise missing_package(error, "train") from error
    steps = args.steps or (STEPS if bundle.guide is None else KERNEL_STEPS)
    begin = time.perf_counter()
    with painting.progress(steps, "fit", "step") as bar:

        def tell(loss: float) -> None:
            bar.update(1)
            bar.set_postfix(loss=f"{loss:.3f}")

        name = args.name or args.picture.stem
        style = module.StyleFitter(bundle, photos).fit(picture, name, steps=steps, seed=args.seed, tell=tell)
    try:
        save_style(style, args.out)
    except OSError as error:
        raise SinkError(f"{args.out} cannot be written ({error.strerror})") from error
    before, after = (style.extra[key] for key in (module.BEFORE, module.AFTER))
    found = f"loss {after} instead of {before}" if after != before else f"no better than it began, loss {before}"
    print(f"fitted {args.out} to {bundle.name} in {time.perf_counter() - begin:.0f} s: {found}")
    return 0
