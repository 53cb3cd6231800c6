"""The evaluation as pictures: a sheet of paintings to look at, and plots of the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from contestants import Contestants
from evaluation_report import RIVAL, Results
from evaluation_runs import OFF, Evaluation
from painters import Untouched
from PIL import Image, ImageDraw, ImageFont

from engines.errors import SinkError
from engines.training.evaluation import Pair
from realtime.bench.plots import write_figure

TILE_PX, SMALL_TILE_PX = 256, 200
WIDE = 8  # columns; of more the tiles are small
FEW = 6  # columns; the names of more do not stand beside each other
GAP_PX = 6
LARGEST_FONT_PX, LEAST_FONT_PX = 30, 11
CAPTION_PX = 20  # of a row's style, below its picture
GROUND, EMPTY = (250, 250, 250), (235, 235, 235)
INK = (40, 40, 40)


def write_sheet(
    path: Path, evaluation: Evaluation, who: Contestants, pairs: Sequence[Pair], *, named: bool = False
) -> None:
    """One row a pair: the photo, the style picture, and what every method painted (blank: it did not). A PNG.

    The photo's own column would show the photo twice and is left out. named: the styles' names stand below their
    pictures. Raises SinkError.
    """
    painters = [painter for painter in who.still if not isinstance(painter, Untouched)]
    labels = ["photo", "style", *(painter.name for painter in painters)]
    tile_px = TILE_PX if len(labels) <= WIDE else SMALL_TILE_PX
    lines = [_broken(label) for label in labels]
    font = _fitting([line for label in lines for line in label], tile_px)
    line_px = round(font.size * 1.2)
    head_px = GAP_PX + line_px * max(len(label) for label in lines)
    across, down = tile_px + GAP_PX, tile_px + (CAPTION_PX if named else 0) + GAP_PX
    sheet = Image.new("RGB", (GAP_PX + across * len(labels), head_px + down * len(pairs)), GROUND)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(lines):
        for number, line in enumerate(reversed(label), start=1):  # the last line stands on the tiles
            at = GAP_PX + column * across + 1, head_px - 2 - number * line_px
            draw.text(at, line, fill=INK, font=font)
    for row, pair in enumerate(pairs):
        top = head_px + row * down
        tiles = [Image.fromarray(evaluation.pictures.picture(name)) for name in (pair.photo, pair.style)]
        tiles += [_opened(evaluation.painting(painter, pair), tile_px) for painter in painters]
        for column, tile in enumerate(tiles):
            small = tile.resize((tile_px, tile_px), Image.Resampling.LANCZOS)
            sheet.paste(small, (GAP_PX + column * across, top))
        if named:
            name_font = _fitting([pair.style], tile_px, CAPTION_PX - 4)
            draw.text((GAP_PX + across + 1, top + tile_px + 1), pair.style, fill=INK, font=name_font)
    try:
        sheet.save(path)
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror})") from error


def _opened(path: Path, side: int) -> Image.Image:
    if not path.exists():
        return Image.new("RGB", (side, side), EMPTY)
    with Image.open(path) as opened:
        return opened.convert("RGB")


def _broken(label: str) -> list[str]:
    """In two lines, where it has words."""
    first, _, second = label.partition(" ")
    return [first, second] if second else [label]


def _fitting(lines: Sequence[str], width_px: int, largest_px: int = LARGEST_FONT_PX) -> ImageFont.FreeTypeFont:
    """The largest font in which all lines are narrow enough; a sheet of many columns is looked at from afar."""
    for size in range(largest_px, LEAST_FONT_PX, -1):
        font = ImageFont.load_default(size=size)
        if all(font.getlength(line) <= width_px for line in lines):
            return font
    return ImageFont.load_default(size=LEAST_FONT_PX)


def write_plot(path: Path, results: Results, who: Contestants) -> None:
    """Style against content of every pair, and bars of the other figures, as a PNG. Raises SinkError."""
    import matplotlib  # noqa: PLC0415 - slow to import

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    columns = [painter.name for painter in who.still]
    many = len(columns) > FEW
    colours = dict(zip(columns, cycle(plt.get_cmap("tab20" if many else "tab10").colors), strict=False))
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
        ticks = [column.replace(RIVAL, "rival") for column in columns]
        axis.set_xticks(range(len(columns)), ticks, fontsize=8, rotation=60 if many else 0)
        axis.set_title(title, fontsize=10)
    own = [value for column in columns for value in results.values(column, "of_style_grid").values()]
    if own:
        axes[5].axhline(float(np.mean(own)), color="black", linewidth=1)
    figure.tight_layout()
    write_figure(figure, path, dpi=80)


def _height(value: float) -> float:
    return 0.0 if math.isnan(value) else value
