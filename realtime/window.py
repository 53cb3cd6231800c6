"""The window sink: shows paintings and turns keys into changes; what is drawn over a painting is only on screen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from engines.api import RANGES
from engines.errors import BrushcastError, SinkError
from engines.styles import free_path, write_beside
from realtime.control import Control
from realtime.display import why_no_display
from realtime.frames import Image, Painted
from realtime.sinks import Sink
from realtime.stats import Stats

TITLE = "Brushcast"
STEP = 0.1
NOTE_S = 2.5
HELP = (
    "n/p style   +/- strength   ]/[ smoothing   b/f broad/fine strokes   w/d more/less oil   m mirror   s split"
    "   c snapshot   o overlay   h help   q quit"
)


class Screen(Protocol):
    """The part of OpenCV's HighGUI that is used: what a test has to imitate."""

    def open(self, title: str, size: tuple[int, int]) -> None: ...

    def show(self, title: str, image: Image) -> None:
        """image: BGR uint8 (height, width, 3)."""
        ...

    def key(self) -> int:
        """The key that was pressed since last asked, -1 if none. Also lets the window handle its events."""
        ...

    def is_open(self, title: str) -> bool: ...

    def close(self, title: str) -> None: ...


class HighGui:
    """OpenCV's windows. Its `cv2.error`s are passed on as SinkError by the Window."""

    def open(self, title: str, size: tuple[int, int]) -> None:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        cv2.resizeWindow(title, *size)

    def show(self, title: str, image: Image) -> None:
        cv2.imshow(title, image)

    def key(self) -> int:
        return cv2.pollKey()

    def is_open(self, title: str) -> bool:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self, title: str) -> None:
        cv2.destroyWindow(title)


@dataclass(slots=True)
class _Note:
    """A line shown for a while after a key."""

    text: str = ""
    until_s: float = 0.0


class Window(Sink):
    """Shows each painting at once.

    control: what the keys change. stats: what the overlay tells. snapshots: the folder that `c` writes PNGs into.
    Raises SinkError: no display (with advice), or the window system failed.
    """

    def __init__(
        self,
        control: Control,
        stats: Stats,
        size: tuple[int, int],
        *,
        snapshots: Path = Path(),
        screen: Screen | None = None,
    ) -> None:
        if screen is None and (reason := why_no_display()) is not None:
            raise SinkError(f"no window can be opened: {reason}")
        self._screen = screen or HighGui()
        self._control = control
        self._stats = stats
        self._snapshots = snapshots
        self._overlay = True
        self._seen_open = False
        self._last: Painted | None = None
        self._note = _Note(HELP, time.monotonic() + 2 * NOTE_S)
        self._keys: dict[int, Callable[[], None]] = {
            **dict.fromkeys(map(ord, "nN.>"), lambda: self._style(1)),
            **dict.fromkeys(map(ord, "pP,<"), lambda: self._style(-1)),
            **dict.fromkeys(map(ord, "+="), lambda: self._number("strength", STEP)),
            **dict.fromkeys(map(ord, "-_"), lambda: self._number("strength", -STEP)),
            **dict.fromkeys(map(ord, "]}"), lambda: self._number("smoothing", STEP)),
            **dict.fromkeys(map(ord, "[{"), lambda: self._number("smoothing", -STEP)),
            **dict.fromkeys(map(ord, "bB"), lambda: self._number("stroke", STEP)),
            **dict.fromkeys(map(ord, "fF"), lambda: self._number("stroke", -STEP)),
            **dict.fromkeys(map(ord, "wW"), lambda: self._number("oil", STEP)),
            **dict.fromkeys(map(ord, "dD"), lambda: self._number("oil", -STEP)),
            **dict.fromkeys(map(ord, "mM"), self._mirror),
            **dict.fromkeys(map(ord, "sS"), self._split),
            **dict.fromkeys(map(ord, "cC"), self._snapshot),
            **dict.fromkeys(map(ord, "oO"), self._toggle_overlay),
            **dict.fromkeys(map(ord, "hH?"), lambda: self._say(HELP)),
        }
        try:
            self._screen.open(TITLE, size)
        except cv2.error as error:
            raise _failed(error) from error

    def write(self, painted: Painted) -> bool:
        self._last = painted
        self._show(painted)
        return self.idle()

    def idle(self) -> bool:
        """Handle keys; the last painting stays on the screen by itself."""
        try:
            key = self._screen.key()
            if key != -1:
                # What is held beside it stands above. No fewer bits: an arrow to the left is 0xFF51, and Q is 0x51.
                letter = key & 0xFFFF
                if letter in (ord("q"), ord("Q"), 27):
                    return False
                if action := self._keys.get(letter):
                    action()
                    if self._last is not None:
                        self._show(self._last)
            # Not every window system can tell whether a window is open: only one that was seen open can be closed.
            is_open = self._screen.is_open(TITLE)
            closed = self._seen_open and not is_open
            self._seen_open = self._seen_open or is_open
            return not closed
        except cv2.error as error:
            raise _failed(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(cv2.error):  # the user closed it
            self._screen.close(TITLE)

    def _show(self, painted: Painted) -> None:
        # The conversion is a copy already: drawing on it costs nothing more and leaves the painting alone.
        shown = np.asarray(cv2.cvtColor(composed(painted), cv2.COLOR_RGB2BGR), np.uint8)
        if self._overlay:
            self._draw(shown)
        try:
            self._screen.show(TITLE, shown)
        except cv2.error as error:
            raise _failed(error) from error

    def _draw(self, image: Image) -> None:
        rate, latency_s = self._stats.now()
        look = self._control.setting.look
        lines = [
            look.style.name,
            f"strength {look.strength:.1f}   smoothing {look.smoothing:.1f}   stroke {look.stroke:.1f}"
            f"   oil {look.oil:.1f}",
            f"{rate:.1f} frames/s   {latency_s * 1000:.0f} ms",
        ]
        if time.monotonic() < self._note.until_s:
            lines.append(self._note.text)
        scale = max(0.35, image.shape[0] / 900)
        for row, line in enumerate(lines, 1):
            place = (round(14 * scale), round(30 * scale * row))
            for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)

    def _say(self, text: str) -> None:
        self._note = _Note(text, time.monotonic() + NOTE_S)

    def _style(self, step: int) -> None:
        try:
            style = self._control.step_style(step)
        except BrushcastError as error:
            self._say(str(error))
        else:
            self._say(style.title or style.name)

    def _number(self, name: str, step: float) -> None:
        least, most = RANGES[name]
        value = round(min(most, max(least, getattr(self._control.setting.look, name) + step)), 3)
        try:
            self._control.change(**{name: value})
        except BrushcastError as error:  # a model for one size has one stroke
            self._say(str(error))

    def _mirror(self) -> None:
        self._control.change(mirror=not self._control.setting.mirror)

    def _split(self) -> None:
        self._control.change(split=not self._control.setting.split)

    def _toggle_overlay(self) -> None:
        self._overlay = not self._overlay

    def _snapshot(self) -> None:
        if self._last is None:
            return
        # With a number where that second has one already.
        path = free_path(self._snapshots / time.strftime("brushcast-%Y%m%d-%H%M%S.png"))
        good, data = cv2.imencode(".png", cv2.cvtColor(self._last.image, cv2.COLOR_RGB2BGR))
        try:
            if good:
                write_beside(path, bytes(data))
            self._say(f"saved {path}" if good else "the snapshot could not be encoded")
        except OSError as error:
            self._say(f"{path} cannot be written: {error.strerror}")


def composed(painted: Painted) -> Image:
    """The painting; in split view with the source in its left half. RGB uint8; the painting itself is not changed."""
    if not painted.split:
        return painted.image
    half = painted.image.shape[1] // 2
    both = painted.image.copy()
    both[:, :half] = painted.frame.image[:, :half]
    both[:, max(0, half - 1) : half + 1] = 255
    return both


def _failed(error: Any) -> SinkError:
    return SinkError(f"the window failed: {str(error).splitlines()[0]}; use --to FILE.mp4 to record instead")
