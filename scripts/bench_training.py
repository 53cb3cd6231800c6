#!/usr/bin/env python3
"""What `engines.training.winograd` brings: a loss network's features and gradient on a CPU, with and without, in turn.

scripts/bench_training.py --loss-network vgg19 --batch 2 --crop 224
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from statistics import median

import torch

from engines.errors import BrushcastError, InputError
from engines.training.features import LossNetwork, load_loss_network
from engines.training.recipes import LOSS_NETWORKS
from engines.training.winograd import quicken


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss-network", choices=LOSS_NETWORKS, default="vgg19")
    parser.add_argument("--batch", type=int, default=2, help="pictures (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=224, help="their side in px (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each, in turn (default: %(default)s)")
    told = parser.parse_args(arguments)
    try:
        measure(told)
    except BrushcastError as error:
        print(f"bench_training: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(told: argparse.Namespace) -> None:
    """Print the table. Raises InputError."""
    if min(told.batch, told.threads, told.rounds) < 1 or told.crop < 32:
        raise InputError("batch, threads and rounds must be at least 1, crop at least 32")
    torch.set_num_threads(told.threads)
    usual, quick = (load_loss_network(told.loss_network).to(memory_format=torch.channels_last) for _ in range(2))
    quicken(quick)
    pictures = torch.rand(told.batch, 3, told.crop, told.crop)
    for network in (usual, quick):  # what is computed for the first time takes longer
        with_gradient(network, pictures)
    rows = [(features, "features"), (with_gradient, "features and gradient")]
    print(
        f"{told.loss_network}, {told.batch} x {told.crop}x{told.crop}, {told.threads} threads, medians of {told.rounds}"
    )
    for run, name in rows:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(told.rounds):
            for network, found in zip((usual, quick), times, strict=True):
                start = time.perf_counter()
                run(network, pictures)
                found.append(time.perf_counter() - start)
        before, after = (1000 * median(found) for found in times)
        print(f"{name:22} oneDNN {before:7.0f} ms   Winograd {after:7.0f} ms   {before / after:.2f} times as fast")


@torch.no_grad()
def features(network: LossNetwork, pictures: torch.Tensor) -> None:
    """As for what paintings are compared with."""
    network(pictures)


def with_gradient(network: LossNetwork, pictures: torch.Tensor) -> None:
    """As for paintings."""
    found = network(pictures.clone().requires_grad_())
    torch.stack([value.square().mean() for value in found.values()]).sum().backward()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main())
