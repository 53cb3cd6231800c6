"""Measured rows that outlive a run: a long measurement that was cut off goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from engines.errors import SinkError

Figures = dict[str, float]


class Journal:
    """Figures by a key, one line of JSON each, written as soon as they are known.

    A line that a stopped run left half-written does not count. nan (not measured) is kept as null.
    """

    def __init__(self, path: Path) -> None:
        """Raises SinkError: the file cannot be read or made (its folder is made)."""
        self._path = path
        self._rows: dict[str, Figures] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except OSError as error:
            raise SinkError(f"{path} cannot be used ({error.strerror}); give a folder you may write to") from error
        for line in text.splitlines():
            try:
                told = json.loads(line)
                self._rows[told["key"]] = {k: math.nan if v is None else float(v) for k, v in told["figures"].items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        self._unfinished = bool(text) and not text.endswith("\n")

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Figures:
        return self._rows[key]

    def add(self, key: str, figures: Mapping[str, float]) -> None:
        """Raises SinkError."""
        row = {name: float(value) for name, value in figures.items()}
        plain = {name: None if math.isnan(value) else value for name, value in row.items()}
        line = json.dumps({"key": key, "figures": plain}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + line if self._unfinished else line)
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written ({error.strerror})") from error
        self._unfinished = False
        self._rows[key] = row
