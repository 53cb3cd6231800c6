"""`engines.recolour` for tensors and with a gradient: what training does before the network."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.recolour import RIDGE

# Coupled Newton-Schulz steps for the inverse root. The smallest eigenvalue of M relative to its trace is about
# (RIDGE / 0.2)^2 at worst; 20 steps bring even that to fp32 precision on real frames.
STEPS = 20


def statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, 3) and covariance (n, 3, 3) of the colours of `image` (n, 3, h, w), with RIDGE on the diagonal."""
    flat = image.flatten(2)  # (n, 3, h w)
    mean = flat.mean(2)
    centred = flat - mean[:, :, None]
    covariance = centred @ centred.transpose(1, 2) / flat.shape[2]  # (n, 3, 3)
    return mean, covariance + RIDGE * torch.eye(3, device=image.device, dtype=image.dtype)


def inverse_root(matrix: Tensor) -> Tensor:
    """Inverse square root of symmetric positive matrices (n, 3, 3) by coupled Newton-Schulz (Higham 1986).

    Only products are used, so it has a gradient.
    """
    identity = torch.eye(3, device=matrix.device, dtype=matrix.dtype)
    trace = (matrix * identity).sum((1, 2), keepdim=True)
    root, inverse = matrix / trace, identity.expand_as(matrix)
    for _ in range(STEPS):
        # The order of the factors matters: in any other, rounding errors grow from step to step.
        step = 1.5 * identity - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return inverse * trace.rsqrt()


def root(matrix: Tensor) -> Tensor:
    """Square root of symmetric positive matrices (n, 3, 3)."""
    return matrix @ inverse_root(matrix)


def transport(mean: Tensor, covariance: Tensor, style_mean: Tensor, style_root: Tensor) -> tuple[Tensor, Tensor]:
    """The optimal map between two Gaussians (Pitié & Kokaram 2007, "The linear Monge-Kantorovitch colour mapping").

    A = Cs^1/2 (Cs^1/2 Cc Cs^1/2)^-1/2 Cs^1/2, which needs one root per frame; `style_root` is Cs^1/2.
    Returns the matrix (n, 3, 3) and the offset (n, 3): recoloured = A x + b.
    """
    matrix = style_root @ inverse_root(style_root @ covariance @ style_root) @ style_root
    offset = style_mean - (matrix @ mean[:, :, None])[:, :, 0]
    return matrix, offset


def recolour(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Apply a colour map (n, 3, 3), (n, 3) to (n, 3, h, w); clipped to 0..1."""
    n, _, h, w = image.shape
    mapped = matrix @ image.flatten(2) + offset[:, :, None]  # (n, 3, h w)
    return mapped.reshape(n, 3, h, w).clamp(0, 1)
