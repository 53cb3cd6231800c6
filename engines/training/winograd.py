"""3x3 convolutions with frozen weights by fewer products: for loss networks on a CPU.

Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", sec. 4: F(4x4, 3x3) takes 36 products where 144
are usual, for each tile of 4x4 outputs and each pair of channels. The transforms are products with the Kronecker
squares of the paper's matrices: all is three products of matrices and two copies. `scripts/bench_training.py` measures
what it brings beside PyTorch's own (oneDNN); on a CPU with AVX-512 nobody has yet.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 4  # outputs of a tile, along each axis
_SEEN = TILE + 2  # inputs of it
LEAST_CHANNELS = 256  # with fewer, the transforms take as long as the products that are saved
# Sec. 4.3: B transposed, G and A transposed.
_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_FILTER = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


class WinogradConv(nn.Conv2d):
    """A 3x3 convolution, zeros around the picture, whose weights do not change any more.

    Takes and gives float32; what it gives is laid out channels_last. Its gradient is of its input alone.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        """conv: 3x3, stride 1, one zero around; its weights are shared."""
        super().__init__(conv.in_channels, conv.out_channels, 3, padding=1, device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        with torch.no_grad():
            self.register_buffer("forwards", filters(conv.weight), persistent=False)
            self.register_buffer("backwards", filters(conv.weight.flip(2, 3).transpose(0, 1)), persistent=False)
        self.forwards: Tensor
        self.backwards: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w)"""
        out: Tensor = _Convolved.apply(x, self.forwards, self.backwards)  # type: ignore[no-untyped-call]
        return out if self.bias is None else out + self.bias[:, None, None]


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forwards: Tensor, backwards: Tensor) -> Tensor:
        ctx.save_for_backward(backwards)
        return convolved(x, forwards)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (backwards,) = ctx.saved_tensors
        return convolved(gradient, backwards), None, None


def quicken(network: nn.Module) -> None:
    """Replace those convolutions of a network that gain by it; their weights must not change any more."""
    for parent in list(network.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, nn.Conv2d) and suits(conv):
                setattr(parent, name, WinogradConv(conv))


def suits(conv: nn.Conv2d) -> bool:
    """Whether a convolution is of the kind that this does, and wide enough to gain by it."""
    kind = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    wide = min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS
    return kind == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros") and wide and not conv.weight.requires_grad


def filters(weight: Tensor) -> Tensor:
    """(out, in, 3, 3) -> (36, in, out): each filter as what the products of a tile are taken with"""
    one = weight.new_tensor(_FILTER)
    return torch.einsum("pi,qj,ocij->pqco", one, one, weight).flatten(0, 1).contiguous()


def convolved(x: Tensor, transformed: Tensor) -> Tensor:
    """(n, in, h, w) by `filters` (36, in, out) -> (n, out, h, w), one zero around x"""
    n, c, h, w = x.shape
    down, across = -(-h // TILE), -(-w // TILE)
    room = (0, 0, 1, TILE * across - w + 1, 1, TILE * down - h + 1)
    padded = F.pad(x.permute(0, 2, 3, 1), room).contiguous()  # (n, 4 down + 2, 4 across + 2, c)
    tiles = padded.unfold(1, _SEEN, TILE).unfold(2, _SEEN, TILE)  # (n, down, across, c, 6, 6)
    seen = tiles.permute(4, 5, 0, 1, 2, 3).reshape(_SEEN**2, -1)  # (36, n down across c)
    into, out_of = (torch.kron(m, m) for m in (x.new_tensor(_INPUT), x.new_tensor(_OUTPUT)))
    products = (into @ seen).view(_SEEN**2, -1, c) @ transformed  # (36, n down across, out)
    out = (out_of @ products.flatten(1)).view(TILE, TILE, n, down, across, -1)
    out = out.permute(2, 3, 0, 4, 1, 5).reshape(n, TILE * down, TILE * across, -1)[:, :h, :w].contiguous()
    return out.permute(0, 3, 1, 2)
