"""brushcast demo: the main job on a fresh machine, with whatever it has."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from engines.errors import SourceError
from realtime.cameras import CameraSource, find_camera
from realtime.commands import painting
from realtime.commands.styles import styles_sheet
from realtime.commands.written import check_apart
from realtime.control import Control, Setting
from realtime.display import ADVICE, why_no_display
from realtime.loop import run as run_loop
from realtime.pictures import save_picture
from realtime.recording import Recording
from realtime.sources import Paced, Reopened, Source
from realtime.stats import Report, Stats
from realtime.synthetic import SyntheticSource
from realtime.window import Window

FILM, SHEET = "brushcast-demo.mp4", "brushcast-demo.png"
FILM_S = 8.0
FILM_RATE = Fraction(24)
STYLE_S = 1.6
WINDOW_STYLE_S = 6.0
SHEET_STYLES = 11


class Tour:
    """Goes through the styles by itself, one after the other."""

    def __init__(self, control: Control, every_s: float) -> None:
        self._control = control
        self._every_s = every_s
        self._next_s = every_s

    def at(self, time_s: float) -> Setting:
        if time_s >= self._next_s:
            self._next_s = time_s + self._every_s
            self._control.step_style(1)
        return self._control.at(time_s)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=painting.seconds, metavar="S", help=f"how long (a film: {FILM_S:g})")
    parser.add_argument("--size", type=painting.size, metavar="WxH", help="of the frames (default 640x360)")
    parser.add_argument("--folder", type=Path, default=Path(), help="where files are written (default: here)")
    painting.add_painting(parser)


def run(args: argparse.Namespace) -> int:
    with painting.opened(args) as painter:
        reason = why_no_display()
        if reason is None:
            report, what = _to_window(args, painter), "shown in a window"
        else:
            check_apart(args.folder / SHEET, args.style, args.background)
            reason = reason.removesuffix(f"; {ADVICE}")  # which this command has no option for, and does by itself
            painting.tell(f"no window: {reason}; a film and a sheet of styles are written")
            report = _to_film(args, painter)
            names = painter.bundle.styles[:SHEET_STYLES]
            styles = [painter.bundle.style(name) for name in names] or [painter.control.setting.look.style]
            save_picture(styles_sheet(painter.engine, styles), args.folder / SHEET)
            what = f"written to {args.folder / FILM} and, as a sheet of styles, {args.folder / SHEET}"
        print(f"demo: {what}: {report.line()} {painter.words()}")
    return 0


def _to_window(args: argparse.Namespace, painter: painting.Painter) -> Report:
    stats = Stats()
    source = _camera(args) or Paced(SyntheticSource(args.size))
    size = (source.info.width_px, source.info.height_px)
    try:
        window = Window(painter.control, stats, size)
    except BaseException:
        source.close()
        raise
    with window:
        director = Tour(painter.control, WINDOW_STYLE_S)
        return run_loop(source, painter.engine, window, director, seconds=args.seconds, stats=stats)


def _to_film(args: argparse.Namespace, painter: painting.Painter) -> Report:
    seconds = args.seconds or FILM_S
    source = _camera(args) or SyntheticSource(args.size, FILM_RATE)
    try:
        recording = Recording(args.folder / FILM, source.info, live=source.live)
    except BaseException:
        source.close()
        raise
    total = None if source.live else round(seconds * FILM_RATE)
    with recording, painting.progress(total, FILM) as bar:
        return run_loop(
            source,
            painter.engine,
            recording,
            Tour(painter.control, STYLE_S),
            seconds=seconds,
            watched=lambda painted: bar.update(1),
        )


def _camera(args: argparse.Namespace) -> Source | None:
    """The first camera, if there is one that gives pictures; else the synthetic scene has to do."""
    try:
        index = find_camera(None)
        return Reopened(lambda: CameraSource(index, size=args.size), told=painting.tell)
    except SourceError as error:
        painting.tell(f"{str(error).partition(';')[0]}; the synthetic scene is painted instead")
        return None
