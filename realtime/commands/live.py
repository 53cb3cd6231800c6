"""brushcast live: a camera, stream, playing file or the synthetic scene, painted as it comes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from engines.encoder import StyleEncoder
from engines.errors import InputError, StyleError
from engines.styles import Style
from realtime.cameras import CameraSource, find_camera
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.control import Director
from realtime.desk import Bench, Desk
from realtime.drive import Driven, Tempo
from realtime.files import FileSource, is_url
from realtime.governor import Governed
from realtime.holding import Holding
from realtime.listening import Ear
from realtime.loop import run as run_loop
from realtime.outputs import NAMES, WEB, WINDOW, Show, file_of, open_sinks
from realtime.presets import Presets, usual_folder
from realtime.remotes import opening
from realtime.session import Kept
from realtime.sinks import Together
from realtime.sources import PATIENCE_S, Paced, Reopened, Source
from realtime.stats import Stats
from realtime.stream import DEFAULT_ENCODER, Encoding, is_stream
from realtime.streamer import ENCODERS
from realtime.synthetic import SyntheticSource
from realtime.web import DEFAULT_HOST, DEFAULT_PORT, checked_token
from realtime.window import HELP

SYNTHETIC = "synthetic"
_FILES = "is for files (--input FILE); nothing else has an end: leave it out"
_PLAYED = "is for files and the synthetic scene; cameras and live streams have a pace of their own: leave it out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"Keys in the window: {HELP}"
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", metavar="N|NAME", help="a camera by index or name (default: the first one)")
    source.add_argument("--input", metavar="FILE|URL|synthetic", help="a file, a stream, or the synthetic scene")
    parser.add_argument(
        "--to",
        action="append",
        metavar=NAMES,
        help="where paintings go (default window); give it again for more than one",
    )
    parser.add_argument(
        "--session", type=Path, metavar="FOLDER", help="keep the unpainted frames and what is played, for `replay`"
    )
    stream = parser.add_argument_group("streams")
    stream.add_argument("--encoder", metavar="NAME", help=f"one of {', '.join(ENCODERS)} (default {DEFAULT_ENCODER})")
    stream.add_argument("--bitrate", type=int, metavar="KBIT/S", help="of the pictures (default: by size and rate)")
    stream.add_argument("--no-audio", action="store_true", help="leave the audio of a file out")
    stream.add_argument(
        "--microphone", nargs="?", const="", metavar="N|NAME", help="its sound goes along, in step with the pictures"
    )
    desk = parser.add_argument_group("web")
    desk.add_argument(
        "--web-host",
        metavar="HOST",
        help=f"0.0.0.0 lets others in, with a token (default {DEFAULT_HOST})",
    )
    desk.add_argument("--web-port", type=port, metavar="PORT", help=f"(default {DEFAULT_PORT}; 0: any that is free)")
    desk.add_argument(
        "--web-token",
        type=token,
        metavar="TOKEN",
        help="one that stays, for addresses that are kept (default: for others, a new one at every start)",
    )
    played = parser.add_argument_group("what it is played with")
    played.add_argument(
        "--presets", type=Path, metavar="FOLDER", help="where the desk's presets are (default: the user's)"
    )
    played.add_argument(
        "--listen", nargs="?", const="", metavar="N|NAME", help="a microphone whose loudness may drive strength or mix"
    )
    opening.add_arguments(parser)
    parser.add_argument("--size", type=painting.size, metavar="WxH", help="ask the camera for it; scale others to it")
    parser.add_argument("--seconds", type=painting.seconds, metavar="S", help="end after so long")
    parser.add_argument("--no-pace", action="store_true", help="play a file as fast as it can be painted, all frames")
    parser.add_argument("--loop", action="store_true", help="play a file again and again")
    parser.add_argument("--mirror", action="store_true", help="flip left and right")
    parser.add_argument("--split", action="store_true", help="show the source in the window's left half")
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    parser.add_argument(
        "--hold-fps",
        type=painting.rate,
        metavar="FPS",
        help="hold this rate: broader strokes, then a softer painting, where the machine is too slow for more",
    )
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    args.to = args.to or [WINDOW]
    _check(args)
    presets = Presets(args.presets or usual_folder())
    kept = list(presets.styles())
    with painting.opened(args, played=True, kept=kept) as painter:
        if args.hold_fps is not None and painter.bundle.sizes is not None and painter.bundle.sizes.fixed:
            raise InputError(
                f"{painter.bundle.name} is for {painter.bundle.sizes} alone, and --hold-fps changes strokes and sizes; "
                "take a model for any size, or leave it out"
            )
        painter.control.change(mirror=args.mirror, split=args.split)
        source = open_source(args)
        stats = Stats()
        with ExitStack() as stack:
            try:
                driven = Driven(painter.control, Tempo(), _listen(args, stack))
                desk = _desk(painter, driven, stats, presets, kept)
                remotes = opening.open_remotes(args, desk, painting.tell, stack)
                show = _show(args, source, painter, stats, desk)
                sinks = stack.enter_context(Together())
                first, *more = open_sinks(args.to, replace(show, midi=remotes.midi), sinks)
                director: Director = driven
                if args.session is not None:
                    session = sinks.enter_context(Kept(args.session, source.info, live=source.live))
                    director = session.direct(director, painter.control.named)
                    more.append(session)
            except BaseException:
                source.close()
                raise
            bar = stack.enter_context(painting.progress(_total(args, source), "live"))
            tell = partial(bar.write, file=sys.stderr)
            engine = painter.engine
            if args.hold_fps is not None:
                engine = Governed(engine, args.hold_fps, tell=tell)
            if source.live:
                engine = Holding(engine, tell=tell)
            report = run_loop(
                source,
                engine,
                first,
                director,
                also=more,
                seconds=args.seconds,
                stats=stats,
                watched=lambda painted: bar.update(1),
            )
        words = painter.words()
    if args.json:
        painting.print_json({"source": source.info.name, "to": args.to, **report.as_json()})
    else:
        print(f"painted {source.info.name}: {report.line()} {words}")
    return 0


def port(text: str) -> int:
    """A TCP port, for argparse."""
    if not text.isdecimal() or int(text) >= 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it must be a whole number from 0 to 65535")
    return int(text)


def token(text: str) -> str:
    """A token of the page, for argparse."""
    try:
        return checked_token(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for options that would be ignored, or files that would be lost, before anything is opened."""
    files = [path for path in map(file_of, args.to) if path is not None]
    for path in files:
        check_apart(path, args.input, args.style, args.background)
    streamed = any(map(is_stream, args.to))
    for name in ("encoder", "bitrate", "microphone"):
        if getattr(args, name) is not None and not streamed:
            raise InputError(f"--{name} is for streams (--to rtmp://..., udp://...); leave it out")
    for name in ("web_host", "web_port", "web_token"):
        if getattr(args, name) is not None and WEB not in args.to:
            raise InputError(f"--{name.replace('_', '-')} is for the page; add --to {WEB}, or leave it out")
    if args.split and not {WINDOW, WEB} & set(args.to):
        raise InputError(f"--split is for the window and the page (--to {WINDOW}, --to {WEB}); leave it out")
    if args.no_audio and not (files or streamed):
        raise InputError("--no-audio is for files and streams (--to FILE, --to rtmp://...); leave it out")
    if args.no_audio and (args.input in (None, SYNTHETIC) or is_url(args.input)):
        raise InputError("--no-audio is for a file that is played (--input FILE); nothing else has audio: leave it out")
    if args.loop and args.input in (None, SYNTHETIC):
        raise InputError(f"--loop {_FILES}")
    if args.no_pace and args.input is None:
        raise InputError(f"--no-pace {_PLAYED}")


def open_source(args: argparse.Namespace) -> Source:
    """The source that the options name. Raises SourceError, InputError (options that a live stream has no use for)."""
    if args.input is None:
        index = find_camera(args.camera)
        return Reopened(lambda: CameraSource(index, size=args.size), patience_s=PATIENCE_S, told=painting.tell)
    if args.input == SYNTHETIC:
        synthetic = SyntheticSource(args.size)
        return synthetic if args.no_pace else Paced(synthetic)
    file = FileSource(args.input, size=args.size, repeat=args.loop)
    if file.live:
        if args.loop or args.no_pace:
            file.close()
            raise InputError(f"--loop {_FILES}" if args.loop else f"--no-pace {_PLAYED}")
        return _stream(args, file)
    return file if args.no_pace else Paced(file)


def _stream(args: argparse.Namespace, first: FileSource) -> Source:
    """A live stream that comes back when it is lost; `first` is its first opening."""
    waiting = [first]

    def open_again() -> Source:
        with suppress(IndexError):
            return waiting.pop()
        return FileSource(args.input, size=args.size)

    return Reopened(open_again, patience_s=PATIENCE_S, told=painting.tell)


def _listen(args: argparse.Namespace, stack: ExitStack) -> Callable[[], float] | None:
    if args.listen is None:
        return None
    return stack.enter_context(closing(Ear(args.listen))).level


def _desk(painter: painting.Painter, driven: Driven, stats: Stats, presets: Presets, kept: Sequence[Style]) -> Desk:
    for style in kept:
        try:
            painter.control.add(style)
        except StyleError:
            painting.tell(f"{style.name}, a preset's style, was made by another model and cannot be chosen")
    return Desk(
        Bench(
            painter.control,
            driven,
            stats,
            lambda picture, name: StyleEncoder(painter.bundle, threads=1).encode(picture, name),
            presets,
            f"{painter.bundle.name} {painter.words()}",
            frozenset(painter.bundle.styles),
            regions=painter.bundle.regions is not None,
        )
    )


def _show(args: argparse.Namespace, source: Source, painter: painting.Painter, stats: Stats, desk: Desk) -> Show:
    keeps_time = args.input not in (None, SYNTHETIC) and not is_url(args.input) and not args.loop
    return Show(
        source.info,
        live=source.live,
        paced=not args.no_pace,
        control=painter.control,
        stats=stats,
        audio_from=args.input if keeps_time and not args.no_audio else None,
        encoding=Encoding(
            args.encoder or DEFAULT_ENCODER, None if args.bitrate is None else 1000 * args.bitrate, args.microphone
        ),
        desk=desk,
        web=(args.web_host or DEFAULT_HOST, DEFAULT_PORT if args.web_port is None else args.web_port),
        web_token=args.web_token,
        tell=painting.tell,
    )


def _total(args: argparse.Namespace, source: Source) -> int | None:
    if args.seconds is not None and not source.live and source.info.rate:
        return min(int(args.seconds * source.info.rate), source.info.frames or 10**9)
    return None if args.loop else source.info.frames
