"""What each faster path costs in quality: kernels computed seldom, and int8, beside everything for every frame in fp32.

    python scripts/faster_paths.py CLIPS --json build/faster.json

Clips are painted frame by frame, all ways in turn, each with a memory of its own. Told are: the time per frame and the
ratio to the first way's, the warping error (x 1000) and the sharpness of the moving parts, style and content distance
of the last painting by a network that no training used, and the mean and the largest difference from the first way's
paintings in steps of 255. Times are medians over clips of a clip's mean (without its first frames), because with
kernels computed seldom frames are not equally long; the rest are means over clips. Each clip is painted in one style,
in turn.

int8 is that of `brushcast-export onnx --precision int8`, calibrated on frames of the clips in every style; each graph
by itself.

Exit code 0 if it could be measured; 2 on errors.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from clips import find_clips, parse_size, read_clip
from large_frames import seen_by
from numpy.typing import NDArray
from promises import ratio, run
from roofline_report import versions
from tqdm import tqdm

from engines.api import Engine, Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle, seal
from engines.errors import InputError
from engines.ort import OrtEngine
from engines.styles import Style
from engines.training.data import square
from engines.training.held_back import load_held_back_vgg
from engines.training.metrics import content_distance_of, style_distance_of
from engines.training.steadiness import SteadinessMeter, source_motion
from export.calibration import Feeds, calibration
from export.checks import checked
from export.graph import stored_whole
from export.metadata import read_graph
from export.quantise import quantised_graph
from realtime.machine import machine, machine_load

Image = NDArray[np.uint8]
REFERENCE = "kernels every frame"
INTERVALS = (2, 3, 4, 8)
GUIDE, FRAME = "guide", "frame"
CALIBRATION_FRAMES = 3  # of a clip, in each style
WARM_UP_FRAMES = 4
FIGURES = ("ms", "ratio", "warping_error", "sharpness_moving", "style", "content", "mean", "most")


@dataclass
class Way:
    """One way to paint, and what it did."""

    name: str
    engine: Engine
    interval: int
    figures: list[dict[str, float]] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the clips")
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--styles", default="cafe-terrace,red-fuji", help="(default: %(default)s)")
    parser.add_argument("--size", default="640x360", help="of the clips' frames (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=24, help="frames of each clip (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=0, help="only this many clips, 0: all (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return run("faster_paths", parser.parse_args(arguments), measure, print_report)


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON. Raises BrushcastError."""
    if told.frames <= WARM_UP_FRAMES or told.threads < 1:
        raise InputError(f"frames must be more than {WARM_UP_FRAMES}, threads at least 1")
    load = machine_load()
    cv2.setNumThreads(told.threads)
    torch.set_num_threads(told.threads)
    size = parse_size(told.size)
    clips = find_clips(told.folder)[: told.clips or None]
    bundle = Bundle.load(told.model)
    styles = [bundle.style(name) for name in told.styles.split(",")]
    with TemporaryDirectory() as folder:
        ways = open_ways(bundle, styles, clips, size, Path(folder), told.threads)
        judge = Judge(styles)
        for number, clip in enumerate(tqdm(clips, unit="clip", disable=None)):
            frames = list(read_clip(clip, size, told.frames))
            if len(frames) <= WARM_UP_FRAMES:
                raise InputError(f"{clip} has {len(frames)} frames; clips must have more than {WARM_UP_FRAMES}")
            paint_clip(ways, styles[number % len(styles)], frames, judge)
        for way in ways:
            way.engine.close()
    return {
        "bundle": bundle.id,
        "machine": asdict(machine()),
        **versions(),
        "load": load,
        "threads": told.threads,
        "size": told.size,
        "frames": told.frames,
        "clips": [clip.name for clip in clips],
        "styles": told.styles.split(","),
        "ways": {way.name: means(way) for way in ways},
    }


def open_ways(
    bundle: Bundle, styles: Sequence[Style], clips: Sequence[Path], size: tuple[int, int], folder: Path, threads: int
) -> list[Way]:
    """The reference first. folder: where quantised bundles are written."""

    def way(name: str, of: Bundle, interval: int) -> Way:
        return Way(name, OrtEngine(of, threads=threads), interval)

    ways = [way(REFERENCE, bundle, 1)]
    ways += [way(f"kernels every {interval} frames", bundle, interval) for interval in INTERVALS]
    for graphs in ((GUIDE,), (FRAME,)):
        seen = calibration(bundle.guide_graph, [style.tensors for style in styles], calibration_frames(clips, size))
        narrow = quantised(bundle, graphs, list(seen), folder / "-".join(graphs))
        ways.append(way(f"every frame, {' and '.join(graphs)} int8", narrow, 1))
    return ways


def calibration_frames(clips: Sequence[Path], size: tuple[int, int]) -> Iterator[Image]:
    """Some frames of every second clip."""
    for clip in clips[::2]:
        yield from islice(read_clip(clip, size, 0), 0, 10 * CALIBRATION_FRAMES, 10)


def quantised(bundle: Bundle, graphs: Sequence[str], feeds: Sequence[Feeds], folder: Path) -> Bundle:
    """A copy of the bundle in `folder`, the convolutions of `graphs` in int8."""
    shutil.copytree(bundle.folder, folder)
    for name in graphs:
        path = {GUIDE: folder / bundle.guide_graph.name, FRAME: folder / bundle.frame_graph.name}[name]
        full = checked(stored_whole(read_graph(path)), path.name, native=False)
        onnx.save_model(quantised_graph(full, feeds), path)
    return seal(folder, bundle.manifest)


class Judge:
    """Style and content distances by the held-back network."""

    def __init__(self, styles: Sequence[Style]) -> None:
        self._network = load_held_back_vgg()
        works = load_artworks()
        self._styles = {
            style.name: seen_by(self._network, square(find_artwork(style.name, works).picture(), 384))
            for style in styles
        }

    def of(self, painting: Image, frame: Image, style: str) -> dict[str, float]:
        seen = seen_by(self._network, painting)
        return {
            "style": float(style_distance_of(seen, self._styles[style])),
            "content": float(content_distance_of(seen, seen_by(self._network, frame))),
        }


def paint_clip(ways: Sequence[Way], style: Style, frames: Sequence[Image], judge: Judge) -> None:
    """All ways in turn on one clip; their figures are appended to them."""
    meters = [SteadinessMeter() for _ in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    differences: list[list[float]] = [[] for _ in ways]
    most = [0.0 for _ in ways]
    paintings: list[Image] = []
    for way in ways:
        way.engine.reset()
    for number, frame in enumerate(frames):
        motion = source_motion(frames[number - 1], frame) if number else None
        paintings = []
        for place, way in enumerate(ways):
            begin = time.perf_counter()
            paintings.append(way.engine.stylise(frame, Look(style, kernel_interval=way.interval)))
            seconds[place].append(time.perf_counter() - begin)
            meters[place].add(paintings[place], motion)
            off = cv2.absdiff(paintings[place], paintings[0])
            differences[place].append(float(off.mean()))
            most[place] = max(most[place], float(off.max()))
    times = [1000 * float(np.mean(took[WARM_UP_FRAMES:])) for took in seconds]
    for place, way in enumerate(ways):
        steady = meters[place].result()
        way.figures.append(
            {
                "ms": times[place],
                "ratio": ratio(times[place], times[0]),
                "warping_error": steady.warping_error,
                "sharpness_moving": steady.sharpness_moving,
                **judge.of(paintings[place], frames[-1], style.name),
                "mean": float(np.mean(differences[place])),
                "most": most[place],
            }
        )


def means(way: Way) -> dict[str, float]:
    """Over clips; of times and their ratios the median, of the largest difference the largest."""
    how = {"ms": np.median, "ratio": np.median, "most": np.max}
    return {name: float(how.get(name, np.nanmean)([row[name] for row in way.figures])) for name in FIGURES}


def print_report(report: dict[str, Any]) -> None:
    print(f"\n{len(report['clips'])} clips at {report['size']}, {report['frames']} frames of each")
    heads = ("ms", "ratio", "warping", "sharp", "style", "content", "mean", "most")
    print(f"{'':<28}{''.join(f'{head:>9}' for head in heads)}")
    for name, figures in report["ways"].items():
        cells = "".join(
            f"{figures[figure]:>9.{digits}f}" for figure, digits in zip(FIGURES, (1, 2, 3, 0, 3, 3, 2, 0), strict=True)
        )
        print(f"{name:<28}{cells}")


if __name__ == "__main__":
    sys.exit(main())
