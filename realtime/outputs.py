"""From what a user calls an output to the sink that it is: window, vcam, an address, a file, null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import InputError, SinkError
from realtime.control import Control
from realtime.desk import Desk
from realtime.frames import VideoInfo
from realtime.recording import Recording
from realtime.remotes import Learner
from realtime.sinks import NullSink, Sink, Together
from realtime.stats import Stats
from realtime.stream import Encoding, Stream, is_stream
from realtime.vcam import VirtualCamera
from realtime.web import DEFAULT_HOST, DEFAULT_PORT
from realtime.window import Window

WINDOW, VCAM, WEB, NULL = "window", "vcam", "web", "null"
NAMES = f"{WINDOW}|{VCAM}[:DEVICE]|{WEB}|FILE|rtmp://...|udp://...|{NULL}"


@dataclass(frozen=True, slots=True)
class Show:
    """What sinks need to know of what is shown.

    info: of the source; live: whether it is. audio_from: the file that is played, if its times are those of the
    pictures. paced: whether it is played at its own pace. encoding: of streams. tell: takes lines for the user.
    desk: what the web's page is about; midi: what it can teach; web: its host and port, web_token: its token.
    """

    info: VideoInfo
    live: bool
    paced: bool
    control: Control
    stats: Stats
    audio_from: str | None = None
    encoding: Encoding | None = None
    desk: Desk | None = None
    midi: Learner | None = None
    web: tuple[str, int] = (DEFAULT_HOST, DEFAULT_PORT)
    web_token: str | None = None
    tell: Callable[[str], object] = lambda line: None


def file_of(name: str) -> Path | None:
    """The file that an output of this name is; None for what is none."""
    other = name in (WINDOW, WEB, NULL) or name.partition(":")[0] == VCAM or is_stream(name)
    return None if other else Path(name)


def open_sinks(names: Sequence[str], show: Show, together: Together) -> list[Sink]:
    """The sinks by their names, a window first, because it belongs to the main thread; they end with `together`.

    Raises SinkError, InputError (a sink that is named twice).
    """
    for place, name in enumerate(names):
        for before in names[:place]:
            if name == before:
                raise InputError(f"--to {name} is given twice; give every output once")
            one, other = file_of(name), file_of(before)
            if one is not None and other is not None and one.resolve() == other.resolve():
                raise InputError(f"--to {name} is the same file as --to {before}; give every output once")
    ordered = sorted(names, key=lambda name: name != WINDOW)
    return [together.enter_context(_open(name, show)) for name in ordered]


def _open(name: str, show: Show) -> Sink:
    if name == NULL:
        return NullSink()
    if name == WINDOW:
        return Window(show.control, show.stats, (show.info.width_px, show.info.height_px))
    if name == WEB:
        return _open_web(show)
    if (path := file_of(name)) is not None:
        return Recording(path, show.info, audio_from=show.audio_from, live=show.live, tell=show.tell)
    if is_stream(name):
        if not show.live and not show.paced:
            raise InputError("a stream is sent as it is seen; leave out --no-pace")
        return Stream(name, show.info, encoding=show.encoding, audio_from=show.audio_from, tell=show.tell)
    return VirtualCamera(show.info, device=name.partition(":")[2] or None)


def _open_web(show: Show) -> Sink:
    try:
        from realtime.web.server import WebSink  # noqa: PLC0415 (aiohttp is an extra)
    except ModuleNotFoundError as error:
        raise SinkError(f'{error.name} is not installed; run: pip install "brushcast[web]"') from error
    assert show.desk is not None, "whoever offers the page has the desk"
    host, port = show.web
    sink = WebSink(show.info, show.desk, midi=show.midi, host=host, port=port, token=show.web_token)
    show.tell(f"desk: {sink.address}    for OBS: {sink.view_address}")
    return sink
