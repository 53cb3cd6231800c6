"""What the working size costs in quality: large frames painted as usual beside every pixel painted.

    python scripts/large_frames.py PHOTOS --sizes 1280x720,1920x1080,3840x2160 --json build/large.json

PHOTOS holds photos; those smaller than a size are left out of it, and told. Paintings and photos are judged at --view
pixels of height, as a person sees a whole frame: the style distance to the style picture and the content distance to
the photo, by a network that no training used (`engines.training.held_back`). The sharpness is that of all pixels.
Figures are means over photos and styles; times are medians.

Exit code 0 if it could be measured, whether or not the bars are met; 1 with --strict if a bar is missed; 2 on errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from clips import cut_to, parse_size
from numpy.typing import NDArray
from promises import Bar, ratio, run
from tqdm import tqdm

from engines.api import RANGES, Engine, Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle
from engines.errors import InputError
from engines.pictures import load_picture
from engines.registry import open_engine
from engines.training.data import pictures_of, square
from engines.training.evaluation import to_tensor
from engines.training.held_back import load_held_back_vgg
from engines.training.metrics import FeatureNetwork, Features, content_distance_of, style_distance_of
from engines.training.steadiness import sharpness
from engines.working import working_size
from realtime.machine import machine_load

Image = NDArray[np.uint8]
Size = tuple[int, int]  # width, height
USUAL, EVERY = "usual", "every pixel"
WORSE_BAR = 1.05
FIGURES = ("style", "content", "sharpness", "ms")


@dataclass(frozen=True, slots=True)
class Row:
    """One painting of one photo."""

    size: str
    way: str
    photo: str
    style: str
    figures: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of large photos")
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--sizes", default="1280x720,1920x1080,3840x2160", help="(default: %(default)s)")
    parser.add_argument(
        "--styles", default="cafe-terrace,red-fuji,grande-jatte,water-lilies", help="(default: %(default)s)"
    )
    parser.add_argument("--view", type=int, default=384, metavar="PX", help="height for judging (default: 384)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="the middle of each size's first photo, both ways"
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed")
    return run("large_frames", parser.parse_args(arguments), measure, print_report)


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON. Raises BrushcastError."""
    if min(told.view, told.threads) < 1:
        raise InputError("view and threads must be at least 1")
    torch.set_num_threads(told.threads)
    load = machine_load()
    sizes = [parse_size(text) for text in told.sizes.split(",")]
    photos = find_photos(told.photos)
    bundle = Bundle.load(told.model)
    works = {name: find_artwork(name, load_artworks()) for name in told.styles.split(",")}
    looks = {name: Look(bundle.style(name), smoothing=0.0) for name in works}
    judge = load_held_back_vgg()
    styles = {name: seen_by(judge, square(work.picture(), told.view)) for name, work in works.items()}
    rows: list[Row] = []
    strips: list[Image] = []
    with open_engine("ort", bundle, threads=told.threads) as engine:
        for size, path in tqdm([(size, path) for size in sizes for path in photos], unit="photo", disable=None):
            picture = load_picture(path)
            if picture.shape[1] < size[0] or picture.shape[0] < size[1]:
                continue
            frame = cut_to(picture, size)
            seen = _view(frame, told.view)
            photo = seen_by(judge, seen)
            for name, look in looks.items():
                for way, scale in ((USUAL, 1.0), (EVERY, RANGES["render_scale"][1])):
                    painted, ms = paint(engine, frame, Look(look.style, smoothing=0.0, render_scale=scale))
                    found = seen_by(judge, _view(painted, told.view))
                    figures = {
                        "style": float(style_distance_of(found, styles[name])),
                        "content": float(content_distance_of(found, photo)),
                        "sharpness": sharpness(painted),
                        "ms": ms,
                    }
                    rows.append(Row(_words(size), way, path.name, name, figures))
                    if not any(row.size == _words(size) and row.photo != path.name for row in rows):
                        strips.append(_middle(painted))
    if missing := [_words(size) for size in sizes if _words(size) not in {row.size for row in rows}]:
        raise InputError(f"no photo of {told.photos} is as large as {missing[0]}; add one, or leave the size out")
    if told.sheet:
        _write_sheet(told.sheet, strips, 2 * len(looks))
    return {
        "bundle": bundle.id,
        "load": load,
        "threads": told.threads,
        "view": told.view,
        "photos": {size: len({row.photo for row in rows if row.size == size}) for size in map(_words, sizes)},
        "styles": list(looks),
        "working": {_words(size): _words(working_size(size[1], size[0])[::-1]) for size in sizes},
        "rows": [{"size": r.size, "way": r.way, "photo": r.photo, "style": r.style, **r.figures} for r in rows],
        "means": means(rows),
        "bars": [bar.told() for bar in bars(means(rows))],
    }


def paint(engine: Engine, frame: Image, look: Look) -> tuple[Image, float]:
    """The painting, and the milliseconds it took, after one that warms up."""
    engine.stylise(frame, look)
    begin = time.perf_counter()
    painted = engine.stylise(frame, look)
    return painted, (time.perf_counter() - begin) * 1000


def find_photos(folder: Path) -> list[Path]:
    """The pictures of a folder, by name. Raises InputError if there is none."""
    found = pictures_of(folder)
    if not found:
        raise InputError(f"{folder} holds no photos; give a folder with .jpg, .png or .webp files")
    return found


def means(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """By size, way and figure; of the times the median."""
    told: dict[str, dict[str, dict[str, float]]] = {}
    for size in dict.fromkeys(row.size for row in rows):
        for way in (USUAL, EVERY):
            here = [row.figures for row in rows if (row.size, row.way) == (size, way)]
            told.setdefault(size, {})[way] = {
                name: float((np.median if name == "ms" else np.mean)([figures[name] for figures in here]))
                for name in FIGURES
            }
    return told


def bars(told: dict[str, dict[str, dict[str, float]]]) -> list[Bar]:
    """The usual way may be so much worse than every pixel."""
    return [
        Bar(f"{size}: {figure} distance, {USUAL} / {EVERY}", ratio(of[USUAL][figure], of[EVERY][figure]), WORSE_BAR)
        for size, of in told.items()
        for figure in ("style", "content")
    ]


def print_report(report: dict[str, Any]) -> None:
    print(f"\n{'size':<11}{'painted at':<12}{'way':<13}{'style':>8}{'content':>9}{'sharpness':>11}{'ms':>8}")
    for size, ways in report["means"].items():
        for way, of in ways.items():
            at = report["working"][size] if way == USUAL else size
            numbers = f"{of['style']:>8.3f}{of['content']:>9.3f}{of['sharpness']:>11.0f}{of['ms']:>8.0f}"
            print(f"{size:<11}{at:<12}{way:<13}{numbers}")
    for bar in report["bars"]:
        print(bar["line"])


@torch.no_grad()
def seen_by(judge: FeatureNetwork, image: Image) -> Features:
    return judge(to_tensor(image))


def _view(image: Image, height: int) -> Image:
    width = round(image.shape[1] * height / image.shape[0])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _words(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _middle(image: Image, width: int = 480, height: int = 360) -> Image:
    top, left = max(0, (image.shape[0] - height) // 2), max(0, (image.shape[1] - width) // 2)
    return image[top : top + height, left : left + width]


def _write_sheet(path: Path, strips: list[Image], columns: int) -> None:
    least = min(strip.shape[0] for strip in strips), min(strip.shape[1] for strip in strips)
    cut = [strip[: least[0], : least[1]] for strip in strips]
    rows = [np.concatenate(cut[first : first + columns], 1) for first in range(0, len(cut), columns)]
    if not cv2.imwrite(str(path), np.concatenate(rows)[:, :, ::-1]):
        raise InputError(f"{path} cannot be written; give a .png or .jpg in a folder that exists")


if __name__ == "__main__":
    sys.exit(main())
