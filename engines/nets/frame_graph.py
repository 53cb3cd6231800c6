"""What an exported model computes: uint8 in, uint8 out, with colour, padding, strength and memory around the network.

`FrameGraph` and `StyleGraph` are what export turns into frame.onnx and style.onnx, and what the torch engine runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets import colour
from engines.nets.guidance import MARGIN_PX, pad_frame, spread_guidance
from engines.nets.style_kernel import FRAME_TENSORS, STYLE_TENSORS, StyleKernelNet

SMALL = 4  # the small source frame has a quarter of each side
STATISTICS = 16  # [0:3] mean, [3:12] covariance, [12] valid, the rest zero
# Where the small source frames differ by less than AGREE (mean over channels, 0..1) the memory is used fully, from
# DISAGREE on not at all. Sensor noise, averaged over 4 x 4 pixels, stays well under AGREE.
AGREE, DISAGREE = 0.02, 0.063
# Mean difference of the whole small frame, after motion, from which it is another scene and the memory is void.
CUT = 0.12
MOST_MEMORY = 0.52  # share of the memory at smoothing 1
MOST_STATISTICS = 0.9  # the same for the colour statistics


class FrameGraph(nn.Module):
    """One frame of a stream: frame, guide, style, strength, smoothing, memory in; painting and new memory out."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        guide: Tensor,
        keys: Tensor,
        values: Tensor,
        modulation: Tensor,
        hint: Tensor,
        palette: Tensor,
        strength: Tensor,
        smoothing: Tensor,
        memory_painting: Tensor,
        memory_source: Tensor,
        memory_statistics: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Paint a frame.

        frame, memory_painting: uint8 (h, w, 3); guide: the frame as `engines.guide` makes it, uint8 (gh, gw, 3), sides
        multiples of 8; memory_source: uint8 (ceil(h/4), ceil(w/4), 3), both memories already
        moved to where the frame has what they show; memory_statistics: float32 (16,); strength, smoothing: float32
        (), 0..1; the style tensors as `StyleKernelNet.encode_style` gives them, for one style.
        Returns the painting uint8 (h, w, 3), the next memory_source and memory_statistics.
        """
        height, width = frame.shape[:2]
        plain = frame.float()  # (h, w, 3) in 0..255
        padded = pad_frame(plain.permute(2, 0, 1)[None])  # (1, 3, ...)
        small_height, small_width = memory_source.shape[:2]
        start = MARGIN_PX // SMALL
        small = quarter(padded)[:, :, start : start + small_height, start : start + small_width] / 255

        # Where does the memory agree with the picture? Void at the first frame and at a cut.
        remembered = memory_source.permute(2, 0, 1)[None].float() / 255
        difference = (small - remembered).abs().mean(1, keepdim=True)  # (1, 1, h/4, w/4)
        valid = memory_statistics[12] * (difference.mean() < CUT).float()
        near = F.avg_pool2d(difference, 3, stride=1, padding=1, count_include_pad=False)
        gate = ((DISAGREE - near) / (DISAGREE - AGREE)).clamp(0, 1) * (valid * smoothing * MOST_MEMORY)
        next_source = small + gate * (remembered - small)

        # Colour first, with statistics that change slowly.
        mean, covariance = colour.statistics(small)
        now = torch.cat([mean[0], covariance.flatten()])  # (12,)
        slow = now + (memory_statistics[:12] - now) * (valid * smoothing * MOST_STATISTICS)
        matrix, offset = colour.transport(
            slow[None, :3], slow[3:].reshape(1, 3, 3), palette[:, :3], palette[:, 3:].reshape(1, 3, 3)
        )
        # Straight from 0..255 to the -1..1 that the network sees.
        matrix, offset = matrix * (2 / 255), 2 * offset - 1
        style = dict(zip(FRAME_TENSORS, (keys, values, modulation, hint, palette), strict=True))
        guidance = self.net.guide(mapped(pad_frame(guide.permute(2, 0, 1)[None].float()), matrix, offset), style)
        guide_height, guide_width = guide.shape[:2]
        guidance = spread_guidance(guidance, (guide_height, guide_width), (height, width))
        # From here on pixels lie as they do outside, (h, w, 3): memory and frame need no transposition.
        painted = interleave(self.net.paint(mapped(padded, matrix, offset), guidance, style, white=255))
        painted = painted[MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width].clamp(0, 255)
        painted = plain + strength * (painted - plain)
        share = spread(gate)[:height, :width]
        painted = painted + share * (memory_painting.float() - painted)

        flag = torch.ones_like(slow[:1])
        return (
            (painted + 0.5).to(torch.uint8),
            (next_source[0].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8),
            torch.cat([slow, flag, torch.zeros_like(slow[:3])]),
        )


class StyleGraph(nn.Module):
    """A style picture to its tensors, in the order of STYLE_TENSORS."""

    def __init__(self, net: StyleKernelNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """picture: RGB uint8 (h, w, 3), sides from 16 px -> float32 tensors with a leading 1"""
        image = picture.permute(2, 0, 1)[None].float() / 255
        tensors: Mapping[str, Tensor] = self.net.encode_style(image)
        return tuple(tensors[name] for name in STYLE_TENSORS)


def mapped(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Colours c of (1, 3, h, w) become matrix (1, 3, 3) @ c + offset (1, 3), clipped to -1..1."""
    return (matrix @ image.flatten(2) + offset[:, :, None]).clamp(-1, 1).reshape(image.shape)


def quarter(image: Tensor) -> Tensor:
    """(1, 3, h, w), sides multiples of 4 -> the mean over 4 x 4 pixels (1, 3, h/4, w/4)

    One direction after the other, which ONNX Runtime does several times as fast as a pooling of three channels.
    """
    _, _, h, w = image.shape
    rows = image.reshape(3, h // SMALL, SMALL, w).mean(2)
    return rows.reshape(1, 3, h // SMALL, w // SMALL, SMALL).mean(4)


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
