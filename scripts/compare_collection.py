"""What a collection is worth as a style: photos painted in all pictures of a folder, beside each picture by itself.

    python scripts/compare_collection.py PICTURES PHOTOS --photos-used 6 --json build/collection.json

PICTURES holds pictures by one hand, PHOTOS photos. Every painting is judged at 384x384 by a network that no training
used (`engines.training.held_back`): its style distance to all pictures of the folder seen as one ("to all"), to each of
them in the mean ("to each"), and its content distance to the photo. A painting in one picture is near to that picture;
the question is how near it is to the hand. The distance to each is relative to that picture's own size, so that plain
pictures weigh most; the bar is on the other.

Exit code 0 if it could be measured, whether or not the collection is the nearest; 1 with --strict if it is not; 2 on
errors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from promises import Bar, ratio, run
from tqdm import tqdm

from engines.api import Look
from engines.bundle import Bundle
from engines.collection import pictures_in, pooled
from engines.encoder import StyleEncoder
from engines.errors import InputError
from engines.pictures import load_picture
from engines.registry import open_engine
from engines.training.data import pictures_of, square
from engines.training.evaluation import to_tensor
from engines.training.held_back import load_held_back_vgg
from engines.training.metrics import StyleStatistics, content_distance_of, statistics_distance, style_statistics
from realtime.machine import machine_load

SIDE_PX = 384
ALL = "the collection"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of at least two style pictures")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--photos-used", type=int, default=6, metavar="N", help="spread over the folder (default: 6)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a single picture is nearer")
    return run("compare_collection", parser.parse_args(arguments), measure, print_report)


def measure(told: argparse.Namespace) -> dict[str, Any]:
    files = pictures_in(told.pictures)
    if len(files) < 2:
        raise InputError(f"{told.pictures} holds one picture; a collection to compare has at least two")
    photos = pictures_of(told.photos)
    if not photos or told.photos_used < 1:
        raise InputError(f"{told.photos} has no photos to use; it should hold .jpg, .png or .webp files")
    photos = photos[:: max(1, len(photos) // told.photos_used)][: told.photos_used]
    bundle = Bundle.load(told.model)
    if bundle.takes != "any":
        raise InputError(f"{told.model} knows its own styles only; give a model that takes any picture")
    pictures = {file.stem: square(load_picture(file), SIDE_PX) for file in files}
    encoder = StyleEncoder(bundle, threads=told.threads)
    styles = {name: encoder.encode(picture, name) for name, picture in pictures.items()}
    judge = load_held_back_vgg()
    with torch.no_grad():
        known = [style_statistics(judge(to_tensor(picture))) for picture in pictures.values()]
    together = seen_as_one(known)
    looks = {ALL: pooled(list(styles.values()), "collection"), **styles}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in looks}
    with (
        open_engine("ort", bundle, threads=told.threads) as engine,
        torch.no_grad(),
        tqdm(total=len(looks) * len(photos), unit="painting", disable=None) as bar,
    ):
        for file in photos:
            photo = square(load_picture(file), SIDE_PX)
            seen = judge(to_tensor(photo))
            for name, style in looks.items():
                engine.reset()
                painted = judge(to_tensor(engine.stylise(photo, Look(style, smoothing=0.0))))
                own = style_statistics(painted)
                rows[name].append(
                    {
                        "style": float(statistics_distance(own, together)),
                        "each": float(np.mean([float(statistics_distance(own, one)) for one in known])),
                        "content": float(content_distance_of(painted, seen)),
                    }
                )
                bar.update()
    means = {
        name: {figure: float(np.mean([row[figure] for row in found])) for figure in found[0]}
        for name, found in rows.items()
    }
    best = min((name for name in means if name != ALL), key=lambda name: means[name]["style"])
    against = ratio(means[ALL]["style"], means[best]["style"])
    return {
        "load": machine_load(),
        "model": bundle.name,
        "bundle": bundle.id,
        "photos": [file.name for file in photos],
        "means": means,
        "best_single": best,
        "bars": [
            Bar(
                "style distance to all pictures seen as one, the collection / the best single picture", against, 1.0
            ).told()
        ],
    }


def seen_as_one(known: Sequence[StyleStatistics]) -> StyleStatistics:
    """The statistics of pictures that lie side by side: means of means, and deviations by the law of total variance."""
    layers = []
    for parts in zip(*known, strict=True):
        means = torch.stack([mean for mean, _ in parts])  # (pictures, 1, c)
        squares = torch.stack([mean.square() + deviation.square() for mean, deviation in parts])
        mean = means.mean(0)
        layers.append((mean, (squares.mean(0) - mean.square()).clamp_min(0).sqrt()))
    return tuple(layers)


def print_report(report: dict[str, Any]) -> None:
    print(f"{report['model']} ({report['bundle']}), {len(report['photos'])} photos; less is better")
    print(f"{'painted in':40s} {'to all':>8s} {'to each':>8s} {'content':>8s}")
    for name, row in sorted(report["means"].items(), key=lambda item: item[1]["style"]):
        print(f"{name[:40]:40s} {row['style']:8.3f} {row['each']:8.3f} {row['content']:8.3f}")
    for bar in report["bars"]:
        print(bar["line"])


if __name__ == "__main__":
    sys.exit(main())
