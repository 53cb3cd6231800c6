"""brushcast image: one picture, painted."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from engines.pictures import load_picture
from realtime.commands import painting
from realtime.pictures import save_picture
from realtime.recording import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", type=Path, help="a picture")
    parser.add_argument("output", metavar="OUT", type=Path, help="the painted picture: .png, .jpg, .webp, ...")
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    check_folder(args.output)
    picture = load_picture(args.input)
    with painting.opened(args) as painter:
        begin = time.perf_counter()
        painted = painter.engine.stylise(picture, painter.control.setting.look)
        took_s = time.perf_counter() - begin
        words = painter.words()
    save_picture(painted, args.output)
    height, width = painted.shape[:2]
    if args.json:
        told = {"output": str(args.output), "width_px": width, "height_px": height, "seconds": round(took_s, 4)}
        painting.print_json(told)
    else:
        print(f"painted {args.output}: {width}x{height} in {took_s:.2f} s {words}")
    return 0
