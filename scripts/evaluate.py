"""How good the paintings are: one table of Brushcast's bundles beside the rival, Gatys' optimisation and the photo.

    python scripts/evaluate.py DATA --out build/evaluation
    python scripts/evaluate.py DATA --styles named --models live,cin,adain,johnson-cafe-terrace,johnson-tahitian-women

DATA holds content/ and style/ with the held-out pictures (engines/training/held_out.txt: no training sees them), video/
with clips and, if there, flow_gt/ with MPI-Sintel. Photos and style pictures are middle squares of --size. A painting's
style, content and colours are judged by networks that no training used (`engines.training.evaluation` tells every
figure), its steadiness by the warping error on the clips, smoothing on and off.

--styles named takes the artworks that come with the program in place of the held-out style pictures, those that every
model knows: so networks that have learned few styles can be measured, too. Models that take any picture are shown the
artwork's, or with --kept paint in the style of it that they come with, which may have been fitted; those of one style
each (METHOD-STYLE) are one column together, METHOD. Of the clips those are taken then that no training saw
(engines/training/held_out_clips.txt).

--styles training takes a hundred photos and sixty style pictures that training sees: weights and constants are to be
chosen by these, so that the held-out ones stay what nothing was chosen by. Its figures promise nothing.

Every figure is kept in OUT/rows.jsonl as soon as it is known: a rerun goes on where a run was cut off; new weights, and
another code around their graphs, are measured anew. But the bundles' frames a second, which are this machine's, are
measured in every run. OUT gets evaluation.md, evaluation.json, sheet.png and plot.png.

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
from contestants import GATYS, METHODS, Contestants, contestants, known_to_all
from evaluation_costs import RATE_SIZE, ROUNDS, costs
from evaluation_pictures import write_plot, write_sheet
from evaluation_report import Results, write_report
from evaluation_runs import Evaluation
from evaluation_styles import HELD_OUT, NAMED, TRAINING, NamedStyles, Pictures
from painters import GATYS_STYLE_WEIGHT, GatysPainter
from promises import Bar

from engines.api import DEFAULT_SMOOTHING
from engines.artworks import load_artworks
from engines.errors import BrushcastError, InputError
from engines.training.clips import held_out_clips
from engines.training.evaluation import HeldOut, TrainingPictures, draw_pairs, load_judges
from engines.training.gatys_recipe import LOSS_NETWORK
from engines.training.journal import Journal
from engines.training.recipes import LOSS_NETWORKS
from engines.training.true_motion import find_true_motions
from realtime.machine import machine

LEAST_SIDE_PX = 256  # the grid needs as many frequencies


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with content/, style/, video/ and flow_gt/")
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder (default: build/evaluation)")
    parser.add_argument(
        "--models",
        default="",
        help="bundles: folders or names, commas between (default: live, studio; with named styles all released ones)",
    )
    parser.add_argument(
        "--styles", choices=(HELD_OUT, NAMED, TRAINING), default=HELD_OUT,
        help=f"what is painted in (default: {HELD_OUT})",
    )  # fmt: skip
    parser.add_argument("--kept", action="store_true", help="named styles as models that take any picture keep them")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"some of {','.join(METHODS)} (default: all)")
    parser.add_argument("--pairs", type=int, default=64, help="photos painted by each method (default: 64)")
    parser.add_argument("--gatys-pairs", type=int, default=4, help="of them painted by Gatys, slowly (default: 4)")
    parser.add_argument("--gatys-steps", type=int, default=150, help="evaluations of its loss (default: 150)")
    parser.add_argument(
        "--gatys-network", choices=LOSS_NETWORKS, default=LOSS_NETWORK, help="its own (default: %(default)s)"
    )
    parser.add_argument(
        "--gatys-style-weight", type=float, default=GATYS_STYLE_WEIGHT,
        help="of its loss, beside the content's; less keeps more of the photo (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--clips", type=int, help="only this many clips, 0: no steadiness (default: all)")
    parser.add_argument("--frames", type=int, default=40, help="frames of each clip, 0: all (default: 40)")
    parser.add_argument("--size", type=int, default=384, help="side of the pictures and clips in px (default: 384)")
    parser.add_argument("--sheet-pairs", type=int, default=8, help="rows of the sheet (default: 8)")
    parser.add_argument("--no-rates", action="store_true", help="do not measure frames a second")
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
    pictures = _pictures(told)
    named = told.styles == NAMED
    clips = [] if told.clips == 0 else _clips(told.data / "video", named)[: told.clips]
    films = find_true_motions(told.data / "flow_gt") if clips else []
    gatys = GatysPainter(told.gatys_steps, told.gatys_network, told.gatys_style_weight)
    who = contestants(_names(told.methods), _names(told.models), told.threads, gatys, named=named, kept=told.kept)
    styles = known_to_all(who.bundles, pictures.styles, kept=told.kept) if named else pictures.styles
    pairs = draw_pairs(pictures.photos, styles, told.pairs, told.seed)
    journal, paintings = Journal(told.out / "rows.jsonl"), told.out / "paintings"
    evaluation = Evaluation(journal, pictures, styles, told.size, told.seed, cache(load_judges), paintings)
    try:
        rows = evaluation.photos(who, pairs, told.gatys_pairs, told.sheet_pairs)
        rows += evaluation.clips(who, clips, told.frames)
        rows += evaluation.true_motions(who, films)
    finally:
        who.close()
    results = Results(rows)
    cost = costs(who.bundles, pictures.picture(pictures.photos[0]), told.threads, rates=not told.no_rates)
    settings = {
        "bundles": _bundles(who),
        "styles": f"{told.styles}{' as kept' * told.kept}, {', '.join(styles)}" if named else told.styles,
        "size": f"{told.size}x{told.size}",
        "smoothing": f"{DEFAULT_SMOOTHING:g} where it is on",
        "pairs": f"{told.pairs} (seed {told.seed})",
        "clips": f"{len(clips)}, {told.frames or 'all'} frames of each, every clip in a style of its own",
        "true motions": f"{len(films)} sets of MPI-Sintel",
        "Gatys": f"{gatys.key('')}, {told.gatys_pairs} pairs" if GATYS in _names(told.methods) else "not asked for",
        "frames/s": "not measured" if told.no_rates or not who.bundles else _where(told.threads),
    }
    bars = write_report(told.out, settings, results, who, cost, promised=told.styles == HELD_OUT)
    write_sheet(told.out / "sheet.png", evaluation, who, pairs[: told.sheet_pairs], named=named)
    write_plot(told.out / "plot.png", results, who)
    return bars


def check(told: argparse.Namespace) -> None:
    """Raises InputError for numbers that cannot be."""
    if min(told.pairs, told.threads, told.gatys_steps) < 1:
        raise InputError("pairs, threads and gatys-steps must be at least 1")
    if min(told.gatys_pairs, told.frames, told.sheet_pairs, told.seed, told.clips or 0) < 0:
        raise InputError("gatys-pairs, clips, frames, sheet-pairs and seed must be at least 0")
    if not told.gatys_style_weight > 0:
        raise InputError(f"--gatys-style-weight {told.gatys_style_weight:g}: give a number above 0")
    if told.kept and told.styles != NAMED:
        raise InputError(f"--kept is of named styles; add --styles {NAMED}")
    if told.strict and told.styles == TRAINING:
        raise InputError(
            f"--strict: nothing is promised for pictures that training sees; leave it or --styles {TRAINING} out"
        )
    if told.size < LEAST_SIDE_PX:
        raise InputError(f"size is {told.size}; it must be at least {LEAST_SIDE_PX}")


def _pictures(told: argparse.Namespace) -> Pictures:
    if told.styles == TRAINING:
        return TrainingPictures(told.data, told.size)
    held_out = HeldOut(told.data, told.size)
    return NamedStyles(held_out, load_artworks(), told.size) if told.styles == NAMED else held_out


def _clips(folder: Path, named: bool) -> list[Path]:
    """All; with named styles only those that no training saw: networks with temporal losses have seen the others."""
    clips = find_clips(folder)
    if not named:
        return clips
    unseen = [clip for clip in clips if clip.name in held_out_clips()]
    if not unseen:
        raise InputError(f"{folder} holds none of the {len(held_out_clips())} held-out clips; give them, or --clips 0")
    return unseen


def _bundles(who: Contestants) -> str:
    told = (f"{name} {' '.join(bundle.id for bundle in members)}" for name, members in who.bundles.items())
    return ", ".join(told) or "none"


def _where(threads: int) -> str:
    here, (width, height) = machine(), RATE_SIZE
    return (
        f"{width}x{height}, ONNX Runtime on the CPU, {threads} threads, {here.cpu} ({here.cores} cores), medians of "
        f"{ROUNDS} runs in turn"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
