#!/usr/bin/env python3
"""Train a network of any method.

    scripts/train.py live --data DATA --out runs/live --minutes 60        # start, or go on where runs/live stopped
    scripts/train.py live --data DATA --out runs/live --minutes 60 --extend   # 60 minutes more, learning rate anew
    scripts/train.py live --data DATA --out runs/next --start-from engines/bundles/live/weights.safetensors

DATA holds content/ (photos) and style/ (pictures). OUT gets checkpoint.pt, checkpoint.optimiser.pt (to go on with),
log.csv, log.png and sheet-*.png. The run ends after --minutes of training, counted over all its starts; the learning
rate follows that clock.

What a method learns from and which losses it has stands in engines/training/recipes.py. On two CPU cores:

    scripts/train.py johnson --data DATA --out runs/johnson --minutes 60 --crop 128 --style-pictures large-blue-horses
    scripts/train.py reconet --data DATA --out runs/reconet --minutes 90 --crop 128 --style-pictures cafe-terrace \\
        --clips DATA/video
    scripts/train.py cin --data DATA --out runs/cin --minutes 150 --crop 128      # all named works; or --style-pictures
    scripts/train.py adain --data DATA --out runs/adain --minutes 150 --crop 128
    scripts/train.py adain-steady --data DATA --out runs/adain-steady --minutes 200 --crop 128 --clips DATA/video
    scripts/train.py ghiasi --data DATA --out runs/ghiasi --minutes 180 --crop 128

On a GPU style kernels learn faster from whole pictures, many at once, that are never the same twice:

    scripts/train.py live --data DATA --out runs/live --minutes 9 --fresh --batch 16 --crop 352

johnson and reconet learn one style each, cin a table of them; adain and ghiasi take any picture, as style kernels do.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError
from engines.nets import catalogue
from engines.nets.ablation import PARTS, remove
from engines.nets.catalogue import FeatureNet, StyleNet
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import StyleKernelNet
from engines.nets.transform import TransformPainter
from engines.torch_eager import load_network
from engines.training import checkpoints, data, losses, objective, sheets, style_sources, views
from engines.training.clips import ClipPairs
from engines.training.critic import Critic
from engines.training.features import LossNetwork, calibrated
from engines.training.moments import MOTION_MARGIN_PX, Moments, two_moments
from engines.training.objective import Batch, guide_of, seen_part
from engines.training.pretrained import fill_frozen
from engines.training.rates import rate_groups
from engines.training.recipes import LOSS_NETWORKS, LOSSES, RECIPES
from engines.training.targets import EDITION, FreshTargets, Targets, photo_features
from engines.training.token_start import all_alike, start_tokens
from engines.training.warm_start import even_out, measure, start_from, widen
from engines.training.winograd import quicken

FROZEN = "hed"  # the loss network whose weights are the trained network's frozen part
CROPS = 2  # fixed crops of each photo
STYLE_PART_PX = 256  # where in a style picture a place of the painting may look for its like
GUIDE_SHARES = (0.7, 0.55, 0.4)  # sides of the guide, of the crop's: one of them for each batch
SHEET_PHOTOS, SHEET_STYLES = 6, 8  # of styles that have names, at most as many as there are
SHEET_GUIDE = (200, 200)  # of the sheet's paintings, which are data.SIDE_PX a side
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
FIRST_BATCH = 8  # pictures that random layers are scaled by
USUAL_STYLES = 512  # pictures that tell a style encoder what is usual
USUAL_PHOTOS = 64  # whose places learn to attend to their like
WARM_UP_AGAIN = 100  # steps, for weights that have learned before
MOST_DEAD = 50  # steps one after the other without a gradient


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="end after so many steps instead, counted over all starts")
    parser.add_argument(
        "--extend", action="store_true", help="count --minutes from now instead of from the first start"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="FILE",
        help="weights.safetensors of a bundle, or a checkpoint; one of cin also for johnson, reconet and ghiasi",
    )  # fmt: skip
    parser.add_argument(
        "--style-pictures", nargs="+", default=[], metavar="PICTURE",
        help="johnson, reconet (one), cin: files, folders, names of works that come with the program (cin: all)",
    )  # fmt: skip
    parser.add_argument(
        "--most-styles", type=int, metavar="N",
        help="draw only N of the style pictures, of each group by the root of its size: targets are computed once for "
        "each, which a short run has no time for",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true",
        help="draw parts of photos and views of style pictures anew in every step, and compute what they are compared "
        "with, instead of keeping it: for a GPU, which holds all pictures then (0.4 MiB each)",
    )  # fmt: skip
    parser.add_argument("--clips", type=Path, help="a folder of videos: every second step learns from their motion")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PART",
        help="train no other parts of the network than these (beginnings of its weights' names, as style_encoder.code)",
    )  # fmt: skip
    parser.add_argument("--without", choices=sorted(PARTS), help="live, studio: lack this part (scripts/ablation.py)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--loss-network", choices=LOSS_NETWORKS, default="hed")
    parser.add_argument(
        "--loss-precision", choices=sorted(PRECISIONS),
        help="of the loss network's arithmetic (default: bf16 on a GPU, fp32 on a CPU; a CPU with AVX-512 BF16 takes "
        "half the time in bf16, others take longer)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=sorted(PRECISIONS),
        help="of the trained network's convolutions, its weights stay fp32 (default: as above; on such a CPU studio "
        "takes 0.6 of the time in bf16)",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of style pictures, and of photos at most: the size of strokes"
    )
    parser.add_argument(
        "--guide-shares", type=float, nargs="+", default=list(GUIDE_SHARES), metavar="SHARE",
        help="live, studio: sides of the guide, of the crop's, one of them for each batch (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument(
        "--rates", nargs="+", default=[], metavar="PART=FACTOR",
        help="of --rate, for parts of the network (as in --only): skg=0.4 decoder=0.1; the last that fits holds",
    )  # fmt: skip
    parser.add_argument(
        "--warm-up", type=int, metavar="STEPS",
        help="of plain reconstruction before any style loss (default: the method's; with --start-from, which has "
        f"learned that, at most {WARM_UP_AGAIN}, and none where it knows styles)",
    )  # fmt: skip
    parser.add_argument(
        "--teacher", metavar="BUNDLE",
        help="learn to paint like this one in the warm-up, instead of plain reconstruction, and without a grid where "
        "--grid is given (a name or a folder)",
    )  # fmt: skip
    parser.add_argument("--sheet-minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    for name in LOSSES:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, metavar="WEIGHT", help="weight of this loss (default: the method's)")
    args = parser.parse_args()
    recipe = RECIPES[args.method]
    given = {name: weight for name in LOSSES if (weight := getattr(args, name)) is not None}
    args.weights = {name: weight for name, weight in recipe.weights.items() if name not in given} | given
    args.weights = {name: args.weights[name] for name in LOSSES if name in args.weights}
    usual = "bf16" if args.device.startswith("cuda") else "fp32"
    args.loss_precision, args.precision = args.loss_precision or usual, args.precision or usual
    return args


def main() -> None:  # noqa: PLR0912, PLR0915 - meant to be read from top to bottom
    args = arguments()
    recipe, weights = RECIPES[args.method], args.weights
    computed = {name for name, weight in weights.items() if weight}
    style_side, room = round(args.scale * data.SIDE_PX), args.crop + 2 * MOTION_MARGIN_PX
    if args.fresh and room > style_side:
        for_motion = room - args.crop
        raise InputError(
            f"--crop {args.crop}: pictures are {style_side} px, {for_motion} of them for motion; give at most "
            f"{style_side - for_motion}"
        )
    if "grid" in computed and args.crop % losses.GRID_LINES:
        below = args.crop // losses.GRID_LINES * losses.GRID_LINES
        either = f"{below} or {below + losses.GRID_LINES}" if below else f"{losses.GRID_LINES}"
        raise InputError(
            f"--crop {args.crop}: --grid measures crops of a multiple of {losses.GRID_LINES} px; give {either}"
        )
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    device, device_type = args.device, torch.device(args.device).type
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint, log_file, packed = args.out / "checkpoint.pt", args.out / "log.csv", args.out.parent / "packed"

    # Data: packed once, beside the run.
    photos = data.PictureSet(args.data / "content", packed, "content")
    styles = data.PictureSet(style_sources.find(recipe.styles, args.style_pictures, args.data), packed, "style")
    if args.most_styles is not None:
        if args.most_styles < 1:
            raise InputError(f"--most-styles {args.most_styles}: give a number from 1")
        styles.limit(args.most_styles)
    clips = ClipPairs(args.clips, packed) if args.clips else None
    many = SHEET_STYLES if recipe.styles == "any" else min(SHEET_STYLES, len(styles))
    spread = [(i * len(photos) // SHEET_PHOTOS + 40) % len(photos) for i in range(SHEET_PHOTOS)]
    shown_photos = photos.images(torch.tensor(spread))
    shown = torch.tensor([(i * len(styles) // many + 60) % len(styles) for i in range(many)])

    # The loss network, and the one that is the network's own frozen part, which comes along with weights to start from.
    usual_photos = photos.images(torch.arange(0, len(photos), max(1, len(photos) // 16))[:16])
    loss_network = calibrated(args.loss_network, usual_photos)
    frozen = None
    if not args.start_from:
        frozen = (loss_network if args.loss_network == FROZEN else calibrated(FROZEN, usual_photos)).vgg
    loss_network.to(device=device, dtype=PRECISIONS[args.loss_precision], memory_format=torch.channels_last)
    if device_type == "cpu" and args.loss_precision == "fp32":
        quicken(loss_network)
    if args.fresh:
        photos.move_to(device)
        styles.move_to(device)
        torch.backends.cudnn.benchmark = True  # sizes are few

    # Network, its average, optimiser; or what a former start left of them.
    config = catalogue.configuration(recipe.network)
    if recipe.styles == "many":
        config = replace(config, styles=len(styles))
    net = catalogue.build(config, args.seed)
    if args.without:
        remove(net, args.without)
    net.to(device=device, memory_format=torch.channels_last)
    fill_frozen(net, frozen)
    if args.start_from:
        start_from(args.start_from, net, Path(styles.names[0]).stem if recipe.styles == "one" else "")
    if args.warm_up is None:
        args.warm_up = recipe.warm_up
        if args.start_from and not args.teacher:
            # A style that is in the weights would be forgotten by it.
            args.warm_up = 0 if isinstance(net, TransformPainter) else min(args.warm_up, WARM_UP_AGAIN)
    targets = open_targets(args, loss_network, net, photos, styles)

    def style_targets(keys: Tensor, images: Tensor) -> dict[str, Tensor]:
        told = targets.styles(keys, images, style_side, STYLE_PART_PX)
        return {name: value.to(device) for name, value in told.items()}

    if isinstance(net, StyleKernelNet) and not checkpoint.exists():
        if not args.start_from:
            few = torch.arange(min(FIRST_BATCH, len(styles), len(photos)))
            crops = data.random_crops(photos.images(few), args.crop).to(device)
            seen = seen_part(style_targets(few, styles.images(few)))
            even_out(net, crops, seen, guide_of(args.crop, max(args.guide_shares)))
        drawn = styles.weights.nonzero()[:, 0]  # of these the losses need targets anyway
        some = drawn[torch.linspace(0, len(drawn) - 1, min(USUAL_STYLES, len(drawn))).long()]

        def usual() -> Iterator[dict[str, Tensor]]:
            return (seen_part(style_targets(few, styles.images(few))) for few in some.split(8))

        learned = args.start_from is not None
        few_photos = photos.images(torch.linspace(0, len(photos) - 1, min(USUAL_PHOTOS, len(photos))).long()).to(device)
        start_tokens(net, usual(), few_photos, guide_of(data.SIDE_PX, min(args.guide_shares)), learned=learned)
        measure(net, usual(), learned=learned)
        widen(net, usual(), args.seed)
    check_losses(weights, net, args.method)
    teacher = load_network(Bundle.load(args.teacher)).to(device) if args.teacher else None
    critic = Critic(config.hidden_width).to(device) if "hint" in net.style_tensors else None
    for name, parameter in net.named_parameters():
        if args.only and not name.startswith(tuple(args.only)):
            parameter.requires_grad_(requires_grad=False)
    trained = [p for p in net.parameters() if p.requires_grad]
    if not trained:
        parts = ", ".join(name for name, _ in net.named_children())
        raise InputError(f"--only {' '.join(args.only)} names nothing that learns; {args.method} has {parts}")
    optimiser = torch.optim.Adam(rate_groups(net, args.rates), lr=args.rate, betas=(0.9, 0.99), fused=True)
    critic_optimiser = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.99)) if critic else None
    judging = (critic, critic_optimiser) if "adversarial" in computed and critic and critic_optimiser else None
    step, seconds, first_second = 0, 0.0, 0.0
    ema = checkpoints.Ema(net)
    args.style_names = [] if recipe.styles == "any" else styles.names  # a table's order has to be known later
    if checkpoint.exists():
        kept = checkpoints.load(checkpoint)
        of = kept["info"].get("style_names", []), kept["info"].get("without")
        if kept["config"] != config or of != (args.style_names, args.without):
            raise InputError(f"{checkpoint} is of another network or of other styles; give another --out")
        if kept["info"].get("only", []) != args.only:
            raise InputError(f"{checkpoint} has trained other parts; give another --out and --start-from {checkpoint}")
        if kept["info"].get("rates", []) != args.rates:
            told = " ".join(kept["info"].get("rates", [])) or "none"
            raise InputError(f"{checkpoint} was begun with other --rates ({told}); give these, or another --out")
        if "optimiser" not in kept:
            beside = checkpoints.optimiser_of(checkpoint)
            raise InputError(f"{beside} is missing, without which {checkpoint} cannot go on; give another --out")
        net.load_state_dict(kept["net"])
        ema.net.load_state_dict({k: v.float() for k, v in kept["ema"].items()})
        optimiser.load_state_dict(kept["optimiser"])
        if judging and "critic" in kept:  # which is missing where the loss is new to the run
            for part, state in zip(judging, (kept["critic"]["net"], kept["critic"]["optimiser"]), strict=True):
                part.load_state_dict(state)
        step, seconds = kept["step"], kept["seconds"]
        torch.manual_seed(args.seed + step)
        first_second = seconds if args.extend else 0.0
    budget = args.minutes * 60
    dead = 0

    wanted = [name for name in LOSSES if name in weights or name == "identity"]
    columns = continue_log(log_file, ["step", "seconds", *wanted], step)[2:]
    sums: dict[str, Tensor | float] = {}
    count, last_sheet, started = 0, time.monotonic(), time.monotonic() - seconds
    bar = tqdm(total=args.steps or round(budget), unit="step" if args.steps else "s", desc=args.method)
    while True:
        seconds = time.monotonic() - started
        done = step / args.steps if args.steps else (seconds - first_second) / budget
        if done >= 1:
            break
        for group in optimiser.param_groups:
            rate = args.rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            group["lr"] = group.get("factor", 1.0) * rate  # checkpoints from before have none

        # One batch: photos at two moments, or a clip's, and style pictures.
        picked = styles.draw(args.batch)
        index = picked.to(device)
        style_images = styles.images(picked)
        if args.fresh and recipe.styles == "any":
            style_images = views.of_styles(style_images)
        target = style_targets(picked, style_images)
        chosen = photos.draw(args.batch)
        crop_keys = chosen * CROPS + torch.randint(CROPS, (args.batch,))
        if args.fresh:
            large = data.random_crops(data.scaled(views.of_photos(photos.images(chosen)), style_side), room)
        else:
            large = data.fixed_crops(photos.images(chosen), crop_keys, room, args.scale)
        of_clip = clips is not None and step >= args.warm_up and step % 2 == 1
        moments = clips.draw(args.batch, args.crop) if clips and of_clip else two_moments(large, args.crop)
        moments = Moments(*(t.to(device) for t in moments))
        share = args.guide_shares[int(torch.randint(len(args.guide_shares), ()))]
        guide_size = guide_of(args.crop, share)
        batch = Batch(moments, style_images.to(device), index, target, guide_size)
        itself = None
        if "identity" in computed and step >= args.warm_up and step % 2 == 0:
            itself = data.random_crops(data.scaled(style_images[:1], style_side), args.crop).to(device)
        with torch.autocast(device_type, torch.bfloat16, enabled=args.precision == "bf16"):
            code = net.encode_seen(seen_part(target) | {"index": index})
            if step < args.warm_up:
                terms = objective.warm_up(net, batch, code, computed, teacher)
            else:
                painted, terms = objective.paint(net, batch, code, computed, itself)
        if step >= args.warm_up:
            if of_clip:
                photo = photo_features(loss_network, moments.now)
            else:
                m = MOTION_MARGIN_PX
                photo = {k: v.to(device) for k, v in targets.crops(crop_keys, large[:, :, m:-m, m:-m]).items()}
            known = partial(targets.known_styles, picked)
            terms |= objective.perceived(painted, batch, photo, loss_network, computed, known)
            if judging:
                critic, critic_optimiser = judging
                hint = code["hint"].detach()
                pictures = data.random_crops(data.scaled(style_images, style_side), args.crop).to(device)
                real, fake = critic(pictures, hint), critic(painted.detach(), hint)
                critic_optimiser.zero_grad()
                losses.adversarial_discriminator(real, fake).backward()
                critic_optimiser.step()
                # After the critic's step, which changes weights that this term's gradient needs.
                terms["adversarial"] = losses.adversarial_generator(critic(painted, hint))

        loss = torch.stack([weights.get(name, 1.0) * value for name, value in terms.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(trained, 5.0)
        size = norm.item()
        if math.isfinite(size):  # a single bad batch must not spoil the run
            optimiser.step()
            ema.update(net, step)
        dead = 0 if size > 0 else dead + 1
        if dead == MOST_DEAD:
            raise InputError(
                f"no gradient in {dead} steps up to step {step + 1}: the paintings are of one colour, or no numbers; "
                f"start anew with a --rate below {args.rate:g} or another --seed"
            )
        step += 1

        # Log, sheet, checkpoint.
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach()  # not told yet: a GPU would have to be waited for
            sums[f"{name}.n"] = sums.get(f"{name}.n", 0.0) + 1
        count += 1
        bar.update((step if args.steps else round(seconds - first_second)) - bar.n)
        if count == 50:
            row = {n: float(sums[n] / sums[f"{n}.n"]) if n in sums else 0.0 for n in columns}
            told = {n: float(f"{v:.4g}") for n, v in row.items()}
            write_row(log_file, {"step": step, "seconds": round(seconds, 1)} | told)
            bar.set_postfix(step=step, **{n[:7]: f"{v:.3f}" for n, v in row.items() if v})
            if "values" in code and all_alike(code["values"]):
                bar.write("all styles have the same tokens: the layer that these are made of has died")
            sums, count = {}, 0
        if time.monotonic() - last_sheet > args.sheet_minutes * 60:
            last_sheet = time.monotonic()
            keep(args, net, ema, optimiser, step, seconds, shown_photos, styles.images(shown), shown, judging)
    keep(args, net, ema, optimiser, step, seconds, shown_photos, styles.images(shown), shown, judging)
    bar.close()


def check_losses(weights: dict[str, float], net: StyleNet, method: str) -> None:
    """Raises InputError: a loss is asked for that needs what this network does not have."""
    if "feature_temporal" in weights and not isinstance(net, FeatureNet):
        raise InputError(
            f"--feature-temporal is not for {method}: it tells no features that are trained; give --temporal"
        )
    if weights.get("own_palette") and "palette" not in net.style_tensors:
        raise InputError(f"--own-palette is not for {method}: it has no finish; give --palette")
    if weights.get("coarse") and "palette" not in net.style_tensors:
        raise InputError(f"--coarse is not for {method}: it moves no colours beforehand; leave it out")
    if weights.get("adversarial") and "hint" not in net.style_tensors:
        raise InputError(f"--adversarial is not for {method}: its critic is told the style by a style kernel's code")


def open_targets(
    args: argparse.Namespace, loss_network: LossNetwork, net: StyleNet, photos: data.PictureSet, styles: data.PictureSet
) -> Targets | FreshTargets:
    """What was kept of former runs, unless all is drawn anew.

    To the losses pictures look alike whatever the method; style kernels want more.
    """
    if args.fresh:
        return FreshTargets(loss_network, net, len(styles))
    folder, shared = args.out.parent / "packed", None
    told_by = f"{args.loss_network}-{args.loss_precision}-{EDITION}"
    size = f"{args.crop}-{args.scale:g}-{photos.label}"
    if isinstance(net.config, StyleKernelConfig):
        folder /= f"targets-{told_by}-{net.config.style_levels}-{size}-{styles.label}"
    else:
        crops = folder / f"crops-{told_by}-{size}"
        folder /= f"styles-{told_by}-{args.scale:g}-{photos.label}-{styles.label}"
        shared = folder / f"seen-{catalogue.kind_of(net.config)}", crops
    return Targets(folder, loss_network, net, len(styles), CROPS * len(photos), shared)


def continue_log(path: Path, columns: list[str], step: int) -> list[str]:
    """Make a log ready for further rows of `columns`; returns all the columns that it has then, "step" first.

    Rows of steps after `step` go: a start that was ended before its next checkpoint wrote them, and they are made
    again; so do lines that are not of the log's own columns: half-written, or of a start with other losses under the
    first one's names. A loss that one of the starts did not have is 0 there.
    """
    if not path.exists():
        return columns
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        had = list(reader.fieldnames or [])
        whole = [row for row in reader if None not in row and None not in row.values()]  # None: too many, or too few
    names = list(dict.fromkeys([*had, *columns]))
    beside = path.with_suffix(".part")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="0.0")
        writer.writeheader()
        writer.writerows(row for row in whole if row.get("step", "").isdigit() and int(row["step"]) <= step)
    beside.replace(path)
    return names


def write_row(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def keep(
    args: argparse.Namespace, net: StyleNet, ema: checkpoints.Ema, optimiser: torch.optim.Optimizer,
    step: int, seconds: float, photos: Tensor, styles: Tensor, index: Tensor,
    critic: tuple[nn.Module, torch.optim.Optimizer] | None,
) -> None:  # fmt: skip
    """Write the checkpoint, the sheet and the plot of what has been learned so far."""
    left_out = {"data", "out", "weights", *LOSSES}
    info = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in left_out}
    checkpoints.save(args.out / "checkpoint.pt", net, ema, optimiser, step, seconds, info | args.weights, critic)
    device = next(ema.net.parameters()).device
    photos, styles, index = (t.to(device) for t in (photos, styles, index))
    sheets.contact_sheet(ema.net, photos, styles, args.out / f"sheet-{step:06d}.png", SHEET_GUIDE, index)
    sheets.plot_log(args.out / "log.csv", args.out / "log.png")


if __name__ == "__main__":
    try:
        main()
    except BrushcastError as error:
        raise SystemExit(f"train: {error}") from error
