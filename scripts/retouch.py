#!/usr/bin/env python3
"""Retouch a trained bundle's weights, in minutes and without training: its last layer loses its grid.

    scripts/retouch.py live --data DATA --out build/live.pt
    brushcast-export onnx build/live.pt -o build/live

`engines.training.even_phases` tells how. --scale PART=FACTOR multiplies a part's weights first: decoder.skip, which
brings the frame's edges past the kernels to style kernels' paintings, weighs likeness to the photo against style.
--mix CHECKPOINT=SHARE, before that, goes that share of the way to other weights of the same network: those that a
training began with keep what it forgot (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

DATA holds content/ (photos) and style/ (pictures), as for scripts/train.py; a model of named styles is shown its own.
OUT becomes a checkpoint of the network with the other weights. The phases' sharpness is printed, before and after, on
the paintings that it was measured on and on others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError
from engines.guide import guide_size
from engines.nets.blocks import UpConv
from engines.nets.catalogue import StyleNet
from engines.torch_eager import load_network
from engines.training import checkpoints, data
from engines.training.even_phases import Patches, evened, phase_powers

SAMPLES = 128
CROP_PX = 256
_BORDER = 6  # features at the edge see what is repeated outside the picture


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a bundle: a name or a folder")
    parser.add_argument("--data", type=Path, help="folder with content/ and style/")
    parser.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT", help="the file to write")
    parser.add_argument(
        "--samples", type=int, default=SAMPLES, metavar="N",
        help="paintings that it is measured on, half as many again to test it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--scale", nargs="+", default=[], metavar="PART=FACTOR", help="beginnings of weights' names, and by how much"
    )
    parser.add_argument("--mix", metavar="CHECKPOINT=SHARE", help="go SHARE (0..1) of the way to these weights first")
    parser.add_argument("--keep-phases", action="store_true", help="leave the last layer alone; for --scale and --mix")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args(arguments)
    try:
        retouch(told)
    except BrushcastError as error:
        print(f"retouch: {error}", file=sys.stderr)
        return error.exit_code
    return 0


@torch.no_grad()
def retouch(told: argparse.Namespace) -> None:
    """Measure, change the weights, write the checkpoint. Raises BrushcastError."""
    if min(told.samples, told.threads) < 1:
        raise InputError("samples and threads must be at least 1")
    if told.data is None and not told.keep_phases:
        raise InputError("give --data, a folder with content/ and style/ (or --keep-phases)")
    torch.set_num_threads(told.threads)
    torch.manual_seed(told.seed)
    bundle = Bundle.load(told.model)
    net = load_network(bundle).requires_grad_(requires_grad=False)
    if told.mix:
        mix(net, bundle, told.mix)
    for text in told.scale:
        scale(net, text)
    if not told.keep_phases:
        even(net, bundle, told)
    training = bundle.manifest.get("training", {})
    checkpoints.save(
        told.out, net, checkpoints.Ema(net), torch.optim.Adam(net.parameters()),
        int(training.get("step", 0)), float(training.get("seconds", 0)),
        {"method": training.get("method", bundle.name), "style_names": list(bundle.manifest.get("table", ()))},
    )  # fmt: skip


def mix(net: StyleNet, bundle: Bundle, text: str) -> None:
    """Go the share of "CHECKPOINT=SHARE" of the way to its averaged weights.

    Raises InputError: no share, another network's weights, or a table of other styles.
    """
    path, _, share = text.rpartition("=")
    try:
        part = float(share)
    except ValueError:
        part = -1.0
    if not path or not 0 <= part <= 1:
        raise InputError(
            f"--mix {text} is no CHECKPOINT=SHARE with a share from 0 to 1, as runs/live/checkpoint.pt=0.5"
        )
    other = checkpoints.load_network(Path(path))
    if other.config != net.config:
        raise InputError(f"{path} is of another network; mix weights of one and the same")
    table = tuple(bundle.manifest.get("table", ()))
    if table and table != checkpoints.styles_of(checkpoints.load(Path(path))):
        raise InputError(f"{path} has learned other styles, or in another order; mix tables of the same")
    theirs = other.state_dict()
    for name, ours in net.state_dict().items():
        ours.lerp_(theirs[name].to(ours.dtype), part)


def scale(net: StyleNet, text: str) -> None:
    """Multiply the weights, not the biases, that "PART=FACTOR" names. Raises InputError: no weights, or no number."""
    part, _, factor = text.partition("=")
    weights = [weight for name, weight in net.named_parameters() if name.startswith(part) and name.endswith(".weight")]
    try:
        times = float(factor)
    except ValueError as error:
        raise InputError(f"--scale {text} is no PART=FACTOR, as decoder.skip=1.1") from error
    if not part or not weights:
        known = [name.removesuffix(".weight") for name, _ in net.named_parameters() if name.endswith(".weight")]
        raise InputError(f"--scale {text} names no weights; there are {', '.join(sorted(known))}")
    for weight in weights:
        weight.mul_(times)


def even(net: StyleNet, bundle: Bundle, told: argparse.Namespace) -> None:
    """Make the phases of the last layer equally sharp, and tell how sharp they were and are."""
    layer = last_layer(net)
    count = told.samples + max(1, told.samples // 2)
    seen = given(net, layer, samples(bundle, net, told.data, told.out.parent / "packed", count))
    own, others = Patches.of(islice(seen, told.samples)), Patches.of(seen)
    before = [phase_powers(layer, part) for part in (own, others)]
    layer.weight.copy_(evened(layer, own))
    after = [phase_powers(layer, part) for part in (own, others)]
    print("power of the detail in the phases (0,0) (0,1) (1,0) (1,1), of their mean; colours: red, green, blue")
    for name, was, is_ in zip(("seen", "others"), before, after, strict=True):
        for colour, one, other in zip("RGB", was.tolist(), is_.tolist(), strict=True):
            print(f"{name:7} {colour}  {_row(one)}  ->  {_row(other)}")


def last_layer(net: Any) -> UpConv:
    """What gives the painting. Raises InputError where no up-sampling does."""
    layers = [layer for name, layer in net.named_modules() if isinstance(layer, UpConv) and name.endswith("up1")]
    if len(layers) != 1:
        raise InputError("this network's paintings do not come out of an up-sampling; there is nothing to make even")
    return layers[0]


def samples(
    bundle: Bundle, net: StyleNet, folder: Path, packed: Path, count: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Photos (1, 3, CROP_PX, CROP_PX), each with a style's tensors."""
    photos = data.PictureSet(folder / "content", packed, "content")
    styles = styles_of(bundle, net, folder, packed)
    for _ in tqdm(range(count), desc="looking", unit="painting", disable=None):
        photo = data.random_crops(photos.images(photos.draw(1)), CROP_PX)
        yield photo, next(styles)


def styles_of(bundle: Bundle, net: StyleNet, folder: Path, packed: Path) -> Iterator[dict[str, Tensor]]:
    """The tensors of pictures at random, or of a model's own styles in turn; without end."""
    if bundle.takes == "any":
        pictures = data.PictureSet(folder / "style", packed, "style")
        while True:
            yield net.encode_style(pictures.images(pictures.draw(1)))
    for name in cycle(bundle.styles):
        yield {key: torch.from_numpy(value) for key, value in bundle.style(name).tensors.items()}


def given(net: Any, layer: UpConv, samples: Iterator[tuple[Tensor, dict[str, Tensor]]]) -> Iterator[Tensor]:
    """What the layer is given for each: (1, in, h, w), without the border."""
    caught: list[Tensor] = []
    convolve = layer.before_shuffle

    def catch(x: Tensor, *rest: Any, **told: Any) -> Tensor:
        caught.append(x[:, :, _BORDER:-_BORDER, _BORDER:-_BORDER])
        return convolve(x, *rest, **told)

    layer.before_shuffle = catch  # type: ignore[method-assign] - no hook sees it: networks do not call the layer itself
    try:
        for photo, style in samples:
            net(photo, style, guide_size(*photo.shape[2:]))
            yield caught.pop()
    finally:
        del layer.before_shuffle  # type: ignore[misc] - the instance's; the class's own is there again


def _row(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


if __name__ == "__main__":
    sys.exit(main())
