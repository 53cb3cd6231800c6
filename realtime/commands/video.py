"""brushcast video: a video file painted into another, with its audio, timing, rotation, colours and size."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from engines.errors import InputError
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.files import FileSource, without_login
from realtime.loop import run as run_loop
from realtime.recording import SLOW_PRESET, Recording
from realtime.zero_copy import SurfaceRecording, SurfaceSource, nvidia, surfaces_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="a video file, or a URL of one")
    parser.add_argument("output", metavar="OUT", type=Path, help="the painted video: .mp4, .mov, .m4v or .mkv")
    parser.add_argument("--seconds", type=painting.seconds, metavar="S", help="paint only the beginning")
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    parser.add_argument(
        "--zero-copy",
        action="store_true",
        help="frames never leave the GPU, from NVIDIA's decoder to its encoder (--engine torch --provider cuda "
        "--smoothing 0)",
    )
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    check_apart(args.output, args.input, args.style, args.background)
    with painting.opened(args) as painter:
        engine, hardware = painter.engine, None
        if args.zero_copy:
            engine = surfaces_of(engine, painter.control.setting.look)
            hardware = nvidia(int(engine.provider.partition(":")[2] or 0))
        source = FileSource(args.input) if hardware is None else SurfaceSource(args.input, hardware)
        if source.live:
            source.close()
            name = without_login(args.input)
            raise InputError(f"{name} is a live stream without an end; use `brushcast live --input` for it")
        try:
            told: dict[str, Any] = {
                "audio_from": args.input,
                "whole_audio": args.seconds is None,
                "repeatable": True,
                "tell": painting.tell,
            }
            if hardware is None:
                recording = Recording(args.output, source.info, preset=SLOW_PRESET, **told)
            else:
                recording = SurfaceRecording(args.output, source.info, hardware, **told)
        except BaseException:
            source.close()
            raise
        total = source.info.frames
        if args.seconds is not None and source.info.rate:
            total = min(total or 10**9, round(args.seconds * source.info.rate))
        with recording, painting.progress(total, args.output.name) as bar:
            report = run_loop(
                source,
                engine,
                recording,
                painter.control,
                seconds=args.seconds,
                watched=lambda painted: bar.update(1),
            )
        words = painter.words()
    if args.json:
        painting.print_json({"input": args.input, "output": str(args.output), **report.as_json()})
    else:
        print(f"painted {args.output}: {report.line()} {words}")
    return 0
