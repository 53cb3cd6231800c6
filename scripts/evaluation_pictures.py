"""The evaluation as pictures: a sheet of paintings to look at, and plots of the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from evaluation_report import RIVAL, Results
from evaluation_runs import OFF, Evaluation
from painters import Contestants
from PIL import Image, ImageDraw, ImageFont

from engines.errors import SinkError
from engines.training.evaluation import Pair
from realtime.bench.plots import write_figure

TILE_PX = 256
GAP_PX = 6
LABEL_PX = 26
GROUND = (250, 250, 250)
INK = (40, 40, 40)


def write_sheet(path: Path, evaluation: Evaluation, who: Contestants, pairs: Sequence[Pair]) -> None:
    """One row a pair: the photo, the style picture, and what every method painted (blank: it did not). A PNG.

    The photo's own column would show the photo twice and is left out. Raises SinkError.
    """
    painters = [painter for painter in who.still if painter.key != "photo"]
    labels = ["photo", "style", *(painter.name for painter in painters)]
    step = TILE_PX + GAP_PX
    sheet = Image.new("RGB", (GAP_PX + step * len(labels), LABEL_PX + step * len(pairs)), GROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    for column, label in enumerate(labels):
        draw.text((GAP_PX + column * step + 2, 4), label, fill=INK, font=font)
    for row, pair in enumerate(pairs):
        tiles = [Image.fromarray(evaluation.pictures.picture(name)) for name in (pair.photo, pair.style)]
        for painter in painters:
            kept = evaluation.painting(painter, pair)
            if kept.exists():
                with Image.open(kept) as opened:
                    tiles.append(opened.convert("RGB"))
            else:
                tiles.append(Image.new("RGB", (TILE_PX, TILE_PX), (235, 235, 235)))
        for column, tile in enumerate(tiles):
            small = tile.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (GAP_PX + column * step, LABEL_PX + row * step))
    try:
        sheet.save(path)
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror})") from error


def write_plot(path: Path, results: Results, who: Contestants) -> None:
    """Style against content of every pair, and bars of the other figures, as a PNG. Raises SinkError."""
    import matplotlib  # noqa: PLC0415 - slow to import

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    columns = [painter.name for painter in who.still]
    colours = dict(zip(columns, plt.get_cmap("tab10").colors, strict=False))
    figure, grid = plt.subplots(2, 4, figsize=(17, 8))
    axes = list(grid.flat)
    for name in columns:
        style, content = results.values(name, "style"), results.values(name, "content")
        both = sorted(style.keys() & content.keys())
        x, y = [style[on] for on in both], [content[on] for on in both]
        axes[0].scatter(x, y, s=8, alpha=0.35, color=colours[name])
        if both:
            axes[0].scatter(
                [np.mean(x)], [np.mean(y)], s=90, marker="X", color=colours[name], edgecolor="black", label=name
            )
    axes[0].set(xlabel="style distance", ylabel="content distance", xscale="log", title="nearer the corner is better")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(fontsize=8)
    told = (
        ("palette", "palette distance"),
        ("faces", "content distance of faces"),
        ("stlpips", "ST-LPIPS to the photo"),
        ("nearest", "nearest style is the right one"),
        ("grid", "grid (line: style pictures)"),
        ("warping", "warping, 1 frame (hatched: smoothing off)"),
        ("warping_long", "warping, 10 frames (hatched: smoothing off)"),
    )
    for axis, (name, title) in zip(axes[1:], told, strict=True):
        for place, column in enumerate(columns):
            axis.bar(place, _height(results.mean(column, name)), 0.4, color=colours[column])
            off = results.mean(column + OFF, name)
            if not math.isnan(off):
                axis.bar(place + 0.4, off, 0.4, color=colours[column], hatch="//", alpha=0.6)
        axis.set_xticks(range(len(columns)), [column.replace(RIVAL, "rival") for column in columns], fontsize=8)
        axis.set_title(title, fontsize=10)
    own = [value for column in columns for value in results.values(column, "of_style_grid").values()]
    if own:
        axes[5].axhline(float(np.mean(own)), color="black", linewidth=1)
    figure.tight_layout()
    write_figure(figure, path, dpi=80)


def _height(value: float) -> float:
    return 0.0 if math.isnan(value) else value
