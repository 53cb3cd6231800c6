"""How steady the paintings of real clips are: Brushcast with smoothing off and on, the rival, and the clips themselves.

    python scripts/steadiness.py CLIPS --json build/steadiness.json

For every clip of the folder and every style, frame by frame and all methods in turn: the warping error (Lai et al.
2018), the sharpness of the whole frame and of its moving parts (variance of the Laplacian), the style distance (by the
loss network, on every --style-every-th frame) and the time per frame (the rival's: its network alone). The clips are
cut to the shape of --size and scaled. Figures are means over clips and styles; a clip's are means over its frames.

Exit code 0 if it could be measured, whether or not the bars are met; 1 with --strict if a bar is missed; 2 on errors.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from clips import find_clips, parse_size, read_clip
from numpy.typing import NDArray
from promises import Bar, ratio, run
from rivals import AnyStyle
from tqdm import tqdm

from engines.api import DEFAULT_SMOOTHING, Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle
from engines.errors import EngineError, InputError
from engines.pictures import shrink
from engines.registry import open_engine
from engines.training.steadiness import SteadinessMeter, source_motion
from realtime.machine import machine_load

Image = NDArray[np.uint8]
SOURCE, RIVAL, OFF, ON = "source", "rival any-style", "smoothing off", "smoothing on"
METHODS = (SOURCE, RIVAL, OFF, ON)
FIGURES = ("warping_error", "style_distance", "sharpness", "sharpness_moving", "ms_per_frame")
DEFAULT_STYLES = ("cafe-terrace", "red-fuji", "grande-jatte", "fuchun-mountains")


@dataclass
class Row:
    """What one method did on one clip in one style."""

    clip: str
    style: str
    method: str
    provider: str
    meter: SteadinessMeter = field(default_factory=SteadinessMeter)
    seconds: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        told = asdict(self.meter.result())
        told["style_distance"] = float(np.mean(self.distances)) if self.distances else math.nan
        # The first frames of a stream warm up; a median does not see them.
        told["ms_per_frame"] = float(np.median(self.seconds)) * 1000 if self.seconds else math.nan
        return {"clip": self.clip, "style": self.style, "method": self.method, "provider": self.provider, **told}


# Figure, the method it is of, what it is compared with, the ratio that was promised, whether at least that.
BARS = (
    ("warping_error", ON, RIVAL, 0.4, False),
    ("warping_error", ON, OFF, 0.6, False),
    ("style_distance", ON, OFF, 1.05, False),
    ("sharpness", ON, OFF, 0.9, True),
    ("sharpness_moving", ON, OFF, 0.9, True),
)

Painter = Callable[[Image], tuple[Image, float]]
Distance = Callable[[Image], float]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the clips")
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--styles", default=",".join(DEFAULT_STYLES), help="named styles, with commas between")
    parser.add_argument("--oil", type=float, default=0.0, help="see `brushcast image --help` (default: none)")
    parser.add_argument(
        "--smoothing", type=float, default=DEFAULT_SMOOTHING, help="what 'on' means (default: %(default)g)"
    )
    parser.add_argument(
        "--size", default="384x384", help="WxH; the rival works at 384 and scales up (default: 384x384)"
    )
    parser.add_argument("--frames", type=int, default=60, help="frames of each clip, 0: all (default: 60)")
    parser.add_argument("--clips", type=int, default=0, help="only this many clips, 0: all (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of every method (default: 2)")
    parser.add_argument("--provider", help="what runs Brushcast (default: cpu); the rival runs on the CPU")
    parser.add_argument("--style-every", type=int, default=10, help="style distance on every n-th frame (default: 10)")
    parser.add_argument("--no-style-distance", action="store_true", help="leave it out (needs no torch)")
    parser.add_argument("--no-rival", action="store_true", help="leave the rival out; its bar is then not measured")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed or not measured")
    return run("steadiness", parser.parse_args(arguments), measure, print_report)


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON. Raises BrushcastError."""
    size = parse_size(told.size)
    if told.threads < 1 or told.style_every < 1 or min(told.frames, told.clips) < 0:
        raise InputError("threads and style-every must be at least 1, frames and clips at least 0")
    load = machine_load()
    cv2.setNumThreads(told.threads)
    clips = find_clips(told.folder)[: told.clips or None]
    bundle = Bundle.load(told.model)
    styles = [name.strip() for name in told.styles.split(",") if name.strip()]
    if not styles:
        raise InputError("no style was named; name at least one of `brushcast styles`")
    setups = [Setup(name, bundle, told) for name in styles]
    rows: list[Row] = []
    try:
        with tqdm(clips, unit="clip", disable=None) as progress:
            for clip in progress:
                progress.set_postfix_str(clip.stem)
                rows += measure_clip(clip, size, setups, told)
    finally:
        for setup in setups:
            setup.close()
    figures = [row.figures() for row in rows]
    means = mean_figures(figures)
    return {
        "model": bundle.name,
        "bundle": bundle.id,
        "size": f"{size[0]}x{size[1]}",
        "threads": told.threads,
        "smoothing": told.smoothing,
        "oil": told.oil,
        "frames": told.frames,
        "clips": [clip.name for clip in clips],
        "styles": styles,
        "means": means,
        "load": load,
        "bars": [bar.told() for bar in judge(means)],
        "rows": figures,
    }


class Setup:
    """Everything that paints in one style: an engine for each smoothing (each has a memory of its own), the rival."""

    def __init__(self, name: str, bundle: Bundle, told: argparse.Namespace) -> None:
        self.name = name
        style = bundle.style(name)
        picture = find_artwork(name, load_artworks()).picture()
        self._off = open_engine("ort", bundle, threads=told.threads, provider=told.provider)
        self._on = open_engine("ort", bundle, threads=told.threads, provider=told.provider)
        self._looks = tuple(Look(style, smoothing=smoothing, oil=told.oil) for smoothing in (0.0, told.smoothing))
        self.distance: Distance | None = None if told.no_style_distance else style_distance_to(picture)
        self.painters: dict[str, tuple[str, Painter]] = {}
        if not told.no_rival:
            rival = AnyStyle(told.threads, picture, exact=True)
            self.painters[RIVAL] = (rival.provider, lambda image: self._paint_rival(rival, image))
        self.painters[OFF] = (self._off.provider, lambda image: self._paint(0, image))
        self.painters[ON] = (self._on.provider, lambda image: self._paint(1, image))

    def begin(self) -> None:
        """A new clip: nothing is remembered."""
        self._off.reset()
        self._on.reset()

    def close(self) -> None:
        self._off.close()
        self._on.close()

    def _paint(self, smoothed: int, image: Image) -> tuple[Image, float]:
        engine, look = (self._off, self._on)[smoothed], self._looks[smoothed]
        begin = time.perf_counter()
        painted = engine.stylise(image, look)
        return painted, time.perf_counter() - begin

    @staticmethod
    def _paint_rival(rival: AnyStyle, image: Image) -> tuple[Image, float]:
        prepared = rival.prepare(image)
        begin = time.perf_counter()
        out = rival.run(prepared)
        seconds = time.perf_counter() - begin
        return rival.finish(out, *image.shape[:2]), seconds


def measure_clip(clip: Path, size: tuple[int, int], setups: Sequence[Setup], told: argparse.Namespace) -> list[Row]:
    """All methods and styles on one clip. Raises SourceError, EngineError."""
    source = Row(clip.stem, "", SOURCE, "")
    rows = {
        (setup.name, method): Row(clip.stem, setup.name, method, provider)
        for setup in setups
        for method, (provider, _) in setup.painters.items()
    }
    for setup in setups:
        setup.begin()
    previous: Image | None = None
    frames = tqdm(
        read_clip(clip, size, told.frames), total=told.frames or None, leave=False, disable=None, unit="frame"
    )
    for number, image in enumerate(frames):
        motion = None if previous is None else source_motion(previous, image)
        source.meter.add(image, motion)
        for setup in setups:
            for method, (_, paint) in setup.painters.items():
                row = rows[setup.name, method]
                painted, seconds = paint(image)
                row.seconds.append(seconds)
                row.meter.add(painted, motion)
                if setup.distance is not None and number % told.style_every == told.style_every - 1:
                    row.distances.append(setup.distance(painted))
        previous = image
    if previous is None:
        raise InputError(f"{clip} has no frames; give clips that can be decoded")
    return [source, *rows.values()]


def style_distance_to(picture: Image) -> Distance:
    """A function that tells a painting's style distance to `picture`. Raises EngineError, InputError."""
    try:
        import torch  # noqa: PLC0415 (only where the style distance is wanted)

        from engines.training.features import load_loss_network  # noqa: PLC0415
        from engines.training.metrics import style_distance_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise EngineError(
            f'{error.name} is not installed; run: pip install "brushcast[train]", or leave out the style distance '
            "with --no-style-distance"
        ) from error
    network = _NETWORK[0] if _NETWORK else load_loss_network("hed")
    _NETWORK[:] = [network]

    def features(image: Image) -> dict[str, torch.Tensor]:
        batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float() / 255  # (1, 3, h, w)
        with torch.no_grad():
            told: dict[str, torch.Tensor] = network(batch)
        return told

    wanted = features(shrink(picture, 512))
    return lambda painted: float(style_distance_of(features(painted), wanted))


_NETWORK: list[Any] = []  # loaded once for all styles


def mean_figures(figures: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Method -> figure -> its mean over all clips and styles that have it."""
    means: dict[str, dict[str, float]] = {}
    for method in METHODS:
        rows = [row for row in figures if row["method"] == method]
        if rows:
            means[method] = {name: _mean([row[name] for row in rows]) for name in FIGURES}
    return means


def judge(means: dict[str, dict[str, float]]) -> list[Bar]:
    """The promised ratios, from what `mean_figures` gives."""
    bars: list[Bar] = []
    for figure, method, base, limit, at_least in BARS:
        value, other = (means.get(name, {}).get(figure, math.nan) for name in (method, base))
        bars.append(Bar(f"{figure.replace('_', ' ')}, {method} / {base}", ratio(value, other), limit, at_least))
    return bars


def print_report(report: dict[str, Any]) -> None:
    providers = sorted({row["provider"] for row in report["rows"]} - {""})
    print(
        f"\n{len(report['clips'])} clips at {report['size']}, {report['frames'] or 'all'} frames of each, styles:",
        end=" ",
    )
    print(f"{', '.join(report['styles'])}; {report['threads']} threads; providers that ran: {', '.join(providers)}")
    print(f"{'':<16}{'warping':>9}{'style':>8}{'sharp':>9}{'moving':>9}{'ms':>8}")
    for method, means in report["means"].items():
        cells = (_cell(means[name], width) for name, width in zip(FIGURES, (9, 8, 9, 9, 8), strict=True))
        print(f"{method:<16}{''.join(cells)}")
    for bar in report["bars"]:
        print(bar["line"])


def _mean(values: Sequence[float]) -> float:
    told = [value for value in values if not math.isnan(value)]
    return float(np.mean(told)) if told else math.nan


def _cell(value: float, width: int) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 3
    text = "-" if math.isnan(value) else f"{value:.{digits}f}"
    return f"{text:>{width}}"


if __name__ == "__main__":
    sys.exit(main())
