"""What is played on: every control by its name, presets, tempo. The web desk, OSC, MIDI and OBS all speak to this.

`Desk.set` takes a mapping with any of:

    style              a name of `Desk.styles`
    mix                an object of up to four names and their weights: painted with their mixed kernels
    within_s           how long this change of style, mix or background takes, with which it goes; else `fade_s` for
                       a style, and at once for a mix
    fade_s             how long changes of style take from now on, 0..60
    background         a style for what is behind people; "" is that of the rest
    strength, smoothing, stroke, render_scale, kernel_interval, keep_colours, oil, background_strength
                       numbers; see `engines.api.Look` (kernel_interval: a whole one)
    mirror, split      true or false
    drive              "off", "tempo" or "sound": what moves strength or mix by itself
    drive_of           "strength" or "mix";  drive_depth  0..1;  drive_to  the style that a driven mix goes to
    bpm                beats per minute, 30..300
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from engines.api import RANGES
from engines.errors import InputError
from engines.pictures import decode_picture
from engines.styles import Style, mix, parts_of, told_apart
from realtime.control import Control
from realtime.drive import LEAST_BPM, MOST_BPM, By, Drive, Driven, Of
from realtime.presets import MOST_NAME, Presets
from realtime.stats import Stats

MOST_MIXED = 4
MOST_WEIGHT = 1e6
MOST_FADE_S = 60.0
SWITCHES = ("mirror", "split")
# name -> least and most
NUMBERS: dict[str, tuple[float, float]] = {
    **RANGES,
    "fade_s": (0.0, MOST_FADE_S),
    "within_s": (0.0, MOST_FADE_S),
    "drive_depth": (0.0, 1.0),
    "bpm": (LEAST_BPM, MOST_BPM),
}
CHOICES: dict[str, tuple[str, ...]] = {"drive": get_args(By), "drive_of": get_args(Of)}
KNOWN = ("style", "mix", "background", "drive_to", *NUMBERS, *SWITCHES, *CHOICES)
FADED = ("style", "mix", "background")
OR_NONE = ("background", "drive_to")  # styles that need not be
# What a preset keeps: how it looks, not who sits where.
_KEPT = (
    *(name for name in RANGES if name not in ("render_scale", "kernel_interval")),
    *("background", "drive", "drive_of", "drive_depth", "drive_to", "bpm"),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What the desk works with.

    encode: picture and name -> a style, in a while. words: what paints, for people. bundled: the names of the styles
    that come with the model, which presets need not keep. regions: whether the model can paint a background otherwise.
    """

    control: Control
    driven: Driven
    stats: Stats
    encode: Callable[[NDArray[np.uint8], str], Style]
    presets: Presets
    words: str = ""
    bundled: frozenset[str] = field(default_factory=frozenset)
    regions: bool = True


class Desk:
    """The controls, for several threads. Errors are InputError and StyleError, and change nothing."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._control = bench.control
        self._lock = threading.RLock()

    def state(self) -> dict[str, Any]:
        """Everything that is in force, by the names that `set` takes; rate in frames/s, latency in ms.

        presets: see `presets`; styles: the names of those that can be chosen.
        """
        setting = self._control.setting
        rate, latency_s = self._bench.stats.now()
        look, driven = setting.look, self._bench.driven
        drive = driven.drive
        parts = parts_of(look.style)
        return {
            "style": look.style.name,
            "mix": {name: round(share, 4) for name, share in parts.items()} if len(parts) > 1 else {},
            "fade_s": self._control.fade_s,
            "background": "" if look.background is None else look.background.name,
            **{name: getattr(look, name) for name in RANGES},
            **{name: getattr(setting, name) for name in SWITCHES},
            "drive": drive.by,
            "drive_of": drive.of,
            "drive_depth": drive.depth,
            "drive_to": "" if drive.to is None else drive.to.name,
            "bpm": round(driven.tempo.bpm, 1),
            "rate": round(rate, 1),
            "latency_ms": round(1000 * latency_s),
            "frames": self._bench.stats.frames,
            "dropped": self._bench.stats.dropped,
            # What all desks have to see, too: who was told of it once would save over what another one saved since.
            "presets": self.presets(),
            "styles": self._control.names,
            "painter": self._bench.words,
        }

    def styles(self) -> list[dict[str, Any]]:
        """All that can be chosen: name, title, painter, year; own: whether it can be removed."""
        told = []
        for name in self._control.names:
            style = self._control.named(name)
            words = {key: getattr(style, key) for key in ("title", "painter", "year")}
            told.append({"name": name, **words, "own": name not in self._bench.bundled})
        return told

    def picture(self, name: str) -> NDArray[np.uint8]:
        """A style's picture, RGB uint8."""
        return self._named(name).thumbnail

    def set(self, told: object) -> None:
        """Change what is told, or nothing at all."""
        with self._lock:
            self._set(_checked(told))

    def add(self, data: bytes, name: str) -> str:
        """A picture file becomes a style and is chosen; its name, which no other style has, or had and was removed.

        A session that is kept knows styles by their names. Takes a while: not for a thread that has to answer.
        """
        label = "".join(c for c in name if c.isprintable() and c not in "/\\").strip()[:MOST_NAME] or "picture"
        picture = decode_picture(data, label)
        style = self._bench.encode(picture, label)
        with self._lock:  # with the name found and taken in one go: two pictures may come at the same time
            kept = {one.name: one for one in self._bench.presets.styles()}
            style = told_apart(style, lambda name: self._control.known(name) or kept.get(name))
            self._control.add(style)
            self._control.choose(style)
        return style.name

    def remove(self, name: str) -> None:
        """A picture's style cannot be chosen any more. Raises InputError: it comes with the model, or is needed."""
        with self._lock:
            self._named(name)
            if name in self._bench.bundled:
                raise InputError(f"{name} comes with the model; only styles of your own pictures can be removed")
            if name in _styles_in(self.state()):
                raise InputError(f"{name} is in use; choose another style first")
            for slot, preset in self._bench.presets.kept.items():
                if name in _styles_in(preset.values):
                    raise InputError(f"preset {slot}, {preset.name}, needs {name}; free it first")
            self._control.remove(name)

    def presets(self) -> dict[str, str]:
        """The keys in use and the presets' names. Waits for nobody, not even for one who is just saving."""
        return {str(slot): preset.name for slot, preset in self._bench.presets.kept.items()}

    def save(self, slot: int, name: str, instead_of: str | None = None) -> None:
        """Keep what is in force under a key, 1 to 9; styles that do not come with the model are kept along.

        instead_of: the name of the preset that was seen under the key, "" for none: another one stays.
        """
        with self._lock:
            state = self.state()
            values = {key: state[key] for key in _KEPT}
            values |= {"mix": state["mix"]} if state["mix"] else {"style": state["style"]}
            names = [*(state["mix"] or [state["style"]]), state["background"], state["drive_to"]]
            own = {name for name in names if name and name not in self._bench.bundled}
            styles = [self._control.named(name) for name in sorted(own)]
            self._bench.presets.save(slot, name, values, styles, instead_of)

    def recall(self, which: int | str, within_s: float | None = None) -> None:
        """Set what a preset keeps, by its key or its name; within_s: see `set`, else as long as changes of style."""
        with self._lock:
            values = dict(self._bench.presets.find(which).values)
            if any(name in values for name in FADED):
                values["within_s"] = self._control.fade_s if within_s is None else within_s
            self.set(values)

    def forget(self, slot: int) -> None:
        """Free a key."""
        with self._lock:
            self._bench.presets.forget(slot)

    def tap(self) -> float:
        """The beat is now. Returns the tempo, in beats per minute."""
        with self._lock:
            return self._bench.driven.tempo.tap()

    def _set(self, told: Mapping[str, Any]) -> None:
        style = self._style(told)
        background = self._named(told["background"]) if told.get("background") else None
        if not self._bench.regions and (background is not None or told.get("background_strength", 1) < 1):
            raise InputError("this model has one style: it cannot paint a background otherwise")
        drive = self._drive(told)
        # The model may have no such numbers; they are changed all at once or not at all. After that nothing fails.
        numbers = {name: told[name] for name in (*RANGES, *SWITCHES) if name in told}
        if numbers:
            self._control.change(**numbers)
        if drive is not None:
            self._bench.driven.set(drive)
        if "bpm" in told:
            self._bench.driven.tempo.tell(told["bpm"])
        if "fade_s" in told:
            self._control.fade_s = told["fade_s"]
        within_s = told.get("within_s")
        if style is not None:
            # A finger on the pad: its way is the fade.
            self._control.choose(style, 0.0 if "mix" in told and within_s is None else within_s)
        if "background" in told:
            self._control.choose_background(background, within_s)

    def _style(self, told: Mapping[str, Any]) -> Style | None:
        if "style" in told and "mix" in told:
            raise InputError("give either a style or a mix")
        if "style" in told:
            return self._named(told["style"])
        if "mix" not in told:
            return None
        weights = told["mix"]
        if not isinstance(weights, dict) or not 0 < len(weights) <= MOST_MIXED:
            raise InputError(f"a mix must be an object of 1 to {MOST_MIXED} style names and their weights")
        styles = [self._named(name) for name in weights]
        return mix(styles, [_number(f"weight of {name}", share, 0.0, MOST_WEIGHT) for name, share in weights.items()])

    def _drive(self, told: Mapping[str, Any]) -> Drive | None:
        changes: dict[str, Any] = {
            name: told[key]
            for key, name in (("drive", "by"), ("drive_of", "of"), ("drive_depth", "depth"))
            if key in told
        }
        if "drive_to" in told:
            changes["to"] = self._named(told["drive_to"]) if told["drive_to"] else None
        if not changes:
            return None
        drive = replace(self._bench.driven.drive, **changes)
        self._bench.driven.check(drive)
        return drive

    def _named(self, name: object) -> Style:
        if not isinstance(name, str) or name not in self._control.names:
            raise InputError(f"no style {name!r}; known: {', '.join(self._control.names)}")
        return self._control.named(name)


def _styles_in(values: Mapping[str, Any]) -> set[str]:
    """The names of the styles that a state or a preset needs."""
    names = {values.get("style"), values.get("background"), values.get("drive_to"), *(values.get("mix") or ())}
    return {name for name in names if name}


def _checked(told: object) -> dict[str, Any]:
    """`told` with its numbers, switches and choices checked."""
    if not isinstance(told, dict) or not told:
        raise InputError(f"a change must be a JSON object with any of {', '.join(KNOWN)}")
    if unknown := [name for name in told if name not in KNOWN]:
        raise InputError(f"nothing is called {unknown[0]!r}; known: {', '.join(KNOWN)}")
    checked = dict(told)
    for name, (least, most) in NUMBERS.items():
        if name in told:
            checked[name] = _number(name, told[name], least, most)
    if "kernel_interval" in checked:
        checked["kernel_interval"] = _whole("kernel_interval", checked["kernel_interval"])
    if "within_s" in told and not any(name in told for name in FADED):
        raise InputError("within_s goes with a style, a mix or a background, in one change")
    for name in SWITCHES:
        if name in told and not isinstance(told[name], bool):
            raise InputError(f"{name} is {told[name]!r}; it must be true or false")
    for name in OR_NONE:
        if name in told and not isinstance(told[name], str):
            raise InputError(f'{name} is {told[name]!r}; it must be the name of a style, or "" for none')
    for name, choices in CHOICES.items():
        if name in told and told[name] not in choices:
            raise InputError(f"{name} is {told[name]!r}; it must be one of {', '.join(choices)}")
    return checked


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise InputError(f"{name} is {value!r}; it must be a whole number")
    return int(value)


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; it must be a number from {least:g} to {most:g}")
    return float(value)
