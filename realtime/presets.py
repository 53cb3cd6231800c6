"""Presets: what was in force on the desk, kept under the keys 1 to 9, in a folder that outlives the program.

FOLDER/presets.json     {"1": {"name": "evening", "values": {...}}, ...}, values as the desk's `set` takes them
FOLDER/styles/          the styles of presets that do not come with the model, one file each; the name is in the file
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from engines.errors import BrushcastError, InputError
from engines.styles import STYLE_FILE_SUFFIX, Style, free_path, load_style, save_style, write_beside

SLOTS = range(1, 10)
MOST_NAME = 60
_FILE, _STYLES = "presets.json", "styles"


@dataclass(frozen=True, slots=True)
class Preset:
    """A name, for people and for OBS's scenes, and what is to be set."""

    name: str
    values: dict[str, Any]


def usual_folder() -> Path:
    """Where presets are kept unless somebody says otherwise."""
    return user_config_path("brushcast", appauthor=False)


class Presets:
    """The presets in a folder, which need not be there yet. Not for several threads.

    Other programs may keep theirs in it, too: what they did is seen when one is saved or freed here.
    Raises InputError: what is there cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = self._read()

    @property
    def kept(self) -> dict[int, Preset]:
        """All presets by their keys, in the order of the keys."""
        return dict(sorted(self._kept.items()))

    def find(self, which: int | str) -> Preset:
        """A preset by its key, or by its name as people write it (case does not count). Raises InputError."""
        for slot, preset in self.kept.items():
            if which == slot or (isinstance(which, str) and preset.name.casefold() == which.casefold()):
                return preset
        known = ", ".join(f"{slot} {preset.name}" for slot, preset in self.kept.items()) or "none yet"
        raise InputError(f"no preset {which!r}; there are: {known}")

    def save(
        self, slot: int, name: str, values: dict[str, Any], styles: Iterable[Style], instead_of: str | None = None
    ) -> None:
        """Keep `values` under a key. styles: those of them that do not come with the model.

        instead_of: the name of the preset that it takes the place of, "" for none; None: of whatever is there.
        Raises InputError: another one is there, no key, no name, the folder cannot be written.
        """
        label = "".join(c for c in name if c.isprintable()).strip()[:MOST_NAME]
        if not label:
            raise InputError("a preset needs a name")
        slot = _slot(slot)
        self._kept = self._read()
        there = self._kept[slot].name if slot in self._kept else ""
        if instead_of is not None and there != instead_of:
            raise InputError(f"key {slot} was {f'given to {there}' if there else 'freed'} in the meantime; look again")
        self._keep({**self._kept, slot: Preset(label, values)}, styles)

    def forget(self, slot: int) -> None:
        """Free a key. Raises InputError: nothing is under it, or the folder cannot be written."""
        self._kept = self._read()
        self.find(slot)
        self._keep({key: preset for key, preset in self._kept.items() if key != slot})

    def styles(self) -> Iterator[Style]:
        """The styles that were kept along; those that cannot be read are left out."""
        for _, style in self._files():
            yield style

    def _read(self) -> dict[int, Preset]:
        path = self._folder / _FILE
        try:
            told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            return {_slot(int(slot)): Preset(str(entry["name"]), dict(entry["values"])) for slot, entry in told.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} cannot be read as presets; move it away, or mend it") from error

    def _files(self) -> Iterator[tuple[Path, Style]]:
        for path in sorted((self._folder / _STYLES).glob(f"*{STYLE_FILE_SUFFIX}")):
            try:
                yield path, load_style(path)
            except BrushcastError:
                continue

    def _keep(self, kept: dict[int, Preset], styles: Iterable[Style] = ()) -> None:
        """Write the styles, then the presets that need them; only then are they what is kept.

        Styles that presets needed and none needs any more go in the end.
        """
        told = {str(slot): {"name": preset.name, "values": preset.values} for slot, preset in sorted(kept.items())}
        folder = self._folder / _STYLES
        files = {style.name: path for path, style in self._files()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for style in styles:
                save_style(style, files.get(style.name) or _free(folder, style.name))
            write_beside(self._folder / _FILE, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise InputError(f"{self._folder} cannot be written ({error.strerror}); choose another folder") from error
        gone, self._kept = _needed(self._kept) - _needed(kept), kept
        for path in (files[name] for name in gone if name in files):
            with contextlib.suppress(OSError):  # a file too many does no harm
                path.unlink()


def key_or_name(told: str) -> int | str:
    """What people write for a preset, as `Presets.find` takes it: a digit is a key, "2024" a name."""
    return int(told) if re.fullmatch("[0-9]", told) else told


def _slot(slot: int) -> int:
    if slot not in SLOTS:
        raise InputError(f"no preset has the key {slot}; the keys are 1 to 9")
    return slot


def _free(folder: Path, name: str) -> Path:
    """A file for a style that has none: named as every file system takes it, and apart from those that are there."""
    label = re.sub(r"[^\w.-]+", "_", name)
    return free_path(folder / f"{label}{STYLE_FILE_SUFFIX}")


def _needed(kept: Mapping[int, Preset]) -> set[str]:
    """The names of the styles in presets."""
    values = [preset.values for preset in kept.values()]
    names = {told.get(key) for told in values for key in ("style", "background", "drive_to")}
    mixes = [mixed for told in values if isinstance(mixed := told.get("mix"), dict)]
    return {name for name in names if isinstance(name, str)} | {name for mixed in mixes for name in mixed}
