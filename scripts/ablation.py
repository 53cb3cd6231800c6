"""What each part of the style-kernel network is worth: the same short training without it, judged on the same pairs.

    python scripts/ablation.py DATA --out build/ablation --steps 500

Every variant starts from the same seed and gets the same steps, pictures and losses (`scripts/train.py live`), then
paints the same held-out pairs. One short run each: a difference of a few per cent may be chance, and a part that needs
long training to pay shows little. OUT keeps the runs, by their DATA, steps and options; a rerun with the same ones
trains only what is missing. Beside them: ablation.json,
ablation.md and sheet.png (a row for each pair, a column for each variant).

Exit code 0 if it could be measured, 2 on errors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from promises import write_json

from engines.errors import BrushcastError, InputError, SinkError
from engines.guide import guide_size
from engines.nets.ablation import remove
from engines.nets.style_kernel import StyleKernelNet, build
from engines.training import checkpoints, warping
from engines.training.evaluation import HeldOut, Image, Pair, StyleIndex, draw_pairs, to_image, to_tensor
from engines.training.held_back import load_held_back_vgg
from engines.training.metrics import FeatureNetwork, content_distance_of, style_statistics
from engines.training.palette import projected_quantiles, quantile_distance

# Column, the part that is taken out, and further options of the training.
VARIANTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("whole", "", ()),
    ("no SAE: the mean style", "sae", ()),
    ("no CGM", "cgm", ()),
    ("no GS", "gs", ()),
    ("one kernel for the frame", "places", ()),
    ("full 2-D kernels", "separability", ()),
    ("no REMD", "", ("--remd", "0")),
    ("no temporal loss", "", ("--temporal", "0")),
)
FIGURES = ("style", "content", "palette", "flicker")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with content/ and style/, the held-out pictures among them")
    parser.add_argument("--out", type=Path, default=Path("build/ablation"), help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=500, help="of each training (default: 500)")
    parser.add_argument("--pairs", type=int, default=12, help="painted by each variant (default: 12)")
    parser.add_argument("--size", type=int, default=384, help="side of the pictures in px (default: 384)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("training", nargs="*", metavar="OPTION", help="after --: options of scripts/train.py, for all")
    told = parser.parse_intermixed_args(arguments)  # or DATA would have to stand beside the --
    try:
        if min(told.steps, told.pairs, told.threads) < 1:
            raise InputError("steps, pairs and threads must be at least 1")
        measure(told)
    except BrushcastError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(told: argparse.Namespace) -> None:
    """Train what is missing, paint, judge, write. Raises BrushcastError."""
    torch.set_num_threads(told.threads)
    pictures = HeldOut(told.data, told.size)
    pairs = draw_pairs(pictures.photos, pictures.styles, told.pairs)
    told.out.mkdir(parents=True, exist_ok=True)
    nets = {name: trained(told, number, part, more) for number, (name, part, more) in enumerate(VARIANTS)}
    judge = load_held_back_vgg()
    index = StyleIndex(judge, ((name, pictures.picture(name)) for name in pictures.styles))
    figures: dict[str, dict[str, float]] = {}
    columns: list[list[Image]] = []
    for name, net in nets.items():
        rows = [judged(net, pictures, pair, judge, index) for pair in pairs]
        figures[name] = {key: float(np.mean([row[key] for row, _ in rows])) for key in FIGURES}
        columns.append([painting for _, painting in rows])
        print(f"{name:<26}" + "".join(f"{key} {value:.4g}  " for key, value in figures[name].items()), flush=True)
    settings: dict[str, Any] = {"steps": told.steps, "pairs": told.pairs, "size": told.size, "training": told.training}
    write_json(told.out / "ablation.json", {**settings, "figures": figures})
    _write_table(told.out / "ablation.md", settings, figures)
    sheet = np.concatenate([np.concatenate(column[:6], 0) for column in columns], 1)
    if not cv2.imwrite(str(told.out / "sheet.png"), cv2.resize(sheet, None, fx=0.5, fy=0.5)[:, :, ::-1]):
        raise SinkError(f"{told.out / 'sheet.png'} cannot be written")


def trained(told: argparse.Namespace, number: int, part: str, more: Sequence[str]) -> StyleKernelNet:
    """The averaged network of a variant, trained if it was not yet. Raises InputError (its training failed)."""
    # A run with other pictures, another number of steps or other options is another one: it must not pass for this.
    of = hashlib.sha256(json.dumps([str(told.data.resolve()), *more, *told.training]).encode()).hexdigest()[:8]
    folder = told.out / f"{number}-{part or 'whole'}-{told.steps}-{of}"
    checkpoint = folder / "checkpoint.pt"
    if not checkpoint.exists() or checkpoints.load(checkpoint)["step"] < told.steps:
        command = [sys.executable, str(Path(__file__).with_name("train.py")), "live", "--data", str(told.data)]
        command += ["--out", str(folder), "--steps", str(told.steps), "--threads", str(told.threads)]
        command += [*(("--without", part) if part else ()), *more, *told.training]
        if subprocess.run(command, check=False).returncode:
            raise InputError(f"the training in {folder} failed; its message stands above")
    kept = checkpoints.load(checkpoint)
    net = build(kept["config"])
    if part:
        remove(net, part)
    net.load_state_dict({name: weight.float() for name, weight in kept["ema"].items()})
    return net.eval()


@torch.no_grad()
def judged(
    net: StyleKernelNet, pictures: HeldOut, pair: Pair, judge: FeatureNetwork, index: StyleIndex
) -> tuple[dict[str, float], Image]:
    """Figures of one pair, and the painting.

    style, content: distances by a network no training used; palette: distance in CIE Lab; flicker: mean squared
    difference (x 1000, of 0..1) of the painting of a moved photo and the moved painting, both photos with noise.
    """
    photo, style = to_tensor(pictures.picture(pair.photo)), pictures.picture(pair.style)
    code = net.encode_style(to_tensor(style))
    guide = guide_size(*photo.shape[2:])  # as engines see a frame of this size
    painting = to_image(net(photo, code, guide))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        grid = warping.random_motion(1, *photo.shape[2:])
        now, after = warping.sensor_noise(photo), warping.sensor_noise(warping.warp(photo, grid, "bicubic").clamp(0, 1))
    moved = warping.warp(net(now, code, guide), grid, "bicubic")
    off = (net(after, code, guide) - moved).square().mean(1, keepdim=True)
    valid = warping.inside(grid)
    found = judge(to_tensor(painting))
    return {
        "style": index.distances(style_statistics(found))[pair.style],
        "content": float(content_distance_of(found, judge(photo))),
        "palette": quantile_distance(projected_quantiles(painting), projected_quantiles(style)),
        "flicker": 1000 * float((off * valid).sum() / valid.sum()),
    }, painting


def _write_table(path: Path, settings: dict[str, Any], figures: dict[str, dict[str, float]]) -> None:
    told = f"{settings['steps']} steps each, {settings['pairs']} held-out pairs at {settings['size']} px"
    lines = [f"Ablation: {told}; options for all: {json.dumps(settings['training'])}.", ""]
    lines += ["| | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{of[key]:.3f}" for key in FIGURES) + " |" for name, of in figures.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
