"""The frame graphs for several frames of one size at once, each of another stream, for devices that PyTorch runs on.

What they compute is what `engines.nets.frame_graph` computes, frame by frame, with the same parts. What differs is only
how pixels are laid out: there as ONNX Runtime is fast on a CPU, here with the frames side by side. The network may be
in half precision; colours, statistics, the memory and what is painted are fp32 all the same.
"""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import DownConv, Parted, UpConv
from engines.nets.frame_graph import agreement, mapped
from engines.nets.guidance import MARGIN_PX, pad_frame, padded_places, spread_by
from engines.nets.style_kernel import GUIDE_TENSORS, StyleKernelNet


class BatchGuide(nn.Module):
    """`engines.nets.frame_graph.GuideGraph` for n frames."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, guide: Tensor, colour_map: Tensor, keys: Tensor, values: Tensor, modulation: Tensor, hint: Tensor
    ) -> Tensor:
        """guide uint8 (n, gh, gw, 3), colour_map float32 (n, 12), style tensors (n, ...) in the network's precision

        -> guidance float32 (n, c, gh/4 + 4, gw/4 + 4)
        """
        style = dict(zip(GUIDE_TENSORS, (keys, values, modulation, hint), strict=True))
        seen = recoloured(pad_frame(guide.permute(0, 3, 1, 2).float()), colour_map)
        return self.net.guide(seen.to(keys.dtype), style).float()


class BatchFrame(nn.Module):
    """`engines.nets.frame_graph.FrameGraph` for n frames; without a memory where none is given."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        guidance: Tensor,
        down: Tensor,
        across: Tensor,
        colour_map: Tensor,
        modulation: Tensor,
        strength: Tensor,
        memory: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Paint n frames.

        frame: uint8 (n, h, w, 3); guidance: float32 (n, c, gh/4 + 4, gw/4 + 4); down, across: as
        `engines.nets.guidance.spreading` gives them; colour_map: float32 (n, 12); modulation: (n, m) in the network's
        precision; strength: float32 (n,). memory: small, memory_painting, memory_source, each uint8 (n, ..., 3), and
        smoothing float32 (n,).
        Returns paintings uint8 (n, h, w, 3) and the next memory_source, None where there is no memory.
        """
        plain = frame.permute(0, 3, 1, 2).float()
        seen = recoloured(pad_frame(plain), colour_map)
        painted = painting(self.net, seen, spread_by(guidance, down, across), modulation, frame)
        painted = frame + strength[:, None, None, None] * (painted - frame)
        return remembered(painted, memory)


class BatchRegions(nn.Module):
    """`engines.nets.frame_graph.RegionsGraph` for n frames; without a memory where none is given."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        mask: Tensor,
        guidance: Tensor,
        down: Tensor,
        across: Tensor,
        colour_map: Tensor,
        background_colour_map: Tensor,
        modulation: Tensor,
        background_modulation: Tensor,
        memory: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """mask: float32 (n, ceil(h/4), ceil(w/4)); all else as for `BatchFrame`."""
        rows, columns = (
            padded_places(side, cells, mask.device)
            for side, cells in zip(frame.shape[1:3], mask.shape[1:], strict=True)
        )
        share = mask[:, rows][:, :, columns][:, None]  # (n, 1, h/4, w/4), padded
        everywhere = F.interpolate(share, scale_factor=4.0, mode="bilinear", align_corners=False)
        padded = pad_frame(frame.permute(0, 3, 1, 2).float())
        behind = recoloured(padded, background_colour_map)
        seen = behind + everywhere * (recoloured(padded, colour_map) - behind)
        parted = Parted(modulation, background_modulation, share.to(modulation.dtype))
        painted = painting(self.net, seen, spread_by(guidance, down, across), parted, frame)
        return remembered(painted, memory)


def recoloured(image: Tensor, colour_map: Tensor) -> Tensor:
    """Colours of (n, 3, h, w) in 0..255 by maps (n, 12) of `engines.recolour`, clipped to -1..1."""
    return mapped(image, colour_map[:, :9].reshape(-1, 3, 3), colour_map[:, 9:, None])


def painting(net: StyleKernelNet, seen: Tensor, guidance: Tensor, modulation: Tensor | Parted, frame: Tensor) -> Tensor:
    """Padded, recoloured frames (n, 3, ...) -> paintings float32 (n, h, w, 3) in 0..255, of the frames' size."""
    style = modulation if isinstance(modulation, Tensor) else modulation.first
    height, width = frame.shape[1:3]
    phases = net.paint(seen.to(style.dtype), guidance.to(style.dtype), modulation, white=255)
    n, _, h, w = phases.shape
    # A pixel-shuffle by 2 that leaves the colours last, as they lie outside.
    pixels = phases.reshape(n, 3, 2, 2, h, w).permute(0, 4, 2, 5, 3, 1).reshape(n, 2 * h, 2 * w, 3)
    return pixels[:, MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width].float().clamp(0, 255)


def remembered(painted: Tensor, memory: tuple[Tensor, Tensor, Tensor, Tensor] | None) -> tuple[Tensor, Tensor | None]:
    """Paintings float32 (n, h, w, 3) and the memory, see `BatchFrame` -> paintings and next sources, uint8"""
    if memory is None:
        return rounded(painted), None
    small, last_painting, last_source, smoothing = memory
    source, last = (picture.permute(0, 3, 1, 2).float() / 255 for picture in (small, last_source))
    gate, next_source = agreement(source, last, smoothing[:, None, None, None])
    share = spread(gate)[:, : painted.shape[1], : painted.shape[2]]
    return rounded(painted + share * (last_painting - painted)), rounded(next_source.permute(0, 2, 3, 1) * 255)


def rounded(picture: Tensor) -> Tensor:
    """0..255 -> uint8, to the nearest"""
    return (picture + 0.5).to(torch.uint8)


def spread(gate: Tensor) -> Tensor:
    """A share (n, 1, h/4, w/4) -> (n, h, w, 1); see `engines.nets.frame_graph.spread`"""
    half = F.interpolate(gate, scale_factor=2.0, mode="bilinear", align_corners=False)
    n, _, h, w = half.shape
    return half.reshape(n, h, 1, w, 1).expand(n, h, 2, w, 2).reshape(n, 2 * h, 2 * w, 1)


class Folded(nn.Module):
    """A resampling layer of `engines.nets.blocks` with its weights folded once and for all."""

    def __init__(self, layer: UpConv | DownConv) -> None:
        super().__init__()
        weight, bias = layer.folded()
        self.weight, self.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())

    def folded(self) -> tuple[Tensor, Tensor]:
        """As the layer's own, and nothing to be worked out."""
        return self.weight, self.bias


class FoldedUp(Folded):
    """Of an UpConv."""

    before_shuffle = UpConv.before_shuffle
    forward = UpConv.forward


class FoldedDown(Folded):
    """Of a DownConv."""

    forward = DownConv.forward


def folded(net: StyleKernelNet) -> StyleKernelNet:
    """A copy that computes the same, without working out its resampling weights for every frame; for painting only."""
    copy = deepcopy(net)
    for parent in list(copy.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, UpConv):
                setattr(parent, name, FoldedUp(layer))
            elif isinstance(layer, DownConv):
                setattr(parent, name, FoldedDown(layer))
    return copy.eval().requires_grad_(False)
