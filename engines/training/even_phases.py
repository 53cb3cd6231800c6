"""Takes the grid out of a trained network's last layer in closed form, and leaves its paintings as they are otherwise.

An `UpConv` paints even and odd columns (and rows) by different kernels. Nothing in training keeps the two equally
sharp, and where they are not, all that bends values afterwards - tone curves, clipping, a sigmoid - makes one of them
brighter: a grid of period 2. So the last layer's weights are changed by the least that makes all four phases equally
sharp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.nets.blocks import UpConv

STEPS = 50  # of Newton's method, at most; about ten are taken
CLOSE = 1e-6  # relative difference of the phases' powers at which it ends
_RIDGE = 1e-6  # of the mean power: directions that never occur in what the layer sees
# Which phases are weighed against which: columns, rows, diagonals. Equal in all three, the four are equal.
_AGAINST = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Patches:
    """Covariances, float64 (9 in, 9 in), of the 3x3 patches that a layer is given, and of the detail in them.

    Detail is what differs from its surroundings.
    """

    whole: Tensor
    detail: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, seen: Iterable[Tensor]) -> Patches:
        """seen: what the layer is given, (n, in, h, w) each, h and w from 3; every one counts alike, however strong.

        Raises ValueError: nothing was seen.
        """
        wholes: list[Tensor] = []
        details: list[Tensor] = []
        for one in seen:
            for x in one:
                soft = F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
                for kept, covariance in ((wholes, _covariance(x)), (details, _covariance(x - soft))):
                    kept.append(covariance / covariance.diagonal().mean().clamp(min=1e-12))
        if not wholes:
            raise ValueError("nothing was seen: there is no sharpness to make even")
        return cls(torch.stack(wholes).mean(0), torch.stack(details).mean(0))


@torch.no_grad()
def evened(layer: UpConv, patches: Patches) -> Tensor:
    """The layer's weight (out, in, 3, 3), changed so that what it gives is equally sharp in all of its four phases.

    patches: of what it is given. Sharpness is the power of the detail. For each output that is, of w the weights, p the
    phases and A_p the folding (`UpConv.folded`), w' A_p' D A_p w, D the covariance of the patches of detail; least is
    meant of the output's own mean squared change, by the covariance of all patches: Newton's method on the three
    equations, each step the shortest way from the weights as they were.
    """
    fold = _folding(layer)  # (4, patch, weights)
    powers = fold.mT @ patches.detail @ fold  # (4, weights, weights)
    change = (fold.mT @ patches.whole @ fold).mean(0)
    change.diagonal().add_(_RIDGE * change.diagonal().mean())
    against = torch.einsum("kp,pij->kij", _AGAINST.to(powers.dtype), powers)  # (3, weights, weights)
    rows = [_evened(row, powers, against, change) for row in layer.weight.flatten(1).to(powers.dtype)]
    return torch.stack(rows).reshape(layer.weight.shape).to(layer.weight.dtype)


@torch.no_grad()
def phase_powers(layer: UpConv, patches: Patches) -> Tensor:
    """How sharp each phase is, (out, 4): the power of the detail there, of the mean of the four; 1: all alike."""
    kernels = torch.einsum("pkw,ow->opk", _folding(layer), layer.weight.flatten(1).to(patches.detail.dtype))
    powers = torch.einsum("opi,ij,opj->op", kernels, patches.detail, kernels)
    return powers / powers.mean(1, keepdim=True).clamp(min=torch.finfo(powers.dtype).tiny)


def _evened(start: Tensor, powers: Tensor, against: Tensor, change: Tensor) -> Tensor:
    """One output's weights (w,)."""
    now = start.clone()
    for _ in range(STEPS):
        missed = torch.einsum("i,kij,j->k", now, against, now)
        if missed.abs().max() <= CLOSE * torch.einsum("i,pij,j->", now, powers, now):
            break
        slopes = 2 * against @ now  # (3, w)
        ways = torch.linalg.solve(change, slopes.T)  # (w, 3)
        # From the start again, not from here: what is least is the way altogether.
        now = start - ways @ torch.linalg.solve(slopes @ ways, missed - slopes @ (now - start))
    return now


def _covariance(x: Tensor) -> Tensor:
    """(c, h, w) -> covariance of its 3x3 patches (9 c, 9 c)"""
    patches = F.unfold(x[None].double(), 3)[0]
    patches = patches - patches.mean(1, keepdim=True)
    return patches @ patches.T / patches.shape[1]


def _folding(layer: UpConv) -> Tensor:
    """From one output's weights to the four phases' kernels, (4, 9 in, 9 in): `UpConv.folded` as matrices."""
    inputs = layer.weight.shape[1]
    basis = torch.eye(9 * inputs, dtype=torch.float64).reshape(-1, inputs, 3, 3)
    phases = layer.phases.double()
    folded = torch.einsum("aiy,bjx,wcyx->abcijw", phases, phases, basis)
    return folded.reshape(4, 9 * inputs, 9 * inputs)
