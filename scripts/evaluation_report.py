"""What an evaluation says: one table, the promised bars as ratios, as text, Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from contestants import Contestants
from evaluation_costs import RATE_SIZE, Cost
from evaluation_runs import OFF, Row
from painters import RivalPainter
from promises import Bar, ratio, write_json

from engines.description import parameters_words, rate_words
from engines.errors import SinkError

STYLE_PICTURE = "style picture"
RIVAL = RivalPainter.name


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table. better: "down" or "up", what is good. off: of Brushcast's rows without smoothing."""

    label: str
    figure: str
    better: str
    off: bool = False


LINES = (
    Line("style distance, held-back network", "style", "down"),
    Line("Gram distance, training network", "gram", "down"),
    Line("nearest style picture is the right one", "nearest", "up"),
    Line("palette distance", "palette", "down"),
    Line("content distance, held-back network", "content", "down"),
    Line("content distance of faces", "faces", "down"),
    Line("ST-LPIPS to the photo", "stlpips", "down"),
    Line("SSIM of edges to the photo", "edges", "up"),
    Line("grid", "grid", "down"),
    Line("border, colour", "border_colour", "down"),
    Line("border, gradient", "border_gradient", "down"),
    Line("warping error, 1 frame", "warping", "down"),
    Line("warping error, 1 frame, smoothing off", "warping", "down", off=True),
    Line("warping error, 10 frames", "warping_long", "down"),
    Line("warping error, 10 frames, smoothing off", "warping_long", "down", off=True),
    Line("warping error, true motion", "warping_true", "down"),
    Line("warping error, true motion, smoothing off", "warping_true", "down", off=True),
    Line("sharpness of clips", "sharpness", "up"),
    Line("sharpness of clips, smoothing off", "sharpness", "up", off=True),
)
MARKS = {"grid": "grid", "border_colour": "border, colour", "border_gradient": "border, gradient"}
MARKS_LIMIT = 1.10


@dataclass(frozen=True, slots=True)
class Promise:
    """What a bundle has to reach: ratios to the rival, and the share of style pictures told right."""

    style: float
    content: float
    palette: float
    warping: float
    nearest: float


PROMISES = {
    "live": Promise(style=0.85, content=0.90, palette=0.80, warping=0.25, nearest=0.95),
    "studio": Promise(style=0.65, content=0.90, palette=0.70, warping=0.30, nearest=0.98),
}
# Trained for steadiness, and what is like it but was not: the ratio of their warping errors without any smoothing.
STEADIER = (("reconet", "johnson"), ("adain-steady", "adain"))
STEADIER_LIMIT = 0.70


class Results:
    """All rows, to be asked for means."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = list(rows)

    def values(self, method: str, figure: str) -> dict[str, float]:
        """What was measured of a figure, by what it was measured on."""
        found = {row.on: row.figures.get(figure, math.nan) for row in self._rows if row.method == method}
        return {on: value for on, value in found.items() if not math.isnan(value)}

    def mean(self, method: str, figure: str) -> float:
        return _mean(list(self.values(method, figure).values()))

    def ratio(self, figure: str, method: str, base: str, base_figure: str | None = None) -> float:
        """Of the means over what both were measured on; nan where there is nothing."""
        ours, theirs = self.values(method, figure), self.values(base, base_figure or figure)
        both = sorted(ours.keys() & theirs.keys())
        return ratio(_mean([ours[on] for on in both]), _mean([theirs[on] for on in both]))

    def methods(self) -> list[str]:
        """In the order of their first rows."""
        return list(dict.fromkeys(row.method for row in self._rows))

    def told(self) -> list[dict[str, Any]]:
        return [{"method": row.method, "on": row.on, **row.figures} for row in self._rows]


def judge(results: Results, bundles: Mapping[str, str]) -> list[Bar]:
    """The bars of the bundles that promise something (column name -> the bundle's own name)."""
    bars: list[Bar] = []
    for method, name in bundles.items():
        promise = PROMISES.get(name)
        if promise is None:
            continue
        for figure in ("style", "content", "palette", "warping"):
            value = results.ratio(figure, method, RIVAL)
            bars.append(Bar(f"{method}: {figure} / {RIVAL}", value, getattr(promise, figure)))
        nearest = results.mean(method, "nearest")
        bars.append(Bar(f"{method}: nearest style picture is the right one", nearest, promise.nearest, True))
        for figure, label in MARKS.items():
            value = results.ratio(figure, method, method, f"of_style_{figure}")
            bars.append(Bar(f"{method}: {label} / the style picture's own", value, MARKS_LIMIT))
    return bars


def judge_steadier(results: Results, columns: Collection[str]) -> list[Bar]:
    """The bars of the columns that were trained for steadiness, where the one that was not is there, too."""
    return [
        Bar(
            f"{steady}: warping, smoothing off / {base}",
            results.ratio("warping", steady + OFF, base + OFF),
            STEADIER_LIMIT,
        )
        for steady, base in STEADIER
        if steady in columns and base in columns
    ]


def table(results: Results, columns: Sequence[str], costs: Mapping[str, Cost]) -> list[list[str]]:
    """Header and lines. A last column holds the style pictures' own grid and border."""
    lines = [["", *columns, STYLE_PICTURE]]
    # Every method was measured in the same styles; the one with the most rows tells the most of them.
    widest = max(columns, key=lambda name: len(results.values(name, "style")))
    for line in LINES:
        means = [results.mean(name + OFF if line.off else name, line.figure) for name in columns]
        own = results.mean(widest, f"of_style_{line.figure}")
        if not all(math.isnan(value) for value in means):
            label = f"{line.label} ({'lower' if line.better == 'down' else 'higher'} is better)"
            lines.append([label, *map(_cell, means), _cell(own)])
    lines += _cost_lines([costs.get(name) for name in columns])
    for label, figure in (("pairs", "style"), ("clips", "sharpness"), ("true motions", "warping_true")):
        lines.append([f"number of {label}", *(str(len(results.values(name, figure))) for name in columns), ""])
    faces = [sum(results.values(name, "face_count").values()) for name in columns]
    lines.append(["number of faces", *(f"{count:.0f}" for count in faces), ""])
    return lines


def text(lines: Sequence[Sequence[str]]) -> str:
    """The table for a terminal."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        line[0].ljust(widths[0])
        + "".join(cell.rjust(width + 2) for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )


def markdown(settings: dict[str, Any], lines: Sequence[Sequence[str]], bars: Sequence[Bar]) -> str:
    head, *body = ("| " + " | ".join(line) + " |" for line in lines)
    rule = "|---" + "|---:" * (len(lines[0]) - 1) + "|"
    told = "\n".join(f"- {name}: {value}" for name, value in settings.items())
    reached = "\n".join(f"- {bar.line()}" for bar in bars) or "- none: no bundle was measured that has one"
    return "\n".join(["# Evaluation", "", told, "", head, rule, *body, "", "## Bars", "", reached, ""])


def write_report(
    folder: Path,
    settings: dict[str, Any],
    results: Results,
    who: Contestants,
    costs: Mapping[str, Cost],
    *,
    promised: bool,
) -> list[Bar]:
    """Print the table and the bars; write evaluation.md and evaluation.json. Raises SinkError.

    promised: measured in the held-out style pictures, for which the bundles' bars are.
    """
    columns = [painter.name for painter in who.still]
    if promised:
        bars = judge(results, {name: members[0].name for name, members in who.bundles.items()})
    else:
        bars = judge_steadier(results, who.bundles)
    lines = table(results, columns, costs)
    print(f"\n{text(lines)}\n")
    for bar in bars:
        print(bar.line())
    try:
        (folder / "evaluation.md").write_text(markdown(settings, lines, bars), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{folder} cannot be written ({error.strerror})") from error
    means = {
        name: {line.figure: results.mean(name, line.figure) for line in LINES if not line.off}
        for name in results.methods()
    }
    report = {
        "settings": settings,
        "means": means,
        "costs": {name: cost.told() for name, cost in costs.items()},
        "bars": [bar.told() for bar in bars],
        "rows": results.told(),
    }
    write_json(folder / "evaluation.json", report)
    return bars


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _cost_lines(found: Sequence[Cost | None]) -> list[list[str]]:
    """Of the columns; None: of no bundle."""
    if not any(found):
        return []
    rates = [one and not math.isnan(one.rate) and rate_words(one.rate) for one in found]
    parameters = [one and not math.isnan(one.parameters) and parameters_words(int(one.parameters)) for one in found]
    megabytes = [one and f"{one.megabytes:.1f}" for one in found]
    rated = f"frames/s at {RATE_SIZE[0]}x{RATE_SIZE[1]}, CPU (higher is better)"
    lines = ((rated, rates), ("parameters", parameters), ("MB on the disk", megabytes))
    return [[label, *(cell or "-" for cell in cells), "-"] for label, cells in lines if any(cells)]


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.{0 if value >= 100 else 2 if value >= 10 else 3}f}"
