"""brushcast image --method gatys: one picture, painted by optimisation (Gatys et al. 2015), as slow as it is good."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from engines.api import check_threads
from engines.artworks import find_artwork, load_artworks
from engines.bundle import near
from engines.errors import SinkError, StyleError
from engines.paths import expanded, is_folder, is_there
from engines.pictures import FORMATS, load_photo, load_picture
from engines.registry import missing_package
from engines.styles import STYLE_FILE_SUFFIX
from engines.training.gatys_recipe import (
    CONTENT,
    LOSS_NETWORK,
    OPTIMISERS,
    PAINTING,
    STARTS,
    STYLE,
    Canvas,
    Recipe,
    layer_weights,
    painting_size,
    scales_for,
)
from engines.training.recipes import LOSS_NETWORKS
from realtime.commands import painting
from realtime.frames import Image
from realtime.pictures import save_picture

METHOD = "gatys"
LONGEST_PX = 512
SNAPSHOT_STEPS = 25
# Chosen by eye, with oil and woodcut at 224 to 256 pixels: with a weight of 10, let alone the yardstick's 30, faces go;
# without smoothness flat places get coloured grain.
STEPS, STYLE_WEIGHT, TOTAL_VARIATION = 300, 4.0, 5.0
STEPS_FROM_PAINTING = 60  # a painting is near already
# Options of the other method that mean the same here, by their names in the parsed arguments.
_SHARED = frozenset({"style", "stroke", "keep_colours", "provider", "threads", "json", "method"})


@dataclass(frozen=True, slots=True)
class _Part:
    """A style as it was asked for, with its weight."""

    name: str
    picture: Image
    weight: float


def add_arguments(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Add the options that only this method has; returns their names in the parsed arguments."""
    group = parser.add_argument_group(
        f"only with --method {METHOD}",
        "The picture itself is optimised, for minutes: content as in the photo, strokes and colours as in the style. "
        "Ctrl-C ends it and writes the best so far.",
    )
    actions = [
        group.add_argument(
            "--steps",
            type=painting.count,
            metavar="N",
            help=f"(default {STEPS}; with --start {PAINTING} {STEPS_FROM_PAINTING})",
        ),
        group.add_argument(
            "--style-weight",
            type=float,
            default=STYLE_WEIGHT,
            metavar="W",
            help="of the style's loss beside the content's (default %(default)g)",
        ),
        group.add_argument(
            "--mix",
            action="append",
            metavar="NAME|PICTURE[=W]",
            help="another style, with its weight beside --style's, which is 1; may be given several times",
        ),
        group.add_argument(
            "--longest-side",
            type=painting.count,
            default=LONGEST_PX,
            metavar="PX",
            help="of the picture while it is optimised; a larger one is painted smaller, enlarged, and gets half of "
            "its own fine detail back (default %(default)s). Output size is input size",
        ),
        group.add_argument(
            "--optimiser", choices=OPTIMISERS, default="lbfgs", help="(default %(default)s; adam: less memory)"
        ),
        group.add_argument(
            "--loss-network",
            choices=LOSS_NETWORKS,
            default=LOSS_NETWORK,
            help="whose features tell content and style; hed's, trained to find edges, draws outlines (default "
            "%(default)s)",
        ),
        group.add_argument(
            "--start",
            choices=STARTS,
            default="photo",
            help=f"what it begins with (default %(default)s; {PAINTING}: what --model paints in --style, which needs "
            "fewer steps)",
        ),
        group.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default %(default)s)"),
        group.add_argument(
            "--content-layers",
            metavar="LAYER[=SHARE],...",
            help="relu1_1 to relu5_1; deeper ones keep less of the photo (default relu4_1)",
        ),
        group.add_argument(
            "--style-layers",
            metavar="LAYER[=SHARE],...",
            help="shallow ones make colours and fine strokes, deep ones large shapes (default: all five alike)",
        ),
        group.add_argument(
            "--total-variation",
            type=float,
            default=TOTAL_VARIATION,
            metavar="W",
            help="weight of smoothness (default %(default)g)",
        ),
        group.add_argument("--snapshots", type=Path, metavar="FOLDER", help="keep a PNG of every few steps there"),
        group.add_argument(
            "--snapshot-every",
            type=painting.count,
            default=SNAPSHOT_STEPS,
            metavar="N",
            help="steps from one to the next (default %(default)s)",
        ),
    ]
    return frozenset(action.dest for action in actions)


def allowed(args: argparse.Namespace) -> frozenset[str]:
    """Options of the other method that may be given, by their names in the parsed arguments."""
    return _SHARED | {"model"} if args.start == PAINTING else _SHARED


def run(args: argparse.Namespace) -> int:
    """Paint it. Raises what `painting.opened` does, SinkError; KeyboardInterrupt with the best so far kept."""
    if args.steps is None:
        args.steps = STEPS_FROM_PAINTING if args.start == PAINTING else STEPS
    photo, opacity = load_photo(args.input)
    parts = _styles(args)
    height, width = photo.shape[:2]
    canvas = Canvas(args.longest_side, args.stroke, args.keep_colours)
    size = painting_size(height, width, canvas.longest_px)
    recipe = _recipe(args, size)
    begin = time.perf_counter()
    work, network = _opened(args, photo, parts, recipe, canvas)
    if size != (height, width):
        more = height * width / (size[0] * size[1])
        painting.tell(
            f"optimised at {size[1]}x{size[0]}, enlarged to {width}x{height} with half of the picture's own fine "
            f"detail; --longest-side {max(height, width)} optimises every pixel and takes {more:.1f} times as long"
        )
    first = _painted(args, photo) if args.start == PAINTING else None
    with _Sitting(args, work) as sitting:
        try:
            painted = work.paint(network, sitting.see, first)
        except KeyboardInterrupt:
            if (last := sitting.last) is not None:
                save_picture(work.picture(last.best), args.output, opacity)
                painting.tell(f"ended at step {last.number} of {recipe.steps}; the best so far is in {args.output}")
            raise
    save_picture(painted, args.output, opacity)
    _print(args, parts, size, sitting.last, (height, width), time.perf_counter() - begin)
    return 0


class _Sitting:
    """What is shown and kept while the painting is made: the bar with its loss, and snapshots."""

    def __init__(self, args: argparse.Namespace, work: Any) -> None:
        self.last: Any = None
        self._work, self._every = work, args.snapshot_every
        self._folder: Path | None = args.snapshots
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SinkError(f"{self._folder} cannot be made ({error.strerror}); give a folder") from error
        self._bar = painting.progress(args.steps, METHOD, "step")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def see(self, step: Any) -> None:
        self.last = step
        self._bar.set_postfix_str(f"loss {step.parts.loss:.3f}", refresh=False)
        self._bar.update()
        if self._folder is not None and step.number % self._every == 0:
            save_picture(self._work.picture(step.best), self._folder / f"{step.number:05d}.png")


def _recipe(args: argparse.Namespace, size: tuple[int, int]) -> Recipe:
    return Recipe(
        steps=args.steps,
        style_weight=args.style_weight,
        total_variation=args.total_variation,
        optimiser=args.optimiser,
        start=args.start,
        seed=args.seed,
        scales=scales_for(*size, args.start),
        content=CONTENT if args.content_layers is None else layer_weights(args.content_layers),
        style=STYLE if args.style_layers is None else layer_weights(args.style_layers),
    )


def _opened(
    args: argparse.Namespace, photo: Image, parts: list[_Part], recipe: Recipe, canvas: Canvas
) -> tuple[Any, Any]:
    """The painting to be made and the loss network. torch and h5py come with an extra, so they are asked for here."""
    check_threads(args.threads)
    try:
        pictures = import_module("engines.training.gatys_picture")
        device = import_module("engines.torch_device").device_name(args.provider)
        if args.threads is not None:
            import_module("torch").set_num_threads(args.threads)
        styles = [(part.picture, part.weight) for part in parts]
        room = pictures.bytes_there(device)
        work = pictures.Painting(photo, styles, recipe, canvas, device=device, room=room)
        network = import_module("engines.training.features").load_loss_network(args.loss_network)
    except ModuleNotFoundError as error:
        raise missing_package(error, "train") from error
    return work, network.to(device)


def _painted(args: argparse.Namespace, photo: Image) -> Image:
    """What the model paints in the first style, on the same device; colours are kept at the end, not here."""
    others = {"engine": "torch", "keep_colours": 0.0}
    with painting.opened(argparse.Namespace(**vars(args) | others)) as painter:
        return painter.engine.stylise(photo, painter.control.setting.look)


def _styles(args: argparse.Namespace) -> list[_Part]:
    if args.style is None:
        raise StyleError(f"--method {METHOD} needs a --style: a named one (see `brushcast styles`) or a picture")
    return [_part(args.style, 1.0), *(_part(*_weighted(text)) for text in args.mix or ())]


def _weighted(text: str) -> tuple[str, float]:
    """ "red-fuji=0.5" -> ("red-fuji", 0.5); without a number behind the last "=" the weight is 1"""
    name, stands, number = text.rpartition("=")
    try:
        weight = float(number) if stands else 1.0
    except ValueError:  # a "=" of the file's name
        return text, 1.0
    if not 0 < weight < math.inf:
        raise StyleError(f"the weight of {name!r} is {number}; it must be a number above 0")
    return (name, weight) if stands else (text, 1.0)


def _part(text: str, weight: float) -> _Part:
    """A work by its name, or a picture file. Raises StyleError."""
    works = load_artworks()
    if text.lower() in {work.name for work in works}:
        work = find_artwork(text.lower(), works)
        return _Part(work.name, work.picture(), weight)
    path = expanded(text)
    if path.suffix.lower() == STYLE_FILE_SUFFIX or is_folder(path):
        kind = "a folder" if is_folder(path) else "a style file"
        raise StyleError(f"{text} is {kind}; --method {METHOD} needs a picture ({FORMATS}) or a named style")
    if not is_there(path) and not path.suffix and len(path.parts) == 1:
        raise StyleError(f"no style {text!r}; {near(text, [work.name for work in works])} (or give a picture file)")
    return _Part(path.stem, load_picture(path), weight)


def _print(
    args: argparse.Namespace,
    parts: list[_Part],
    size: tuple[int, int],
    last: Any,
    output: tuple[int, int],
    took_s: float,
) -> None:
    height, width = output
    loss = last.parts
    if not args.json:
        how = f"{METHOD}, {args.steps} steps, loss {loss.loss:.3f}"
        print(f"painted {args.output}: {width}x{height} in {took_s:.0f} s ({how})")
        return
    whole = sum(part.weight for part in parts)
    painting.print_json(
        {
            "output": str(args.output),
            "width_px": width,
            "height_px": height,
            "seconds": round(took_s, 4),
            "method": METHOD,
            "steps": args.steps,
            "start": args.start,
            "loss_network": args.loss_network,
            "optimised_width_px": size[1],
            "optimised_height_px": size[0],
            "styles": [{"name": part.name, "share": round(part.weight / whole, 4)} for part in parts],
            "loss": loss.loss,
            "content_loss": loss.content,
            "style_loss": loss.style,
        }
    )
