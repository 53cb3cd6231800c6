"""What a MIDI controller moves, kept as JSON beside the presets: {"cc 1": "strength", "note 36": "preset 1", ...}.

Messages are named as makers of controllers number them: "cc 0..119", "note 0..127", "program 0..127"; of any channel,
or with " channel 1..16" behind it, which goes first. Targets are

    a number of `realtime.desk`   by a cc: 0..127 is its range
    mirror, split                 a cc from 64 on is on; a note or a program turns it over
    tap, preset N|NAME, style NAME   when a note or program comes, or a cc rises to 64 or more
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from engines.errors import InputError
from engines.styles import write_beside
from realtime.desk import NUMBERS, SWITCHES
from realtime.presets import SLOTS, key_or_name

FILE = "midi.json"
CC, NOTE, PROGRAM = "cc", "note", "program"
CHANNELS = range(1, 17)
# Above are no controllers, but orders such as "all notes off".
CONTROLLERS, NOTES = range(120), range(128)
TAP, PRESET, STYLE = "tap", "preset", "style"
MOVED = tuple(name for name in NUMBERS if name != "within_s")
# Wheel, volume and the other controllers that keyboards have by their meaning in MIDI; the pads from 36 on, as drum
# pads are numbered; the first nine programs; the pedal beats time.
USUAL = {
    "cc 1": "strength",
    "cc 7": "smoothing",
    "cc 74": "stroke",
    "cc 71": "keep_colours",
    "cc 72": "oil",
    "cc 10": "background_strength",
    "cc 11": "drive_depth",
    "cc 64": TAP,
    **{f"note {35 + slot}": f"{PRESET} {slot}" for slot in SLOTS},
    "note 45": "mirror",
    "note 46": "split",
    "note 47": TAP,
    **{f"program {slot - 1}": f"{PRESET} {slot}" for slot in SLOTS},
}
_MESSAGE = re.compile(rf"({CC}|{NOTE}|{PROGRAM}) (\d{{1,3}})(?: channel (\d{{1,2}}))?")


class Bindings:
    """Message -> target. Not for several threads. path: of the file, which need not be there; then `USUAL` is in force.

    Raises InputError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all = dict(USUAL)
        if not path.exists():
            return
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            self.all = {message: _checked_pair(message, target) for message, target in told.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            reason = f": {error}" if isinstance(error, InputError) else ""
            raise InputError(f"{path} cannot be read as MIDI bindings{reason}; move it away, or mend it") from error

    def target(self, message: str) -> str | None:
        """What `message`, told with its channel, moves."""
        return self.all.get(message) or self.all.get(message.partition(" channel ")[0])

    def bind(self, message: str, target: str) -> None:
        """From now on `message` moves `target`, and no other of its kind does. Raises InputError."""
        target = _checked_pair(message, target)
        kind = message.partition(" ")[0]
        others = {one: what for one, what in self.all.items() if what != target or not one.startswith(f"{kind} ")}
        self.all = {**others, message: target}

    def forget(self, target: str) -> None:
        """Nothing moves `target` any more. Raises InputError: nothing does."""
        if target not in self.all.values():
            raise InputError(f"nothing moves {target!r}; moved are {', '.join(sorted(set(self.all.values())))}")
        self.all = {message: what for message, what in self.all.items() if what != target}

    def save(self) -> None:
        """Write the file. Raises InputError: it cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_beside(self._path, (json.dumps(self.all, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise InputError(f"{self._path} cannot be written ({error.strerror}); choose another folder") from error


def checked(target: str) -> str:
    """`target`, if there can be such a one. Raises InputError."""
    word, _, rest = target.partition(" ")
    if target in (*MOVED, *SWITCHES, TAP) or (word == STYLE and rest):
        return target
    if word == PRESET and rest and (isinstance(which := key_or_name(rest), str) or which in SLOTS):
        return target
    raise InputError(
        f"{target!r} cannot be moved by MIDI; what can is {', '.join((*MOVED, *SWITCHES, TAP))}, "
        f"{PRESET} 1..9|NAME, {STYLE} NAME"
    )


def _checked_pair(message: str, target: str) -> str:
    """`target`, if there can be such a message, and it can move it. Raises InputError."""
    match = _MESSAGE.fullmatch(message)
    if match is None or int(match[2]) not in (CONTROLLERS if match[1] == CC else NOTES):
        raise InputError(f"{message!r} is no message; it must be cc 0..119, note 0..127 or program 0..127")
    if match[3] is not None and int(match[3]) not in CHANNELS:
        raise InputError(f"{message!r} is no message; channels are 1 to 16")
    if checked(target) in MOVED and match[1] != CC:
        raise InputError(f"{message} cannot move {target}, which is a number; a cc can")
    return target
