"""brushcast styles: the named styles of a model, as a list, as JSON, and as a sheet of the same photo in each."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.styles import Style
from realtime.commands import painting
from realtime.frames import Image
from realtime.pictures import Tile, save_picture, sheet
from realtime.recording import check_folder
from realtime.synthetic import photo

TILE_PX = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as a list of objects")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="also paint a photo in every style, on one sheet"
    )
    painting.add_painting(parser, style=False)


def run(args: argparse.Namespace) -> int:
    if args.sheet is not None:
        check_folder(args.sheet)
    bundle = Bundle.load(args.model)
    styles = [bundle.style(name) for name in bundle.styles]
    if args.json:
        painting.print_json([_told(style) for style in styles])
    else:
        _print(styles)
    if args.sheet is not None:
        with painting.open_asked(args, bundle) as engine:
            save_picture(styles_sheet(engine, styles), args.sheet)
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


def _told(style: Style) -> dict[str, str]:
    return {key: str(getattr(style, key)) for key in ("name", "title", "painter", "year", "source", "licence")}


def _print(styles: list[Style]) -> None:
    wide = max((len(style.name) for style in styles), default=0)
    for style in styles:
        about = ", ".join(word for word in (style.title, style.painter, str(style.year)) if word)
        print(f"{style.name:{wide}}  {about}")
