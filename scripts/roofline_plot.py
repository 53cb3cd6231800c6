"""The roofline as a picture (Williams, Waterman, Patterson 2009): every node below the ceilings of its machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from roofline_counts import CONVOLUTIONS, ELEMENTWISE, PRODUCTS

from realtime.bench.plots import write_figure

LABELS = 8
SHOWN_SHARE = 0.001
NEAR = 1.3  # times as far, on both axes: numbers there stand beside each other
LARGEST_DOT = 900.0  # points²
KINDS = (
    ("convolution", CONVOLUTIONS, "tab:blue"),
    ("matrix product", PRODUCTS, "tab:orange"),
    ("elementwise", ELEMENTWISE, "tab:green"),
    ("other", frozenset[str](), "tab:gray"),
)


def write_plot(path: Path, report: dict[str, Any]) -> None:
    """Operations a second over operations a byte; a dot for each node, area by time. A PNG. Raises SinkError."""
    import matplotlib  # noqa: PLC0415 - slow to import

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415
    from matplotlib.collections import PathCollection  # noqa: PLC0415

    # What only moves has no place on an axis of operations a byte.
    drawn = [node for node in report["nodes"] if node["operations"] and node["bytes"] and node["ms"]]
    moved_ms = sum(node["ms"] for node in report["nodes"]) - sum(node["ms"] for node in drawn)
    at = {id(node): (node["operations"] / node["bytes"], node["operations"] / node["ms"] / 1e6) for node in drawn}
    figure, axis = plt.subplots(figsize=(11, 7))
    _draw_ceilings(axis, report["ceilings"], [x for x, _ in at.values()])
    longest = max((node["ms"] for node in drawn), default=1.0)
    left = drawn
    for label, ops, colour in KINDS:
        chosen = [node for node in left if node["op"] in ops or not ops]
        left = [node for node in left if not (node["op"] in ops or not ops)]
        if chosen:
            x, y = zip(*(at[id(node)] for node in chosen), strict=True)
            areas = [LARGEST_DOT * node["ms"] / longest for node in chosen]
            share = sum(node["ms"] for node in chosen) / report["graph"]["ms"]
            axis.scatter(x, y, areas, colour, alpha=0.45, label=f"{label}, {share:.0%} of the time", linewidths=0)
    _name_longest(axis, [(node["name"], node["ms"], *at[id(node)]) for node in drawn])
    axis.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s")
    # The many nodes that work on sizes do next to nothing: they would draw the picture out to far below.
    shown = [at[id(node)][1] for node in drawn if node["share"] >= SHOWN_SHARE]
    axis.set_ylim(bottom=min([0.5, *shown]) / 2)
    axis.set_title(
        f"{report['model']} at {report['size']}, {report['threads']} threads, {report['machine']['cpu']}: "
        f"{report['graph']['run_ms']:.1f} ms\narea: time; without arithmetic and not drawn: {moved_ms:.2f} ms of nodes",
        fontsize=10,
    )
    axis.grid(which="both", linewidth=0.3, alpha=0.5)
    for handle in axis.legend(fontsize=8, loc="lower right").legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([40])
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.08, top=0.92)
    write_figure(figure, path, dpi=100)


def _draw_ceilings(axis: Any, ceilings: dict[str, Any], intensities: list[float]) -> None:
    """The roof of the largest copy and of the best one, and the flat ceilings of arithmetic."""
    rates = {kind: rate / 1e9 for kind, rate in ceilings["operations_per_s"].items()}
    copies = ceilings["copies"]
    best = max(copies, key=lambda row: row["bytes_per_s"])
    low, high = min([0.05, *intensities]) / 2, max([100.0, *intensities]) * 2
    x = np.geomspace(low, high, 200)
    for row, line in ((best, "--"), (copies[-1], "-")):
        slope = row["bytes_per_s"] / 1e9
        text = f"copies of {row['bytes'] >> 20} MiB: {slope:.1f} GB/s"
        axis.plot(x, np.minimum(x * slope, max(rates.values())), line, color="black", linewidth=1, label=text)
    for kind, rate in rates.items():
        axis.axhline(rate, color="tab:red" if kind == "fp32" else "tab:purple", linewidth=1)
        axis.text(low * 1.1, rate * 1.06, f"{kind} {rate:.0f} GFLOP/s", fontsize=8)


def _name_longest(axis: Any, dots: Sequence[tuple[str, float, float, float]]) -> None:
    """Numbers on the dots (name, ms, x, y) that took longest, and their names in a list."""
    named: list[tuple[float, float]] = []
    lines: list[str] = []
    for number, (name, ms, x, y) in enumerate(sorted(dots, key=lambda dot: -dot[1])[:LABELS], start=1):
        beside = sum(max(x / left, left / x) < NEAR and max(y / low, low / y) < NEAR for left, low in named)
        axis.annotate(str(number), (x, y), (8 * beside - 3, -3), textcoords="offset points", fontsize=8, weight="bold")
        named.append((x, y))
        lines.append(f"{number}  {ms:.2f} ms  {name[:44]}")
    axis.text(0.36, 0.03, "\n".join(lines), transform=axis.transAxes, fontsize=8, verticalalignment="bottom")
