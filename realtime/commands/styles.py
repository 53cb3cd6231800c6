"""brushcast styles: the named styles of a model, as a list and as a sheet; their space as a map, groups and walks."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from engines.api import Engine, Look
from engines.bundle import Bundle, released
from engines.errors import InputError
from engines.styles import Style
from realtime.commands import painting, styles_space, styles_walk
from realtime.frames import Image
from realtime.pictures import Tile, check_picture_name, save_picture, sheet
from realtime.recording import check_folder
from realtime.sources import fit
from realtime.synthetic import photo

TILE_PX = 256
# Which options say what is wanted, and which others each of them takes.
_WANTED = {
    "map": ("clusters", "also"),
    "near": ("also", "count"),
    "clusters": ("map", "also"),
    "walk": ("output", "input", "seconds"),
    "sheet": (),
}
_WRITTEN = {"also": "--with", "output": "--output"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="also paint a photo in every style, on one sheet"
    )
    space = parser.add_argument_group("the space of styles")
    space.add_argument(
        "--map",
        type=Path,
        metavar="FILE.png|FILE.html",
        help="draw all named styles as a map: near on it is near in style; a page can be moved, zoomed and asked",
    )
    space.add_argument("--near", metavar="NAME|PICTURE", help="the styles nearest to one, with their distances")
    space.add_argument("--count", type=painting.count, metavar="N", help="how many of --near (default 8)")
    space.add_argument("--clusters", type=painting.count, metavar="K", help="groups of styles, K of them")
    space.add_argument(
        "--with",
        dest="also",
        nargs="+",
        metavar="PATH",
        help="pictures, and folders of pictures, to place beside the named styles (--map, --near, --clusters)",
    )
    space.add_argument(
        "--walk",
        nargs="+",
        metavar="NAME|PICTURE",
        help="a video of one photo while its style walks from one to the next, two of them or more",
    )
    space.add_argument("-o", "--output", type=Path, metavar="FILE.mp4", help="where --walk goes")
    space.add_argument("--input", type=Path, metavar="PHOTO", help="the photo of --walk (default: a portrait)")
    space.add_argument("--seconds", type=painting.seconds, metavar="S", help="length of --walk (default 6)")
    painting.add_library(parser)
    painting.add_painting(parser, style=False)


def run(args: argparse.Namespace) -> int:
    _check(args)
    bundle = Bundle.load(args.model)
    if args.walk is not None:
        return styles_walk.run(args, bundle)
    if args.map is not None or args.near is not None or args.clusters is not None:
        return styles_space.run(args, bundle)
    if args.sheet is not None:
        check_folder(args.sheet)
        check_picture_name(args.sheet)
    styles = [bundle.style(name) for name in bundle.styles]
    own = _own_networks()
    if args.json:
        painting.print_json([{**_told(style), "own_networks": own.get(style.name, [])} for style in styles])
    else:
        _print(styles, own if bundle.takes != "one" else {})
    if args.sheet is not None:
        with painting.open_asked(args, bundle) as engine:
            save_picture(styles_sheet(engine, styles, _photo(bundle)), args.sheet)
        painting.tell(f"wrote {args.sheet}")
    return 0


def styles_sheet(engine: Engine, styles: list[Style], picture: Image | None = None) -> Image:
    """A sheet of one picture in every style, each with the style's own thumbnail. RGB uint8."""
    if picture is None:
        picture = np.asarray(cv2.resize(photo(), (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    tiles = [Tile(picture, "the photo")]
    with painting.progress(len(styles), "sheet", "style") as bar:
        for style in styles:
            engine.reset()
            tiles.append(Tile(engine.stylise(picture, Look(style)), style.name, style.thumbnail))
            bar.update(1)
    return sheet(tiles)


def _photo(bundle: Bundle) -> Image:
    """The photo of the sheet: RGB uint8, square, or of the size that the model is for."""
    # Cut to its shape first: nothing in it is stretched.
    return fit(photo(), bundle.size_or_usual((TILE_PX, TILE_PX)))


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for options that do not belong together."""
    asked = [name for name in _WANTED if getattr(args, name) is not None]
    taken = {name for one in asked for name in _WANTED[one]}
    for one in asked:
        for other in asked:
            if other != one and other not in _WANTED[one]:
                raise InputError(f"--{one} and --{other} are two answers; ask for one after the other")
    for name in ("also", "count", "output", "input", "seconds"):
        if getattr(args, name) is not None and name not in taken:
            takers = " or ".join(f"--{one}" for one, others in _WANTED.items() if name in others)
            raise InputError(f"{_WRITTEN.get(name, f'--{name}')} is for {takers}; leave it out, or ask for that")
    if args.walk is not None and args.output is None:
        raise InputError("--walk needs a file to go to; say --output FILE.mp4")
    if args.sheet is None and args.walk is None:
        idle = {"engine": "ort", "provider": None, "precision": None, "engine_mode": None, "allow_cpu_fallback": False}
        for name, usual in idle.items():
            if getattr(args, name) != usual:
                raise InputError(f"--{name.replace('_', '-')} is for what is painted (--sheet, --walk); leave it out")
    painting.check_library(args.text_library, args.near, *(args.walk or ()))


def _told(style: Style) -> dict[str, str]:
    return {key: str(getattr(style, key)) for key in ("name", "title", "painter", "year", "source", "licence")}


def _own_networks() -> dict[str, list[str]]:
    """The released models that paint in one style alone, by that style's name."""
    own: dict[str, list[str]] = {}
    for bundle in map(Bundle.load, released()):
        if bundle.takes == "one":
            for name in bundle.styles:
                own.setdefault(name, []).append(bundle.name)
    return own


def _print(styles: list[Style], own: dict[str, list[str]]) -> None:
    wide = max((len(style.name) for style in styles), default=0)
    for style in styles:
        about = ", ".join(word for word in (style.title, style.painter, str(style.year)) if word)
        networks = f" [{', '.join(own[style.name])}]" if style.name in own else ""
        print(f"{style.name:{wide}}  {about}{networks}")
    if any(style.name in own for style in styles):
        print("In brackets: models (--model NAME) that paint in that style alone.")
