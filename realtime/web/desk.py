"""What the desk can do, as documented calls: HTTP under /api, and the same over one WebSocket.

    GET  /api/state                     everything that is in force, and the figures of the run
    GET  /api/styles                    the styles: name, title, painter, year
    GET  /api/styles/NAME/picture.jpg   a style's picture
    POST /api/styles?name=NAME          a picture file as the body becomes a style and is chosen
    POST /api/set                       a JSON object with any of: style, fade_s, mix, strength, smoothing, stroke,
                                        render_scale, kernel_interval, keep_colours, mirror, split
    GET  /api/ws                        a WebSocket: gives the state when it changes, takes what /api/set takes

mix: an object of style names and weights, which paints with their mixed kernels. Errors are {"error": "..."} with a
status of 400.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.api import RANGES
from engines.errors import InputError
from engines.pictures import decode_picture
from engines.styles import Style, mix
from realtime.control import Control
from realtime.stats import Stats

MOST_MIXED = 4
MOST_FADE_S = 60.0
MOST_NAME = 60
_SWITCHES = ("mirror", "split")
_KNOWN = ("style", "fade_s", "mix", *RANGES, *_SWITCHES)


@dataclass(frozen=True, slots=True)
class Bench:
    """What the desk works with. encode: picture and name -> a style, in a while. words: what paints, for people."""

    control: Control
    stats: Stats
    encode: Callable[[NDArray[np.uint8], str], Style]
    words: str


class Desk:
    """The calls themselves, without the web around them. Used by one thread, but for `encode`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._control = bench.control
        self._mixed: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Everything that is in force; rate in frames/s, latency in ms."""
        setting = self._control.setting
        rate, latency_s = self._bench.stats.now()
        look = setting.look
        return {
            "style": look.style.name,
            "mix": self._mixed if self._mixed and look.style.name not in self._control.names else {},
            "fade_s": self._control.fade_s,
            **{name: getattr(look, name) for name in RANGES},
            **{name: getattr(setting, name) for name in _SWITCHES},
            "rate": round(rate, 1),
            "latency_ms": round(1000 * latency_s),
            "frames": self._bench.stats.frames,
            "painter": self._bench.words,
        }

    def styles(self) -> list[dict[str, str]]:
        """All that can be chosen. Raises StyleError."""
        styles = (self._control.named(name) for name in self._control.names)
        return [{name: getattr(style, name) for name in ("name", "title", "painter", "year")} for style in styles]

    def set(self, told: object) -> None:
        """Change what is told, or nothing at all. Raises InputError, StyleError."""
        if not isinstance(told, dict) or not told:
            raise InputError(f"a change must be a JSON object with any of {', '.join(_KNOWN)}")
        if unknown := [name for name in told if name not in _KNOWN]:
            raise InputError(f"nothing is called {unknown[0]!r}; known: {', '.join(_KNOWN)}")
        if "style" in told and "mix" in told:
            raise InputError("give either a style or a mix")
        numbers: dict[str, Any] = {name: _number(name, told[name], *RANGES[name]) for name in RANGES if name in told}
        if "kernel_interval" in numbers:
            numbers["kernel_interval"] = int(numbers["kernel_interval"])
        for name in _SWITCHES:
            if name in told and not isinstance(told[name], bool):
                raise InputError(f"{name} is {told[name]!r}; it must be true or false")
        fade_s = _number("fade_s", told["fade_s"], 0.0, MOST_FADE_S) if "fade_s" in told else None
        style = self._style(told)
        # All is well: from here on nothing can fail.
        if fade_s is not None:
            self._control.fade_s = fade_s
        if style is not None:
            self._mixed = {name: float(told["mix"][name]) for name in told["mix"]} if "mix" in told else {}
            if "mix" in told:
                self._control.play(style)  # a finger on the pad: its way is the fade
            else:
                self._control.choose(style)
        self._control.change(**numbers, **{name: told[name] for name in _SWITCHES if name in told})

    async def add(self, data: bytes, name: str) -> str:
        """A picture file becomes a style and is chosen; its name, which is told apart from those that are there.

        Raises StyleError.
        """
        label = "".join(c for c in name if c.isprintable() and c not in "/\\").strip()[:MOST_NAME] or "picture"
        taken = set(self._control.names)
        free = next(one for one in (label, *(f"{label} {k}" for k in range(2, 10_000))) if one not in taken)
        picture = await asyncio.to_thread(decode_picture, data, label)
        style = await asyncio.to_thread(self._bench.encode, picture, free)
        self._control.add(style)
        self._mixed = {}
        self._control.choose(style)
        return free

    def picture(self, name: str) -> NDArray[np.uint8]:
        """A style's picture, RGB uint8. Raises StyleError: not one of ours."""
        if name not in self._control.names:
            raise InputError(f"no style {name!r}")
        return self._control.named(name).thumbnail

    def _style(self, told: Mapping[str, Any]) -> Style | None:
        if "style" in told:
            name = told["style"]
            if not isinstance(name, str) or name not in self._control.names:
                raise InputError(f"no style {name!r}; GET /api/styles tells them")
            return self._control.named(name)
        if "mix" not in told:
            return None
        weights = told["mix"]
        if not isinstance(weights, dict) or not 0 < len(weights) <= MOST_MIXED:
            raise InputError(f"a mix must be an object of 1 to {MOST_MIXED} style names and their weights")
        if unknown := [name for name in weights if name not in self._control.names]:
            raise InputError(f"no style {unknown[0]!r}; GET /api/styles tells them")
        shares = [_number(f"weight of {name}", weight, 0.0, math.inf) for name, weight in weights.items()]
        return mix([self._control.named(name) for name in weights], shares)


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; it must be a number from {least:g} to {most:g}")
    return float(value)
