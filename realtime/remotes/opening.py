"""From the options of `brushcast live` to the remotes that they name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import InputError, SinkError
from realtime.desk import Desk
from realtime.presets import usual_folder
from realtime.remotes import OBS_PASSWORD, OBS_URL, OSC_HOST

if TYPE_CHECKING:
    from realtime.remotes.midi import Midi
    from realtime.remotes.obs import Obs
    from realtime.remotes.osc import Osc

Tell = Callable[[str], object]  # takes lines for the user


@dataclass(frozen=True, slots=True)
class Remotes:
    """What was opened; None for what was not asked for."""

    osc: Osc | None = None
    midi: Midi | None = None
    obs: Obs | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    remotes = parser.add_argument_group("remotes")
    remotes.add_argument(
        "--osc", type=address, metavar="[HOST:]PORT", help=f"listen to OSC (host: {OSC_HOST}, this machine alone)"
    )
    remotes.add_argument(
        "--midi",
        nargs="?",
        const="",
        metavar="NAME",
        help="a MIDI input by a part of its name (default: the first one)",
    )
    remotes.add_argument(
        "--obs",
        nargs="?",
        const=OBS_URL,
        metavar="ws://HOST:PORT",
        help="scenes of OBS choose the presets of their names",
    )
    remotes.add_argument(
        "--obs-password-file", type=Path, metavar="FILE", help=f"of OBS's WebSocket server (default: ${OBS_PASSWORD})"
    )


def open_remotes(args: argparse.Namespace, desk: Desk, tell: Tell, stack: ExitStack) -> Remotes:
    """The remotes that the options name; they are closed by `stack`. Raises SinkError, InputError."""
    password = _password(args)
    return Remotes(
        None if args.osc is None else stack.enter_context(_osc(args.osc, desk, tell)),
        None if args.midi is None else stack.enter_context(_midi(args, desk, tell)),
        None if args.obs is None else stack.enter_context(_obs(args.obs, password, desk, tell)),
    )


def address(text: str) -> tuple[str, int]:
    """[HOST:]PORT, for argparse; an IPv6 host in brackets."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 2**16 or (":" in host and not host.startswith("[")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; it must be PORT or HOST:PORT, PORT 1 to 65535")
    return host.strip("[]") or OSC_HOST, int(port)


def _osc(where: tuple[str, int], desk: Desk, tell: Tell) -> Osc:
    try:
        from realtime.remotes.osc import Osc  # noqa: PLC0415 (python-osc is an extra)
    except ModuleNotFoundError as error:
        raise _missing("python-osc", "osc") from error
    host, port = where
    return Osc(desk, port, host, tell=tell)


def _midi(args: argparse.Namespace, desk: Desk, tell: Tell) -> Midi:
    try:
        from realtime.remotes.midi import Midi  # noqa: PLC0415 (mido is an extra)
    except ModuleNotFoundError as error:
        raise _missing("mido", "midi") from error
    return Midi(desk, args.presets or usual_folder(), args.midi, tell=tell)


def _obs(url: str, password: str, desk: Desk, tell: Tell) -> Obs:
    try:
        from realtime.remotes.obs import Obs  # noqa: PLC0415 (aiohttp is an extra)
    except ModuleNotFoundError as error:
        raise _missing("aiohttp", "obs") from error
    return Obs(desk, url, password, tell=tell)


def _missing(package: str, extra: str) -> SinkError:
    return SinkError(f'{package} is not installed; run: pip install "brushcast[{extra}]"')


def _password(args: argparse.Namespace) -> str:
    """Not an option: others on this machine see the command line. Raises InputError: the file cannot be read."""
    path: Path | None = args.obs_password_file
    if path is None:
        return os.environ.get(OBS_PASSWORD, "")
    if args.obs is None:
        raise InputError("--obs-password-file is for --obs; give both")
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"the password of OBS cannot be read from {path} ({reason})") from error
