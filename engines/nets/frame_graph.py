"""What an exported model computes: uint8 in, uint8 out, with colour, padding, strength and memory around the network.

`GuideGraph`, `FrameGraph`, `RegionsGraph` and `StyleGraph` are what export turns into guide.onnx, frame.onnx,
regions.onnx and style.onnx, and what the torch engine runs. The guide's graph need not run for every frame: what it
gives holds for the next ones, moved along with the picture (`engines.renewal`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import Parted
from engines.nets.catalogue import StyleNet
from engines.nets.guidance import MARGIN_PX, pad_frame, padded_places, spread_guidance
from engines.nets.style_kernel import GUIDE_TENSORS, StyleKernelNet

# Where the small source frames differ by less than AGREE (mean over channels, 0..1) the memory is used fully, from
# DISAGREE on not at all. Sensor noise, averaged over 4 x 4 pixels, stays well under AGREE.
AGREE, DISAGREE = 0.02, 0.063
MOST_MEMORY = 0.52  # share of the memory at smoothing 1


class GuideGraph(nn.Module):
    """What changes slowly: the style kernels, and what of the painting is computed at 1/8."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, guide: Tensor, colour_map: Tensor, keys: Tensor, values: Tensor, modulation: Tensor, hint: Tensor
    ) -> Tensor:
        """Look at a guide.

        guide: the frame as `engines.guide` makes it, uint8 (gh, gw, 3), sides multiples of 8; colour_map: float32 (12,)
        as `engines.recolour` gives it; the style tensors as `StyleKernelNet.encode_style` gives them, for one style.
        Returns guidance float32 (1, c, gh/4 + 4, gw/4 + 4).
        """
        style = dict(zip(GUIDE_TENSORS, (keys, values, modulation, hint), strict=True))
        padded = pad_frame(guide.permute(2, 0, 1)[None].float())  # (1, 3, gh + 16, gw + 16) in 0..255
        return self.net.guide(recoloured(padded, colour_map), style)


class FrameGraph(nn.Module):
    """One frame of a stream, with a guide's answers and the memory of the last painting."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        small: Tensor,
        guidance: Tensor,
        colour_map: Tensor,
        modulation: Tensor,
        strength: Tensor,
        smoothing: Tensor,
        memory_painting: Tensor,
        memory_source: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Paint a frame.

        frame, memory_painting: uint8 (h, w, 3); small, memory_source: uint8 (ceil(h/4), ceil(w/4), 3), the frame at a
        quarter of its sides and what was remembered as such; both memories already moved to where the frame has what
        they show. guidance: as `GuideGraph` gives it; colour_map: as `engines.recolour` does. modulation: of the style.
        strength, smoothing: float32 (), 0..1; smoothing 0 leaves the memory out.
        Returns the painting uint8 (h, w, 3) and the next memory_source.
        """
        height, width = frame.shape[:2]
        gate, next_source = remembering(small, memory_source, smoothing)
        plain = frame.float()  # (h, w, 3) in 0..255
        seen = recoloured(pad_frame(plain.permute(2, 0, 1)[None]), colour_map)
        painted = painting(self.net, seen, guidance, modulation, (height, width))
        painted = plain + strength * (painted - plain)
        return with_memory(painted, memory_painting, gate), next_source


class RegionsGraph(nn.Module):
    """`FrameGraph` for a frame that has two styles, each where a mask says: people, and what is behind them.

    There is no seam of two paintings: colour maps, kernels and modulation are mixed place by place, and the frame is
    painted once. The strengths are left to whoever blends the painting with the frame.
    """

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        small: Tensor,
        mask: Tensor,
        guidance: Tensor,
        colour_map: Tensor,
        background_colour_map: Tensor,
        modulation: Tensor,
        background_modulation: Tensor,
        smoothing: Tensor,
        memory_painting: Tensor,
        memory_source: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Paint a frame.

        mask: float32 (ceil(h/4), ceil(w/4)), 1 where `colour_map` and `modulation` hold, 0 where those of the
        background do. guidance: of both styles, mixed by the mask. All else as for `FrameGraph`.
        """
        height, width = frame.shape[:2]
        gate, next_source = remembering(small, memory_source, smoothing)
        rows, columns = (padded_places(side, cells) for side, cells in zip((height, width), mask.shape, strict=True))
        share = mask[rows][:, columns][None, None]  # (1, 1, h/4, w/4) of the padded frame
        everywhere = F.interpolate(share, scale_factor=4.0, mode="bilinear", align_corners=False)

        padded = pad_frame(frame.permute(2, 0, 1)[None].float())
        behind = recoloured(padded, background_colour_map)
        seen = behind + everywhere * (recoloured(padded, colour_map) - behind)
        parted = Parted(modulation, background_modulation, share)
        painted = painting(self.net, seen, guidance, parted, (height, width))
        return with_memory(painted, memory_painting, gate), next_source


class StyleGraph(nn.Module):
    """A style picture to its tensors, in the order of `style_tensors`, for any network that looks at pictures."""

    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """picture: RGB uint8 (h, w, 3), sides from 16 px -> float32 tensors with a leading 1"""
        image = picture.permute(2, 0, 1)[None].float() / 255
        tensors = self.net.encode_style(image)
        return tuple(tensors[name] for name in self.net.style_tensors)


def remembering(small: Tensor, memory_source: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """Where the memory agrees with the picture, and the next memory of it; see `FrameGraph.forward`.

    Returns a share of the memory (1, 1, ceil(h/4), ceil(w/4)), and uint8 (ceil(h/4), ceil(w/4), 3).
    """
    source = small.permute(2, 0, 1)[None].float() / 255  # (1, 3, ceil(h/4), ceil(w/4))
    remembered = memory_source.permute(2, 0, 1)[None].float() / 255
    gate, next_source = agreement(source, remembered, smoothing)
    return gate, (next_source[0].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8)


def agreement(source: Tensor, remembered: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """The same of pictures (n, 3, h, w) in 0..1: a share of the memory (n, 1, h, w), and (n, 3, h, w) in 0..1.

    smoothing: of every picture, (n, 1, 1, 1), or of all.
    """
    difference = (source - remembered).abs().mean(1, keepdim=True)
    near = F.avg_pool2d(difference, 3, stride=1, padding=1, count_include_pad=False)
    gate = ((DISAGREE - near) / (DISAGREE - AGREE)).clamp(0, 1) * (smoothing * MOST_MEMORY)
    return gate, source + gate * (remembered - source)


def painting(
    net: StyleKernelNet, seen: Tensor, guidance: Tensor, modulation: Tensor | Parted, size: tuple[int, int]
) -> Tensor:
    """A padded, recoloured frame (1, 3, ...) -> its painting (h, w, 3) in 0..255; size: h and w without padding."""
    height, width = size
    # From here on pixels lie as they do outside, (h, w, 3): memory and frame need no transposition.
    painted = interleave(net.paint(seen, spread_guidance(guidance, size), modulation, white=255))
    return painted[MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width].clamp(0, 255)


def with_memory(painted: Tensor, memory_painting: Tensor, gate: Tensor) -> Tensor:
    """Painting in 0..255 and memory (h, w, 3), mixed by the memory's share -> uint8 (h, w, 3)"""
    share = spread(gate)[: painted.shape[0], : painted.shape[1]]
    painted = painted + share * (memory_painting.float() - painted)
    return (painted + 0.5).to(torch.uint8)


def recoloured(image: Tensor, colour_map: Tensor) -> Tensor:
    """Colours of (1, 3, h, w) in 0..255 by a map (12,) of `engines.recolour`, clipped to -1..1."""
    return mapped(image, colour_map[:9].reshape(1, 3, 3), colour_map[None, 9:, None])


def mapped(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Colours of (n, 3, h, w) in 0..255 by matrices (n, 3, 3) and offsets (n, 3, 1), clipped to -1..1."""
    return (matrix @ image.flatten(2) + offset).clamp(-1, 1).reshape(image.shape)


def spread(gate: Tensor) -> Tensor:
    """A share for every place (1, 1, h/4, w/4) -> for every number of the frame (h, w, 3), interpolated

    The last doubling repeats: half the arithmetic, and a step of two pixels in something this smooth is not seen.
    """
    half = F.interpolate(gate, scale_factor=2.0, mode="bilinear", align_corners=False)
    h, w = half.shape[2:]
    # Six times the same number by a product, two times the same row by a copy: ONNX Runtime is slow at both at once.
    rows = half.reshape(h * w, 1) @ torch.ones(1, 6, dtype=half.dtype, device=half.device)
    return rows.reshape(h, 1, 6 * w).expand(h, 2, 6 * w).reshape(2 * h, 2 * w, 3)


def interleave(phases: Tensor) -> Tensor:
    """(1, 12, h/2, w/2), as before a pixel-shuffle by 2 -> pixels (h, w, 3)

    First the even rows and the odd rows, each whole, then row by row: ONNX Runtime moves long runs of numbers several
    times as fast as a pixel-shuffle's single ones.
    """
    _, _, h, w = phases.shape
    planes = phases.reshape(3, 4, h * w).transpose(0, 1).reshape(2, 6, h * w)  # (i, 3 j + colour, place)
    rows = planes.transpose(1, 2).reshape(2, h, 6 * w)
    return rows.transpose(0, 1).reshape(2 * h, 2 * w, 3)
