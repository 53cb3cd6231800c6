#!/usr/bin/env python3
"""Train a style-kernel network.

    scripts/train.py live --data DATA --out runs/live --minutes 60        # start, or go on where runs/live stopped
    scripts/train.py live --data DATA --out runs/live --minutes 60 --extend   # 60 minutes more, learning rate anew
    scripts/train.py live --data DATA --out runs/next --start-from engines/bundles/live/weights.safetensors

DATA holds content/ (photos) and style/ (pictures). OUT gets checkpoint.pt, log.csv, log.png and sheet-*.png. The run
ends after --minutes of training, counted over all its starts; the learning rate follows that clock.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from engines.errors import BrushcastError
from engines.nets import finish
from engines.nets.config import CONFIGS
from engines.nets.style_kernel import build
from engines.training import checkpoints, data, losses, sheets, warping
from engines.training.features import LAYERS, load_loss_network
from engines.training.targets import ATTENTION_LAYERS, CONTENT_LAYERS, GRAM_LAYERS, Targets

CROPS = 2  # fixed crops of each photo
MOTION_MARGIN_PX = 16
STYLE_PART_PX = 256  # where in a style picture a place of the painting may look for its like
GUIDE_SHARES = (0.7, 0.55, 0.4)  # sides of the guide, of the crop's: one of them for each batch
SHEET_GUIDE = (200, 200)  # of the sheet's paintings, which are data.SIDE_PX a side
WARM_UP_AGAIN = 100  # steps, for weights that have learned before


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=sorted(CONFIGS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--extend", action="store_true", help="count --minutes from now instead of from the first start"
    )
    parser.add_argument("--start-from", type=Path, help="weights.safetensors of a bundle; a short warm-up then")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--loss-network", choices=("hed", "vgg19"), default="hed")
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of style pictures, and of photos at most: the size of strokes"
    )
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warm-up", type=int, default=500, help="steps of plain reconstruction before any style loss")
    parser.add_argument("--sheet-minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    for name, weight in WEIGHTS.items():
        parser.add_argument(f"--{name}", type=float, default=weight, help=f"weight of this loss (default {weight:g})")
    return parser.parse_args()


WEIGHTS = {
    "content": 1.0,
    "style": 5.0,
    "gram": 0.3,
    "attention": 3.0,
    "remd": 0.5,
    "contrast": 0.0,
    "palette": 10.0,
    "grid": 0.0,
    "identity": 1.0,
    "variation": 0.3,
    "temporal": 300.0,
    "adversarial": 0.0,
}


class Critic(nn.Module):
    """A small patch discriminator, told the style by its code: does this patch belong to that picture?"""

    def __init__(self, code_width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.score, self.match = nn.Conv2d(128, 1, 1), nn.Linear(code_width, 128)

    def forward(self, image: Tensor, code: Tensor) -> Tensor:
        features = self.trunk(image)  # (n, 128, h/8, w/8)
        return self.score(features) + (features * self.match(code)[:, :, None, None]).mean(1, keepdim=True)  # type: ignore[no-any-return]


def two_moments(large: Tensor, crop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A photo's crop, the same a moment later (moved, noisy), the grid between them, and where it is valid.

    large: (n, 3, crop + 2 margins, the same) -> (n, 3, crop, crop) twice, (n, crop, crop, 2), (n, 1, crop, crop)
    """
    m, side = MOTION_MARGIN_PX, crop + 2 * MOTION_MARGIN_PX
    grid = warping.random_motion(len(large), side, side)
    after = warping.sensor_noise(warping.warp(large, grid, "bicubic").clamp(0, 1))[:, :, m:-m, m:-m]
    now = warping.sensor_noise(large)[:, :, m:-m, m:-m]
    grid = grid[:, m:-m, m:-m] * (side / crop)
    return now, after, grid, warping.inside(grid)


def main() -> None:  # noqa: PLR0912, PLR0915 - meant to be read from top to bottom
    args = arguments()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    device, cuda = args.device, args.device.startswith("cuda")
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint, log_file = args.out / "checkpoint.pt", args.out / "log.csv"

    # Data: packed once, beside the run.
    photos = data.PictureSet(args.data / "content", args.out.parent / "packed", "content")
    styles = data.PictureSet(args.data / "style", args.out.parent / "packed", "style")
    shown_photos = photos.images(torch.tensor([(i * len(photos) // 6 + 40) % len(photos) for i in range(6)]))
    shown_styles = styles.images(torch.tensor([(i * len(styles) // 8 + 60) % len(styles) for i in range(8)]))

    # The loss network: scaled on photos. bfloat16 pays on a GPU alone: CPUs were slower with it.
    loss_network = load_loss_network(args.loss_network)
    loss_network.calibrate(photos.images(torch.arange(0, len(photos), max(1, len(photos) // 16))[:16]))
    loss_network.to(device=device, dtype=torch.bfloat16 if cuda else torch.float32, memory_format=torch.channels_last)

    # Network, its average, optimiser; or what a former start left of them.
    net = build(args.method, args.seed).to(device=device, memory_format=torch.channels_last)
    net.vgg.copy_from(loss_network.vgg)
    if args.start_from:
        checkpoints.load_weights(args.start_from, net)
        args.warm_up = min(args.warm_up, WARM_UP_AGAIN)
    critic = Critic(net.config.hidden_width).to(device)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=args.rate, betas=(0.9, 0.99), fused=True)
    critic_optimiser = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.99))
    step, seconds, first_second = 0, 0.0, 0.0
    ema = checkpoints.Ema(net)
    if checkpoint.exists():
        kept = checkpoints.load(checkpoint)
        net.load_state_dict(kept["net"])
        ema.net.load_state_dict({k: v.float() for k, v in kept["ema"].items()})
        optimiser.load_state_dict(kept["optimiser"])
        step, seconds = kept["step"], kept["seconds"]
        torch.manual_seed(args.seed + step)
        first_second = seconds if args.extend else 0.0
    budget = args.minutes * 60
    kept_in = f"targets-{args.loss_network}-{args.crop}-{args.scale:g}-{photos.label}-{styles.label}"
    targets = Targets(args.out.parent / "packed" / kept_in, loss_network, net, len(styles), CROPS * len(photos))

    sums: dict[str, float] = {}
    count, last_sheet, started = 0, time.monotonic(), time.monotonic() - seconds
    bar = tqdm(total=round(budget), unit="s", desc=args.method)
    while (seconds := time.monotonic() - started) - first_second < budget:
        done = (seconds - first_second) / budget
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

        # One batch: photos at two moments, style pictures.
        picked = styles.draw(args.batch)
        style_images = styles.images(picked)
        style_side = round(args.scale * data.SIDE_PX)
        target = {k: v.to(device) for k, v in targets.styles(picked, style_images, style_side, STYLE_PART_PX).items()}
        chosen = photos.draw(args.batch)
        crop_keys = chosen * CROPS + torch.randint(CROPS, (args.batch,))
        large = data.fixed_crops(photos.images(chosen), crop_keys, args.crop + 2 * MOTION_MARGIN_PX, args.scale)
        now, after, grid, valid = (t.to(device) for t in two_moments(large, args.crop))
        share = GUIDE_SHARES[int(torch.randint(len(GUIDE_SHARES), ()))]
        guide_size = (8 * round(args.crop * share / 8),) * 2
        terms: dict[str, Tensor] = {}
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            code = net.encode_seen({k.removeprefix("seen."): v for k, v in target.items() if k.startswith("seen.")})
            if step < args.warm_up:
                # Without this the network falls into a checkerboard that it never leaves.
                painted = net(now, code, guide_size)
                plain = finish.toned(net.recolour(now, code["palette"]), code["tones"])
                terms["identity"] = losses.reconstruction(painted, plain) + F.l1_loss(painted, plain)
            else:
                twice = {k: torch.cat([v, v]) for k, v in code.items()}
                both = net(torch.cat([now, after]), twice, guide_size)
                painted, painted_after = both.float().chunk(2)
                terms["temporal"] = losses.temporal(painted_after, warping.warp(painted, grid, "bicubic"), valid)
                terms["variation"] = losses.total_variation(painted)
                if step % 2 == 0:
                    itself = data.random_crops(data.scaled(style_images[:1], style_side), args.crop).to(device)
                    again = net(itself, {k: v[:1] for k, v in code.items()}, guide_size)
                    terms["identity"] = losses.reconstruction(again, itself)
        if step >= args.warm_up:
            m = MOTION_MARGIN_PX
            photo = {k: v.to(device) for k, v in targets.crops(crop_keys, large[:, :, m:-m, m:-m]).items()}
            with torch.no_grad():
                aligned = {k: losses.local_attention_target(photo[k], target[k]) for k in ATTENTION_LAYERS}
            seen = {k: v.float() for k, v in loss_network(painted).items()}
            terms["content"] = sum_mean([losses.content(seen[k], photo[k]) for k in CONTENT_LAYERS])
            terms["style"] = sum_mean(
                [losses.style_moments(seen[k], target[f"{k}.mean"], target[f"{k}.deviation"]) for k in LAYERS]
            )
            if args.contrast:
                own_statistics = [part for k in LAYERS for part in losses.moments(seen[k])]
                statistics, own = targets.known_styles(picked)
                terms["contrast"] = losses.contrast(own_statistics, [s.to(device) for s in statistics], own.to(device))
            terms["gram"] = sum_mean([losses.style_gram(seen[k], target[f"{k}.gram"]) for k in GRAM_LAYERS])
            terms["attention"] = sum_mean([losses.local_attention(seen[k], aligned[k]) for k in ATTENTION_LAYERS])
            terms["palette"] = losses.palette(painted, style_images.to(device))
            if args.grid:
                terms["grid"] = losses.grid(painted)
            terms["remd"] = losses.remd(seen["relu4_1"], target["relu4_1"])
            if args.adversarial:
                hint = code["hint"].detach()
                pictures = data.random_crops(data.scaled(style_images, style_side), args.crop).to(device)
                real, fake = critic(pictures, hint), critic(painted.detach(), hint)
                critic_optimiser.zero_grad()
                losses.adversarial_discriminator(real, fake).backward()
                critic_optimiser.step()
                # After the critic's step, which changes weights that this term's gradient needs.
                terms["adversarial"] = losses.adversarial_generator(critic(painted, hint))

        loss = torch.stack([getattr(args, name) * value for name, value in terms.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(trained, 5.0)
        if torch.isfinite(norm):  # a single bad batch must not spoil the run
            optimiser.step()
            ema.update(net, step)
        step += 1

        # Log, sheet, checkpoint.
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item()
            sums[f"{name}.n"] = sums.get(f"{name}.n", 0.0) + 1
        count += 1
        bar.update(round(seconds - first_second) - bar.n)
        if count == 50:
            row = {n: sums[n] / sums[f"{n}.n"] if n in sums else 0.0 for n in WEIGHTS}
            told = {n: float(f"{v:.4g}") for n, v in row.items()}
            write_row(log_file, {"step": step, "seconds": round(seconds, 1)} | told)
            bar.set_postfix(step=step, **{n[:7]: f"{v:.3f}" for n, v in row.items() if v})
            sums, count = {}, 0
        if time.monotonic() - last_sheet > args.sheet_minutes * 60:
            last_sheet = time.monotonic()
            keep(args, net, ema, optimiser, step, seconds, shown_photos, shown_styles)
    keep(args, net, ema, optimiser, step, seconds, shown_photos, shown_styles)
    bar.close()


def sum_mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def write_row(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def keep(
    args: argparse.Namespace, net: nn.Module, ema: checkpoints.Ema, optimiser: torch.optim.Optimizer,
    step: int, seconds: float, photos: Tensor, styles: Tensor,
) -> None:  # fmt: skip
    """Write the checkpoint, the sheet and the plot of what has been learned so far."""
    info = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in {"data", "out"}}
    checkpoints.save(args.out / "checkpoint.pt", net, ema, optimiser, step, seconds, info)  # type: ignore[arg-type]
    device = next(ema.net.parameters()).device
    sheets.contact_sheet(ema.net, photos.to(device), styles.to(device), args.out / f"sheet-{step:06d}.png", SHEET_GUIDE)  # type: ignore[arg-type]
    sheets.plot_log(args.out / "log.csv", args.out / "log.png")


if __name__ == "__main__":
    try:
        main()
    except BrushcastError as error:
        raise SystemExit(f"train: {error}") from error
