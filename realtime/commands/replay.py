"""brushcast replay: a session of `live --session`, painted again at leisure, with the same styles at the same times."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import InputError
from engines.registry import with_regions
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.files import FileSource
from realtime.loop import run as run_loop
from realtime.recording import SLOW_PRESET, Recording
from realtime.session import CAMERA, Played

BEST_RENDER_SCALE = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", type=Path, help="a folder of `brushcast live --session`")
    parser.add_argument("output", metavar="OUT", type=Path, help="the painted video: .mp4, .mov, .m4v or .mkv")
    parser.add_argument(
        "--render-scale",
        type=float,
        default=BEST_RENDER_SCALE,
        metavar="0.25..16",
        help="how much larger than usual frames are painted inside (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    painting.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    bundle = Bundle.load(args.model)
    played = Played(args.session, bundle, render_scale=args.render_scale, kernel_interval=1)
    if not (args.session / CAMERA).is_file():
        raise InputError(f"{args.session} has no {CAMERA}: the session was not ended well")
    check_apart(args.output, args.session / CAMERA)
    with with_regions(painting.open_asked(args, bundle)) as engine:
        source = FileSource(str(args.session / CAMERA))
        try:
            recording = Recording(args.output, source.info, preset=SLOW_PRESET, repeatable=True, tell=painting.tell)
        except BaseException:
            source.close()
            raise
        with recording, painting.progress(source.info.frames, args.output.name) as bar:
            report = run_loop(source, engine, recording, played, watched=lambda painted: bar.update(1))
    if args.json:
        painting.print_json({"input": str(args.session), "output": str(args.output), **report.as_json()})
    else:
        print(f"painted {args.output}: {report.line()}")
    return 0
