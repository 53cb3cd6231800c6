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


class _Shown:
    """A style that may be on its way to another one."""

    def __init__(self, style: Style) -> None:
        self.style = self.goal = style
        self._from: Style | None = None
        self._start_s: float | None = None
        self._fade_s = self.left_s = 0.0  # left_s: of the way, in presentation time, as far as was asked for

    def to(self, goal: Style, fade_s: float) -> None:
        """Begin to go to `goal`. Raises StyleError, now and not in the painter, if they do not mix."""
        fade(self.style, goal, 0.0)
        self.goal, self._from, self._start_s, self._fade_s = goal, self.style, None, fade_s
        self.left_s = max(0.0, fade_s)
        if fade_s <= 0:
            self.style, self._from = goal, None

    def at(self, time_s: float) -> Style:
        """The style for this time. A fade begins with the first time that is asked for."""
        if self._from is not None:
            if self._start_s is None or time_s < self._start_s:
                self._start_s = time_s
            part = (time_s - self._start_s) / self._fade_s
            self.left_s = max(0.0, self._fade_s - (time_s - self._start_s))
            self.style = self.goal if part >= 1.0 else fade(self._from, self.goal, part)
            if part >= 1.0:
                self._from = None
        return self.style

    @property
    def still(self) -> bool:
        """Whether it is where it is to be."""
        return self._from is None


class Control:
    """The setting, changed by other threads (keys, the desk) while one paints.

    look: how it begins. styles: names to walk through with `step_style`; those of the look come after them. load:
    name -> Style, may raise StyleError (kept after the first time). fade_s: a change of style takes this long, in
    presentation time; 0: at once. check: raises InputError for a look that the model cannot paint.
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
        check: Callable[[Look], object] = lambda look: None,
    ) -> None:
        check(look)
        self._check = check
        self._lock = threading.Lock()
        self._setting = Setting(look, mirror, split)
        self._load = load
        self._known = {style.name: style for style in (look.style, look.background) if style is not None}
        self._names = list(dict.fromkeys([*styles, *self._known]))
        self.fade_s = fade_s
        self._style = _Shown(look.style)
        self._background = None if look.background is None else _Shown(look.background)
        self._leaves = False  # the background is on its way to be painted like the rest

    @property
    def setting(self) -> Setting:
        """What is in force (while fading: with the styles that are faded to)."""
        with self._lock:
            background = None if self._background is None or self._leaves else self._background.goal
            return replace(
                self._setting, look=replace(self._setting.look, style=self._style.goal, background=background)
            )

    def at(self, time_s: float) -> Setting:
        """See `Director.at`. A fade begins with the first frame that is asked for after the change."""
        with self._lock:
            style = self._style.at(time_s)
            background = None if self._background is None else self._background.at(time_s)
            # Not before both have arrived: one that is on its way is not what the other has become.
            if self._leaves and self._background is not None and self._background.still and self._style.still:
                self._background = background = None
            look = self._setting.look
            if style is not look.style or background is not look.background:
                self._setting = replace(self._setting, look=replace(look, style=style, background=background))
            return self._setting

    def choose(self, style: str | Style, fade_s: float | None = None) -> Style:
        """Change to a style, or to a name that `load` knows. Raises StyleError; nothing is changed then.

        fade_s: of this change alone; None is the standing one.
        """
        if isinstance(style, str):
            style = self.named(style)
        with self._lock:
            if style is not self._style.goal or fade_s == 0:
                takes_s = self.fade_s if fade_s is None else fade_s
                self._style.to(style, takes_s)
                if self._leaves and self._background is not None:
                    # It was on its way to the style of before.
                    self._background.to(style, max(takes_s, self._background.left_s))
        return style

    def choose_background(self, style: Style | None, fade_s: float | None = None) -> None:
        """Change the style of the background; None: like the rest. Raises StyleError; see `choose`."""
        with self._lock:
            shown = self._background
            if shown is None:
                if style is None:
                    return
                shown = _Shown(self._style.style)
            goal = self._style.goal if style is None else style
            if goal is not shown.goal or self._leaves != (style is None) or fade_s == 0:
                shown.to(goal, self.fade_s if fade_s is None else fade_s)
            self._background, self._leaves = shown, style is None

    def add(self, style: Style) -> None:
        """A style that can be chosen by its name from now on. Raises StyleError: it does not mix with the others."""
        with self._lock:
            fade(self._style.style, style, 0.0)
            self._known[style.name] = style
            if style.name not in self._names:
                self._names.append(style.name)

    def remove(self, name: str) -> None:
        """A style cannot be chosen any more. `named` still knows it, for who paints with it or replays what was."""
        with self._lock:
            self._names.remove(name)

    @property
    def names(self) -> list[str]:
        """The names of the styles that can be chosen."""
        return list(self._names)

    def step_style(self, step: int) -> Style:
        """Go `step` styles forward (or back) in the list of names, round and round."""
        goal = self._style.goal
        # A mix is not among them.
        here = self._names.index(goal.name) if goal.name in self._names else (-1 if step > 0 else 0)
        return self.choose(self._names[(here + step) % len(self._names)])

    def change(self, *, mirror: bool | None = None, split: bool | None = None, **numbers: float) -> Setting:
        """Change what is given, all at once, from the next frame on. Raises InputError; nothing is changed then.

        numbers: of the look, by their names in `engines.api.RANGES`.
        """
        with self._lock:
            old = self._setting
            look = replace(old.look, **numbers)  # type: ignore[arg-type]
            self._check(look)
            self._setting = Setting(
                look,
                old.mirror if mirror is None else mirror,
                old.split if split is None else split,
            )
            return self._setting

    def known(self, name: str) -> Style | None:
        """The style of this name that can be chosen, or could be once; None if there was none. Raises StyleError."""
        return self.named(name) if name in self._names else self._known.get(name)

    def named(self, name: str) -> Style:
        """A style by its name, loaded the first time. Raises StyleError."""
        if name not in self._known:
            if self._load is None:
                raise LookupError(f"no way to load the style {name!r}")
            self._known[name] = self._load(name)
        return self._known[name]
