"""A session: the camera's own pictures and what was played on them, kept so that it can be painted again.

FOLDER/camera.mp4        the frames that were painted, unpainted, with their times
FOLDER/changes.jsonl     one line for each change: the time, the styles and their shares (also of the background), the
                         numbers of the look
FOLDER/styles/           the styles that were used, one file each
"""

from __future__ import annotations

import contextlib
import json
import shutil
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from engines.api import RANGES, Look
from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError, SinkError
from engines.styles import STYLE_FILE_SUFFIX, Style, load_style, mix, parts_of, save_style
from realtime.control import Director, Setting
from realtime.frames import Painted, VideoInfo
from realtime.recording import Recording
from realtime.sinks import Sink

CAMERA, CHANGES, STYLES = "camera.mp4", "changes.jsonl", "styles"
_CAMERA_CRF = "16"  # it is painted again: what compression adds would be painted, too
_ROUNDING_S = 0.002  # times in a file are multiples of its time base


class Kept(Sink):
    """Keeps a session in a folder, which must not exist or be empty. A sink, and beside it a director.

    A session that comes to nothing, without a frame, leaves nothing: the folder can be given again.
    Before the loop runs, `direct` puts it between the loop and whoever directs; what changes is written by the thread
    that paints, the pictures by the one that writes. Raises SinkError.
    """

    def __init__(self, folder: Path, info: VideoInfo, *, live: bool) -> None:
        self._folder = folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SinkError(f"{folder} is there already; give a session a folder of its own")
        self._made = not folder.exists()
        self._saved: set[str] = set()
        self._last: Setting | None = None
        self._changes: TextIO | None = None
        try:
            try:
                (folder / STYLES).mkdir(parents=True, exist_ok=True)
                self._changes = (folder / CHANGES).open("w", encoding="utf-8")
            except OSError as error:
                raise SinkError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error
            self._camera = Recording(folder / CAMERA, info, live=live, quality=_CAMERA_CRF)
        except BaseException:
            self._end()
            raise

    def direct(self, director: Director, named: Callable[[str], Style]) -> Director:
        """A director that keeps what `director` says. named: a style by its name, for the parts of mixes."""
        return _Keeping(director, lambda setting, time_s: self._keep(setting, time_s, named))

    def write(self, painted: Painted) -> bool:
        return self._camera.write(replace(painted, image=painted.frame.image))

    def idle(self) -> bool:
        return self._camera.idle()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._camera.__exit__(kind, error, trace)
        finally:
            self._end()

    def _end(self) -> None:
        """Close what is told of changes; without frames, which it belongs to, take all away that was made here."""
        if self._changes is not None:
            with contextlib.suppress(OSError):  # on a full disk, of which `_keep` has told
                self._changes.close()
        if (self._folder / CAMERA).exists():
            return
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder / STYLES, ignore_errors=True)
            (self._folder / CHANGES).unlink(missing_ok=True)
            if self._made:
                self._folder.rmdir()

    def _keep(self, setting: Setting, time_s: float, named: Callable[[str], Style]) -> None:
        if setting is self._last:
            return
        assert self._changes is not None  # `direct` comes after the opening
        self._last = setting
        look = setting.look
        styles = {style.name: style for style in (look.style, look.background) if style is not None}
        parts = parts_of(look.style)
        behind = None if look.background is None else parts_of(look.background)
        try:
            for name in {**parts, **(behind or {})}:
                if name not in self._saved:
                    style = styles.get(name) or named(name)
                    save_style(style, self._folder / STYLES / f"{len(self._saved)}{STYLE_FILE_SUFFIX}")
                    self._saved.add(name)
            told = {
                "time": time_s,
                "styles": parts,
                "background": behind,
                **{name: getattr(look, name) for name in RANGES},
            }
            self._changes.write(json.dumps(told) + "\n")
            self._changes.flush()
        except OSError as error:
            raise SinkError(f"{self._folder} cannot be written ({error.strerror}); free some space") from error


@dataclass(frozen=True, slots=True)
class _Keeping(Director):
    director: Director
    keep: Callable[[Setting, float], None]

    def at(self, time_s: float) -> Setting:
        setting = self.director.at(time_s)
        self.keep(setting, time_s)
        return setting


class Played(Director):
    """Says again what was said in a session. Raises InputError: not a session, damaged, of another model."""

    def __init__(self, folder: Path, bundle: Bundle, **numbers: Any) -> None:
        """numbers: of the look, instead of those that were kept."""
        self._times: list[float] = []
        self._looks: list[dict[str, Any]] = []
        try:
            lines = (folder / CHANGES).read_text(encoding="utf-8").splitlines()
            for line in lines:
                told = json.loads(line)
                self._times.append(float(told["time"]))
                kept = {name: told[name] for name in RANGES if name in told}
                behind = told.get("background")
                parts = {"styles": dict(told["styles"]), "background": None if behind is None else dict(behind)}
                self._looks.append({**parts, **kept, **numbers})
            styles = (load_style(path) for path in sorted((folder / STYLES).glob(f"*{STYLE_FILE_SUFFIX}")))
            self._styles = {style.name: style for style in styles}
        except BrushcastError as error:
            raise InputError(f"{folder} is damaged: {error}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder} holds no session; give a folder that `live --session` made") from error
        used = {name for look in self._looks for parts in (look["styles"], look["background"]) for name in parts or ()}
        missing = used - set(self._styles)
        if not self._times or missing:
            raise InputError(f"{folder} is not whole: {', '.join(missing) or 'no change was kept'}")
        for style in self._styles.values():
            bundle.check_style(style)
        self._at: tuple[int, Setting] | None = None

    @property
    def first(self) -> Setting:
        """What was in force at the beginning."""
        return self._setting(0)

    def at(self, time_s: float) -> Setting:
        """See `Director.at`."""
        place = max(0, bisect_right(self._times, time_s + _ROUNDING_S) - 1)
        if self._at is None or self._at[0] != place:
            self._at = place, self._setting(place)
        return self._at[1]

    def _setting(self, place: int) -> Setting:
        told = dict(self._looks[place])
        shares, behind = told.pop("styles"), told.pop("background")
        background = None if behind is None else self._mixed(behind)
        return Setting(Look(self._mixed(shares), background=background, **told))

    def _mixed(self, shares: Mapping[str, float]) -> Style:
        return mix([self._styles[name] for name in shares], list(shares.values()))
