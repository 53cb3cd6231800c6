"""The command `brushcast`: reads the command line, runs one command, turns errors into one line and an exit code.

Exit codes: 0 done, 2 bad input (one line on stderr says what was wrong), 130 ended by Ctrl-C, 143 by SIGTERM, 129 by
SIGHUP. Only the module of the chosen command is imported, so that `brushcast --help` and small commands start at once.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import NoReturn

from engines.errors import BrushcastError

COMMANDS = {
    "live": "paint a camera, a stream or a playing file as it comes",
    "video": "paint a video file into another, with its audio and timing",
    "replay": "paint a session of `live --session` again, at full quality",
    "image": "paint one picture",
    "styles": "list the named styles",
    "style": "fit a style to a picture, where looking at it is not enough",
    "models": "list the models and what each can do",
    "compare": "paint a photo or a clip with several models, side by side, with their speed",
    "demo": "see what this machine can do: one command, no options needed",
    "doctor": "tell versions, cameras, the provider that really runs, and what is missing",
    "bench": "measure the stages and the whole on this machine",
}
INTERRUPTED = 130
# What a service manager or a container ends a program by, and a terminal that is closed. Windows has no SIGHUP.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(KeyboardInterrupt):
    """A signal that ends the program. Files are closed as with Ctrl-C. code: the exit code, by convention."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class _Parser(argparse.ArgumentParser):
    """Tells a wrong command line in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        print(f"brushcast: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: this program's own); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Names may have letters that the terminal or pipe has not; Python writes them on stderr so, too.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = _parse(words)
        with _ending_well():
            code = args.run(args)
        sys.stdout.flush()
    except BrushcastError as error:
        print(f"brushcast: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except Terminated as ended:
        return ended.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`brushcast styles | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(code)


@contextmanager
def _ending_well() -> Iterator[None]:
    """Raise Terminated in this thread at signals that end it, if it is the main one: others cannot have signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, _: object) -> NoReturn:
        raise Terminated(number)

    # What is ignored stays so: nohup's SIGHUP.
    before = {number: signal.getsignal(number) for number in _ENDING}
    taken = [number for number in _ENDING if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def version() -> str:
    """The installed version of Brushcast."""
    try:
        return metadata.version("brushcast")
    except metadata.PackageNotFoundError:
        return "unknown (not installed: run pip install -e . in the checkout)"


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="brushcast", description="Paints live video in the style of any picture.")
    parser.add_argument("--version", action="version", version=f"brushcast {version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == chosen:
            module = import_module(f"realtime.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(words)
