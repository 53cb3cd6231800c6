"""What can be changed while it runs: style (with a fade), the numbers of a look, mirror, split."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engines.api import Look
from engines.styles import Style, fade


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that the painting of one frame needs to know. Immutable: a change is a new object, swapped in whole.

    mirror: flip left and right before painting. split: the viewer shows the source in the left half.
    """

    look: Look
    mirror: bool = False
    split: bool = False


class Director(Protocol):
    """Says how each frame is painted; asked by the painter, once a frame."""

    def at(self, time_s: float) -> Setting:
        """The setting for the frame with this presentation time. The same object as long as nothing changes."""
        ...


class Control:
    """The setting, changed by one thread (keys, a program) while another paints.

    look: how it begins. styles: names to walk through with `step_style`. load: name -> Style, may raise StyleError
    (kept after the first time). fade_s: a change of style takes this long, in presentation time; 0: at once.
    """

    def __init__(
        self,
        look: Look,
        *,
        styles: Sequence[str] = (),
        load: Callable[[str], Style] | None = None,
        fade_s: float = 0.0,
        mirror: bool = False,
        split: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._setting = Setting(look, mirror, split)
        self._names = list(styles)
        self._load = load
        self._known = {look.style.name: look.style}
        self.fade_s = fade_s
        self._fade_from: Style | None = None
        self._fade_start_s: float | None = None
        self._goal = look.style

    @property
    def setting(self) -> Setting:
        """What is in force (while fading: with the style that is faded to)."""
        with self._lock:
            return replace(self._setting, look=replace(self._setting.look, style=self._goal))

    def at(self, time_s: float) -> Setting:
        """See `Director.at`. A fade begins with the first frame that is asked for after the change."""
        with self._lock:
            start = self._fade_from
            if start is None:
                return self._setting
            if self._fade_start_s is None or time_s < self._fade_start_s:
                self._fade_start_s = time_s
            part = (time_s - self._fade_start_s) / self.fade_s if self.fade_s > 0 else 1.0
            if part >= 1.0:
                self._fade_from = None
                style = self._goal
            else:
                style = fade(start, self._goal, part)
            self._setting = replace(self._setting, look=replace(self._setting.look, style=style))
            return self._setting

    def choose(self, style: str | Style) -> Style:
        """Change to a style, or to a name that `load` knows. Raises StyleError; nothing is changed then."""
        if isinstance(style, str):
            style = self.named(style)
        with self._lock:
            if style is not self._goal:
                fade(self._setting.look.style, style, 0.0)  # raises now, not in the painter, if they do not mix
                self._fade_from = self._setting.look.style
                self._fade_start_s = None
                self._goal = style
        return style

    def play(self, style: Style) -> None:
        """Change to a style at once, without a fade: for what is played by hand. Raises StyleError."""
        with self._lock:
            fade(self._setting.look.style, style, 0.0)  # raises now, not in the painter, if they do not mix
            self._fade_from = None
            self._goal = style
            self._setting = replace(self._setting, look=replace(self._setting.look, style=style))

    def add(self, style: Style) -> None:
        """A style that can be chosen by its name from now on. Raises StyleError: it does not mix with the others."""
        with self._lock:
            fade(self._setting.look.style, style, 0.0)
            self._known[style.name] = style
            if style.name not in self._names:
                self._names.append(style.name)

    @property
    def names(self) -> list[str]:
        """The names of the styles that can be chosen."""
        return list(self._names)

    def step_style(self, step: int) -> Style:
        """Go `step` styles forward (or back) in the list of names, round and round."""
        if not self._names:
            return self._goal
        name = self._goal.name
        here = self._names.index(name) if name in self._names else (-1 if step > 0 else 0)
        return self.choose(self._names[(here + step) % len(self._names)])

    def change(
        self,
        *,
        strength: float | None = None,
        smoothing: float | None = None,
        stroke: float | None = None,
        render_scale: float | None = None,
        kernel_interval: int | None = None,
        keep_colours: float | None = None,
        mirror: bool | None = None,
        split: bool | None = None,
    ) -> Setting:
        """Change what is given, all at once, from the next frame on. Raises InputError; nothing is changed then."""
        with self._lock:
            old = self._setting
            look = replace(
                old.look,
                strength=old.look.strength if strength is None else strength,
                smoothing=old.look.smoothing if smoothing is None else smoothing,
                stroke=old.look.stroke if stroke is None else stroke,
                render_scale=old.look.render_scale if render_scale is None else render_scale,
                kernel_interval=old.look.kernel_interval if kernel_interval is None else kernel_interval,
                keep_colours=old.look.keep_colours if keep_colours is None else keep_colours,
            )
            self._setting = Setting(
                look, old.mirror if mirror is None else mirror, old.split if split is None else split
            )
            return self._setting

    def named(self, name: str) -> Style:
        """A style by its name, loaded the first time. Raises StyleError."""
        if name not in self._known:
            if self._load is None:
                raise LookupError(f"no way to load the style {name!r}")
            self._known[name] = self._load(name)
        return self._known[name]
