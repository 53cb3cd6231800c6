"""How good the paintings are: one table of Brushcast's bundles beside the rival, Gatys' optimisation and the photo.

    python scripts/evaluate.py DATA --out build/evaluation

DATA holds content/ and style/ with the held-out pictures (engines/training/held_out.txt: no training sees them), video/
with clips and, if there, flow_gt/ with MPI-Sintel. Photos and style pictures are middle squares of --size. A painting's
style, content and colours are judged by networks that no training used (`engines.training.evaluation` tells every
figure), its steadiness by the warping error on the clips, smoothing on and off.

Every figure is kept in OUT/rows.jsonl as soon as it is known: a rerun goes on where a run was cut off, and new weights
are measured anew. OUT gets evaluation.md, evaluation.json, sheet.png and plot.png.

Exit code 0 if it could be measured, whether or not the bars are met; 1 with --strict if a bar is missed or not
measured; 2 on bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from clips import find_clips
from evaluation_pictures import write_plot, write_sheet
from evaluation_report import Results, write_report
from evaluation_runs import Evaluation
from painters import METHODS, contestants
from promises import Bar

from engines.api import DEFAULT_SMOOTHING
from engines.errors import BrushcastError, InputError
from engines.training.evaluation import HeldOut, draw_pairs, load_judges
from engines.training.journal import Journal
from engines.training.true_motion import find_true_motions

LEAST_SIDE_PX = 256  # the grid needs as many frequencies


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with content/, style/, video/ and flow_gt/")
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder (default: build/evaluation)")
    parser.add_argument(
        "--models", default="", help="bundles: folders or names, commas between (default: live, studio)"
    )
    parser.add_argument("--methods", default=",".join(METHODS), help=f"some of {','.join(METHODS)} (default: all)")
    parser.add_argument("--pairs", type=int, default=64, help="photos painted by each method (default: 64)")
    parser.add_argument("--gatys-pairs", type=int, default=4, help="of them painted by Gatys, slowly (default: 4)")
    parser.add_argument("--gatys-steps", type=int, default=150, help="evaluations of its loss (default: 150)")
    parser.add_argument("--clips", type=int, help="only this many clips, 0: no steadiness (default: all)")
    parser.add_argument("--frames", type=int, default=40, help="frames of each clip, 0: all (default: 40)")
    parser.add_argument("--size", type=int, default=384, help="side of the pictures and clips in px (default: 384)")
    parser.add_argument("--sheet-pairs", type=int, default=8, help="rows of the sheet (default: 8)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs (default: 0)")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed or not measured")
    told = parser.parse_args(arguments)
    try:
        bars = evaluate(told)
    except BrushcastError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return error.exit_code
    return int(told.strict and not all(bar.met for bar in bars))


def evaluate(told: argparse.Namespace) -> list[Bar]:
    """Measure, print and write everything. Raises BrushcastError."""
    check(told)
    torch.set_num_threads(told.threads)
    pictures = HeldOut(told.data, told.size)
    clips = [] if told.clips == 0 else find_clips(told.data / "video")[: told.clips]
    films = find_true_motions(told.data / "flow_gt") if clips else []
    who = contestants(_names(told.methods), _names(told.models), told.threads, told.gatys_steps)
    pairs = draw_pairs(pictures.photos, pictures.styles, told.pairs, told.seed)
    evaluation = Evaluation(
        Journal(told.out / "rows.jsonl"), pictures, told.size, told.seed, cache(load_judges), told.out / "paintings"
    )
    try:
        rows = evaluation.photos(who, pairs, told.gatys_pairs, told.sheet_pairs)
        rows += evaluation.clips(who, clips, told.frames)
        rows += evaluation.true_motions(who, films)
    finally:
        who.close()
    results = Results(rows)
    settings = {
        "bundles": ", ".join(f"{name} {bundle.id}" for name, bundle in who.bundles.items()) or "none",
        "size": f"{told.size}x{told.size}",
        "smoothing": f"{DEFAULT_SMOOTHING:g} where it is on",
        "pairs": f"{told.pairs} (seed {told.seed})",
        "clips": f"{len(clips)}, {told.frames or 'all'} frames of each, every clip in a style of its own",
        "true motions": f"{len(films)} sets of MPI-Sintel",
    }
    bars = write_report(told.out, settings, results, who)
    write_sheet(told.out / "sheet.png", evaluation, who, pairs[: told.sheet_pairs])
    write_plot(told.out / "plot.png", results, who)
    return bars


def check(told: argparse.Namespace) -> None:
    """Raises InputError for numbers that cannot be."""
    if min(told.pairs, told.threads, told.gatys_steps) < 1:
        raise InputError("pairs, threads and gatys-steps must be at least 1")
    if min(told.gatys_pairs, told.frames, told.sheet_pairs, told.seed, told.clips or 0) < 0:
        raise InputError("gatys-pairs, clips, frames, sheet-pairs and seed must be at least 0")
    if told.size < LEAST_SIDE_PX:
        raise InputError(f"size is {told.size}; it must be at least {LEAST_SIDE_PX}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
