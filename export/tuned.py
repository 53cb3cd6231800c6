"""Before a style is baked: the network is trained on for its picture alone (`engines.training.tune`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.artworks import Artwork, described, find_artwork, load_artworks
from engines.errors import InputError, StyleError
from engines.nets.style_kernel import StyleKernelNet
from engines.paths import expanded, is_file
from engines.pictures import load_picture, thumbnail_of
from engines.styles import STYLE_FILE_SUFFIX, Style
from engines.training.features import calibrated
from engines.training.fit_bundle import MOST_MEASURED, middle, scaled
from engines.training.tune import WAY, tune
from engines.training.winograd import quicken
from export.ready import Wanted
from export.source import Source, open_source
from export.writer import write_dynamic

Image = NDArray[np.uint8]
TOLD_EVERY = 50  # steps


def write_tuned(
    source: Source,
    style: str,
    folder: Path,
    *,
    photos: Sequence[Image],
    steps: int,
    device: str = "cpu",
    tell: Callable[[str], None] = print,
) -> tuple[Source, Style]:
    """Tune a source's network to a picture, and write it as a dynamic bundle to `folder`: that one, and its style.

    style: the name of a work that comes with the program, or a picture's file. photos: RGB uint8 (h, w, 3), of any
    sizes; what is painted while the network learns. Raises InputError (not a network of style kernels; no such device),
    StyleError, EngineError (it came to no numbers; parity).
    """
    net = source.net
    if not isinstance(net, StyleKernelNet):
        raise InputError("--tune is for networks of style kernels, such as live and studio; leave it out")
    name, picture, work = picture_of(style)
    try:
        net = net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        half = torch.device(device).type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {device}: {reason}") from error
    squares = torch.cat([(255 * middle(photo)).round().clamp(0, 255).to(torch.uint8) for photo in photos])
    usual = squares[:: max(1, len(squares) // MOST_MEASURED)][:MOST_MEASURED].float() / 255
    network = calibrated(WAY.loss_network, usual)
    precision = torch.bfloat16 if half else torch.float32
    network.to(device=device, dtype=precision, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not half:
        quicken(network)
    begin, count, sums = time.perf_counter(), 0, dict.fromkeys(("style", "content"), 0.0)

    def told(terms: dict[str, float]) -> None:
        nonlocal count
        count += 1
        for key in sums:
            sums[key] += terms[key]
        if count % TOLD_EVERY == 0:
            means = ", ".join(f"{key} {total / TOLD_EVERY:.3f}" for key, total in sums.items())
            tell(f"tuned {count} of {steps} steps: {means}; {(time.perf_counter() - begin) / count:.2f} s a step")
            sums.update(dict.fromkeys(sums, 0.0))

    tell(f"tuning to {name}, {steps} steps")
    image = scaled(picture).to(device)
    tuned, tensors = tune(net, image, squares, steps, network=network, half=half, tell=told)
    seconds = round(time.perf_counter() - begin)
    base = source.bundle.id if source.bundle is not None else "a checkpoint"
    training = {**source.training, "tuned_from": base, "tuned_steps": steps, "tuned_seconds": seconds}
    whole, _ = write_dynamic(Source(tuned.cpu(), training), folder, name=name, wanted=Wanted(), tell=tell)
    arrays = {key: value.cpu().numpy().astype(np.float32) for key, value in tensors.items()}
    made = Style(name, arrays, thumbnail_of(picture), whole.id, title=name)
    return open_source(str(whole.folder)), made if work is None else described(made, work)


def picture_of(style: str) -> tuple[str, Image, Artwork | None]:
    """The name and the picture, RGB uint8 (h, w, 3), of a style, and the work if it is one.

    style: the name of a work, or a picture's file. Raises StyleError.
    """
    path = expanded(style)
    if not is_file(path):
        if path.suffix or len(path.parts) > 1:
            raise StyleError(f"{style} is no file; give a picture, or the name of a work")
        work = find_artwork(style, load_artworks())
        return work.name, work.picture(), work
    if path.suffix.lower() == STYLE_FILE_SUFFIX:
        raise StyleError(f"{path} is a style file, and tuning needs the picture itself; give that")
    return path.stem, load_picture(path), None
