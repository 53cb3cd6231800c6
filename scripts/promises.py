"""What a measuring program reports: promised bars, met or missed, and the figures as JSON."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import BrushcastError, SinkError


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that was promised: `value` is at most `limit` (or at least). NaN: it was not measured."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if math.isnan(self.value):
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        word = {None: "not measured", True: "met", False: "MISSED"}[self.met]
        return f"{word:<13}{self.name}: {self.value:.3f} (bar {'>=' if self.at_least else '<='} {self.limit:g})"

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "met": self.met, "line": self.line()}


def ratio(value: float, base: float) -> float:
    """value / base; NaN where either is not known or the base is 0."""
    return value / base if base else math.nan


def run(
    name: str,
    told: argparse.Namespace,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    print_report: Callable[[dict[str, Any]], None],
) -> int:
    """Measure, tell, and keep where `told.json` says: a program's exit code.

    0 if it could be measured, 1 with `told.strict` if a bar was missed or not measured, 2 and more on errors, in one
    line that begins with the program's name.
    """
    try:
        report = measure(told)
        print_report(report)
        if told.json:
            write_json(told.json, report)
    except BrushcastError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return int(getattr(told, "strict", False) and not all(bar["met"] for bar in report["bars"]))


def write_json(path: Path, report: dict[str, Any]) -> None:
    """NaN (not measured) becomes null. Raises SinkError."""
    try:
        path.write_text(json.dumps(_plain(report), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror}); its folder must exist") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
