"""What an exported model computes for a network that sees nothing but the frame itself, without a guide.

As in `engines.nets.frame_graph`: uint8 in, uint8 out, with strength and memory around the network. The methods before
style kernels are such networks. They all work at the frame's size, and a frame here is the working frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from engines.nets.batch_graph import remembered
from engines.nets.catalogue import StyleNet
from engines.nets.frame_graph import remembering, with_memory


class PlainNet(StyleNet, Protocol):
    """A `StyleNet` that needs no guide."""

    def paint(self, image: Tensor, style: Mapping[str, Tensor], strength: Tensor) -> Tensor:
        """Frames (n, 3, h, w) in 0..1 -> paintings of the same size in 0..1.

        style: its tensors (n, ...) or (1, ...). strength: (n, 1, 1, 1) or (): 0 is the frame itself, 1 the painting.
        """

    def paint_parted(
        self, image: Tensor, style: Mapping[str, Tensor], behind: Mapping[str, Tensor], share: Tensor
    ) -> Tensor:
        """The same in two styles at full strength: `style` where share (n, 1, ceil(h/4), ceil(w/4)) is 1.

        Not for networks of one style.
        """


class PlainFrame(nn.Module):
    """One frame of a stream, with the memory of the last painting."""

    def __init__(self, net: PlainNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Paint a frame.

        In this order: frame uint8 (h, w, 3), small uint8 (ceil(h/4), ceil(w/4), 3), the network's style tensors with a
        leading 1, strength and smoothing float32 (), memory_painting and memory_source, of the sizes of frame and
        small; see `engines.nets.frame_graph.FrameGraph`.
        Returns the painting uint8 (h, w, 3) and the next memory_source.
        """
        frame, small, *tensors, strength, smoothing, memory_painting, memory_source = inputs
        gate, next_source = remembering(small, memory_source, smoothing)
        style = dict(zip(self.net.style_tensors, tensors, strict=True))
        painted = self.net.paint(seen(frame[None]), style, strength)
        return with_memory(pixels(painted)[0], memory_painting, gate), next_source


class PlainRegions(nn.Module):
    """`PlainFrame` for a frame that has two styles, each where a mask says, at full strength."""

    def __init__(self, net: PlainNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Paint a frame.

        In this order: frame, small, mask float32 (ceil(h/4), ceil(w/4)), 1 where the first style holds, the style
        tensors of that and of the other, smoothing, memory_painting, memory_source; all else as for `PlainFrame`.
        """
        frame, small, mask, *tensors, smoothing, memory_painting, memory_source = inputs
        gate, next_source = remembering(small, memory_source, smoothing)
        style, behind = halves(self.net.style_tensors, tensors)
        painted = self.net.paint_parted(seen(frame[None]), style, behind, mask[None, None])
        return with_memory(pixels(painted)[0], memory_painting, gate), next_source


class BatchPlain(nn.Module):
    """`PlainFrame` for n frames of one size; the network may be in half precision."""

    def __init__(self, net: PlainNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        tensors: Sequence[Tensor],
        strength: Tensor,
        memory: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Paint n frames.

        frame: uint8 (n, h, w, 3); tensors: of the styles, (n, ...) in the network's precision; strength: float32 (n,).
        memory: small, memory_painting, memory_source, each uint8 (n, ..., 3), and smoothing float32 (n,).
        Returns paintings uint8 (n, h, w, 3) and the next memory_source, None where there is no memory.
        """
        style = dict(zip(self.net.style_tensors, tensors, strict=True))
        image = seen(frame).to(dtype_of(self.net))
        painted = self.net.paint(image, style, strength[:, None, None, None].to(image.dtype))
        return remembered(pixels(painted), memory)


class BatchPlainRegions(nn.Module):
    """`PlainRegions` for n frames of one size."""

    def __init__(self, net: PlainNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        frame: Tensor,
        mask: Tensor,
        tensors: Sequence[Tensor],
        memory: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """mask: float32 (n, ceil(h/4), ceil(w/4)); tensors: of both styles; all else as for `BatchPlain`."""
        style, behind = halves(self.net.style_tensors, tensors)
        image = seen(frame).to(dtype_of(self.net))
        painted = self.net.paint_parted(image, style, behind, mask[:, None].to(image.dtype))
        return remembered(pixels(painted), memory)


def seen(frame: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) -> float32 (n, 3, h, w) in 0..1"""
    return frame.permute(0, 3, 1, 2).float() / 255


def pixels(painted: Tensor) -> Tensor:
    """(n, 3, h, w) in 0..1 -> float32 (n, h, w, 3) in 0..255"""
    return (255 * painted.float()).clamp(0, 255).permute(0, 2, 3, 1)


def halves(names: Sequence[str], tensors: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of two styles, one after the other, by their names."""
    count = len(names)
    return dict(zip(names, tensors[:count], strict=True)), dict(zip(names, tensors[count:], strict=True))


def dtype_of(net: StyleNet) -> torch.dtype:
    """In which the network computes."""
    return next(net.parameters()).dtype
