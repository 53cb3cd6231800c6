"""MIDI controllers, by mido and python-rtmidi (extra `midi`): faders, pads and program changes play on the desk."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mido

from engines.errors import BrushcastError, SinkError
from realtime.desk import SWITCHES, Desk
from realtime.presets import key_or_name
from realtime.remotes.bindings import CC, CONTROLLERS, FILE, MOVED, NOTE, PRESET, PROGRAM, STYLE, TAP, Bindings, checked
from realtime.remotes.scaling import from_travel

APPLIED_EVERY_S = 0.01  # at most: more often than frames are painted
LOOKS_EVERY_S = 1.0
LONGEST_WAIT_S = 4.0
MOST_WAITING = 64  # presses and controls that wait for a desk which is busy
_PRESSED = 64  # of 127
_THROUGH = "Midi Through"  # ALSA's own, which nobody plays on

Heard = tuple[str, str, int]  # kind, the message's name with its channel, value 0..127


class Midi:
    """Plays a MIDI input on the desk, in a thread of its own. For several threads.

    folder: of the bindings (`realtime.remotes.bindings`). part: of the input's name, in any case; "" takes the first
    one. tell: called with a line: which input it is, when it is unplugged and when it is back, and what the desk would
    not take. A fader that sends more often than the desk is set, every 10 ms, sets the newest value. An input that is
    unplugged is looked for after 1 s, 2, 4, 4 ... s, without end. looks_every_s: the first of these waits, and how
    often it is looked whether the input is still there. Raises SinkError: MIDI cannot be used, there is no such input;
    InputError: the bindings cannot be read.
    """

    def __init__(
        self,
        desk: Desk,
        folder: Path,
        part: str = "",
        *,
        tell: Callable[[str], object] = lambda line: None,
        looks_every_s: float = LOOKS_EVERY_S,
    ) -> None:
        self._desk, self._tell, self._looks_every_s = desk, tell, looks_every_s
        self._bindings = Bindings(folder / FILE)
        self._lock = threading.Lock()
        # By name what a control is to be, by a number what was pressed; in the order in which they came.
        self._waiting: dict[str | int, Any] = {}
        self._presses = 0
        self._held: set[str] = set()
        self._learning, self._heard, self._unsaved = "", "", False
        self._problem = ""
        self._stirred, self._closing = threading.Event(), threading.Event()
        self._wait_s = looks_every_s
        self._name = _chosen(part)
        self._port: Any = _opened(self._name, self._hear)
        tell(f"MIDI: {self._name}")
        self._thread = threading.Thread(target=self._play, name="midi", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._stirred.set()
        self._thread.join()
        if self._port is not None:
            _close(self._port)

    def learn(self, target: str) -> None:
        """The next message that can move `target` is bound to it, and kept. Raises InputError: no such target."""
        word, _, name = checked(target).partition(" ")
        if word == STYLE:
            self._desk.picture(name)  # raises for those who misspell it
        with self._lock:
            self._learning = target

    def cancel(self) -> None:
        """Learn nothing."""
        with self._lock:
            self._learning = ""

    def forget(self, target: str) -> None:
        """Nothing moves `target` any more, which is kept. Raises InputError: nothing did."""
        with self._lock:
            self._bindings.forget(target)
            self._unsaved = True
        self._stirred.set()

    def state(self) -> dict[str, Any]:
        """For a page: the input, whether it is there, what is being learnt, what was heard last, the mapping."""
        with self._lock:
            return {
                "input": self._name,
                "connected": self._port is not None,
                "learning": self._learning,
                "heard": self._heard,
                "mapping": dict(self._bindings.all),
            }

    def _hear(self, message: Any) -> None:
        """A message of mido, in the thread of the driver: nothing may take long here."""
        heard = _heard(message)
        if heard is None:
            return
        kind, name, value = heard
        with self._lock:
            self._heard = name
            fresh = value >= _PRESSED and name not in self._held
            if kind == CC:
                (self._held.add if value >= _PRESSED else self._held.discard)(name)
            if self._learning and _can_move(kind, self._learning, fresh):
                self._bindings.bind(name, self._learning)
                self._learning, self._unsaved = "", True
            elif (target := self._bindings.target(name)) is not None:
                self._await(kind, target, value, fresh)
        self._stirred.set()

    def _await(self, kind: str, target: str, value: int, fresh: bool) -> None:
        told: Any = None
        if kind == CC and target in MOVED:
            told = from_travel(target, value / 127)
        elif kind == CC and target in SWITCHES:
            told = value >= _PRESSED
        if told is not None:
            self._waiting.pop(target, None)
            self._waiting[target] = told
        elif fresh and target not in MOVED and len(self._waiting) < MOST_WAITING:
            self._presses += 1
            self._waiting[self._presses] = target

    def _play(self) -> None:
        look_s = time.monotonic() + self._looks_every_s
        while not self._closing.is_set():
            self._stirred.wait(max(look_s - time.monotonic(), 0.0))
            self._stirred.clear()
            self._apply()
            if time.monotonic() >= look_s:
                self._look()
                look_s = time.monotonic() + self._wait_s
            self._closing.wait(APPLIED_EVERY_S)
        self._apply()

    def _apply(self) -> None:
        """Do what waits, in its order."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            unsaved, self._unsaved = self._unsaved, False
        change: dict[str, Any] = {}
        for key, told in waiting.items():
            if isinstance(key, str):
                change[key] = told
            else:
                self._try(self._set, change)
                change = {}
                self._try(self._press, told)
        self._try(self._set, change)
        if unsaved:
            self._try(self._bindings.save)

    def _set(self, change: dict[str, Any]) -> None:
        if change:
            self._desk.set(change)

    def _press(self, target: str) -> None:
        word, _, name = target.partition(" ")
        if word == TAP:
            self._desk.tap()
        elif word == PRESET:
            self._desk.recall(key_or_name(name))
        elif word == STYLE:
            self._desk.set({"style": name})
        else:
            self._desk.set({target: not self._desk.state()[target]})

    def _try(self, do: Callable[..., None], *told: Any) -> None:
        """A problem is told once, not for every message that brings it about."""
        try:
            do(*told)
        except BrushcastError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._tell(f"MIDI: {error}")

    def _look(self) -> None:
        """Drivers do not tell that an input was unplugged: it is then no longer among those that are there."""
        try:
            if self._port is None:
                name = _chosen(_stem(self._name))
                port = _opened(name, self._hear)
                with self._lock:
                    self._name, self._port = name, port
                self._wait_s = self._looks_every_s
                self._tell(f"{name} is back")
            elif self._name not in _inputs():
                port = self._port
                with self._lock:
                    self._port = None
                    self._held.clear()
                self._tell(f"{self._name} was unplugged; looking for it")
                _close(port)
        except SinkError:
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)


def _heard(message: Any) -> Heard | None:
    """None for what moves nothing."""
    if message.type == "control_change" and message.control in CONTROLLERS:
        kind, number, value = CC, message.control, message.value
    elif message.type == "note_on" and message.velocity:  # a velocity of 0 is a note's end
        kind, number, value = NOTE, message.note, 127
    elif message.type == "program_change":
        kind, number, value = PROGRAM, message.program, 127
    else:
        return None
    return kind, f"{kind} {number} channel {message.channel + 1}", value


def _can_move(kind: str, target: str, fresh: bool) -> bool:
    return kind == CC if target in MOVED else fresh


def _inputs() -> list[str]:
    """The names of all inputs. Raises SinkError."""
    try:
        return list(dict.fromkeys(mido.get_input_names()))
    except ModuleNotFoundError as error:
        raise SinkError('python-rtmidi is not installed; run: pip install "brushcast[midi]"') from error
    except Exception as error:  # each back end has its own
        raise SinkError(f"MIDI cannot be used here ({_line(error)}); on Linux it needs ALSA's sequencer") from error


def _chosen(part: str) -> str:
    """The first input whose name has `part` in it. Raises SinkError."""
    names = _inputs()
    for name in names:
        if part.casefold() in name.casefold() and (part or not name.startswith(_THROUGH)):
            return name
    there = f"there are: {', '.join(names)}" if names else "there is none"
    raise SinkError(f"no MIDI input is called {part!r}; {there}" if part else f"no MIDI input was found; {there}")


def _opened(name: str, hear: Callable[[Any], None]) -> Any:
    """Raises SinkError."""
    try:
        return mido.open_input(name, callback=hear)
    except Exception as error:  # each back end has its own
        raise SinkError(
            f"the MIDI input {name} cannot be opened: {_line(error)}; another program may use it"
        ) from error


def _close(port: Any) -> None:
    try:
        port.close()
    except Exception:  # what was pulled out may not close as it should
        return


def _stem(name: str) -> str:
    """A name without the numbers that a system gives anew when it is plugged in again."""
    return re.sub(r"\s\d+(:\d+)?$", "", name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
