"""Style kernels: Xu, Long, Nie, "Learning Dynamic Style Kernels for Artistic Style Transfer", CVPR 2023 (2304.00414).

The paper's parts are modules under the paper's names (`engines.nets.kernels`); layer counts, widths, the closed-form
colour map in front and the texture are choices of this project. The style side (`encode_style`) runs once per picture,
the frame side (`paint`) once per frame.

    guide --recolour--> encoder --> f8 --GS--> dynamic convolution --> decoder up to 1/4 --> guidance
                                     |             ^ kernels, bias                              |
                                     +--> SAE --> CGM --> SKG --> kernels at 1/4 ---------------+
    frame --sharpen, recolour--> encoder up to 1/4 --> f4 --GS--> dynamic convolution --> decoder --> finish
                                       |         texture (of one style) --^                  ^
                                       +--> f2 ----------------------------------------------+
    style --> VGG (frozen) --> style encoder --> keys, values, code (modulation, hint), palette

The guide is the frame at a size of its own: what is computed on it (`guide`) is interpolated to the frame, so that a
large frame costs the thin full-size path alone, and strokes have a size relative to the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets import colour, finish
from engines.nets.blocks import Parted, full, instance_norm, like
from engines.nets.coders import CompactEncoder, Decoder, StyleEncoder, channel_moments
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.guidance import MARGIN_PX, pad_frame, spread_guidance
from engines.nets.kernels import (
    ContentGatingModulation,
    GroupedShuffle,
    StyleAlignmentEncoding,
    StyleKernelGeneration,
    dynamic_convolution,
)
from engines.nets.vgg import VggEncoder

ENDLESS_FROM = "conv2_2"  # of VGG as the frame's encoder; from conv3_1 on, a frame was painted around the picture
STYLE_SIDE_PX = 256  # style pictures are seen at this size
DETAIL_SIDE_PX = 384  # and the strength of their fine detail at this one: that of the pictures in training
GUIDE_TENSORS = ("keys", "values", "modulation", "hint")  # of a style: what `guide` needs
PAINT_TENSORS = ("modulation",)  # and what `paint` needs
# Told by the picture's pixels alone; nothing of them is trained.
MEASURED_TENSORS = ("palette", "tones", "bands", "spectrum")
STYLE_TENSORS = (*GUIDE_TENSORS, *MEASURED_TENSORS)


class StyleKernelNet(nn.Module):
    """The whole network. `encode_style` once per picture, `paint` once per frame."""

    style_tensors: ClassVar[tuple[str, ...]] = STYLE_TENSORS

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        self.config = config
        c4, c8 = config.widths[1:]
        self.vgg = VggEncoder(config.style_levels)
        self.decoder = Decoder(config)
        self.style_encoder = StyleEncoder(config, self.vgg.widths, self.decoder.modulation_size)
        if config.encoder == "vgg":
            widths = zip(self.vgg.widths[1:4], config.widths, strict=True)
            self.to_c2, self.to_c4, self.to_c8 = (nn.Conv2d(v, c, 1) for v, c in widths)
        else:
            self.encoder = CompactEncoder(config)
        self.sae = StyleAlignmentEncoding(c8, config.key_width)
        self.cgm = ContentGatingModulation(c8)
        self.skg = StyleKernelGeneration(config)
        self.gs4 = GroupedShuffle(c4, config.shuffle_groups)
        self.gs8 = GroupedShuffle(c8, config.shuffle_groups)
        if config.texture:
            self.texture = nn.Parameter(torch.zeros(1, c4, config.texture, config.texture))

    @property
    def guidance_channels(self) -> int:
        """Of what `guide` tells: features for the decoder, then kernels at 1/4."""
        return self.config.widths[1] + self.skg.channels4

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> what `encode_seen` needs of it; nothing in here is trained.

        deepest (n, v, 32, 32) and moments (n, 2 x all of VGG's widths), palette (n, 12): mean of R, G, B and the root
        of their covariance, row by row; tones (n, 3, TONES), bands (n, BANDS, 3, LEVELS), spectrum (n, *SPECTRUM):
        see `finish`.
        """
        seen, closely = resized(picture, STYLE_SIDE_PX), resized(picture, DETAIL_SIDE_PX)
        levels = self.vgg(seen)
        mean, covariance = colour.statistics(seen)
        return {
            "deepest": F.adaptive_avg_pool2d(levels[-1], STYLE_SIDE_PX // 8),
            "moments": torch.cat([channel_moments(level) for level in levels], 1),
            "palette": torch.cat([mean, colour.root(covariance).flatten(1)], 1),
            "tones": finish.tones(seen),
            "bands": finish.bands(closely),
            "spectrum": finish.spectrum_of(255 * finish.luma(closely)),
        }

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `see_style` saw -> the tensors of STYLE_TENSORS, batched.

        keys (n, d, tokens), values (n, tokens, c8), modulation (n, m), hint (n, hidden), palette (n, 12),
        tones (n, 3, TONES), bands (n, BANDS, 3, LEVELS), spectrum (n, *SPECTRUM).
        """
        tensors: dict[str, Tensor] = self.style_encoder(seen["deepest"], seen["moments"])
        return tensors | {name: seen[name] for name in MEASURED_TENSORS}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> the tensors of STYLE_TENSORS; see `encode_seen`."""
        return self.encode_seen(self.see_style(picture))

    def recolour(self, image: Tensor, palette: Tensor) -> Tensor:
        """Move the colours of `image` (n, 3, h, w) to the style's palette (n, 12)."""
        with torch.autocast(image.device.type, enabled=False):
            return colour.recolour(image, *self.colour_map(image, palette))

    def colour_map(self, image: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
        """What `recolour` does, as matrices (n, 3, 3) and offsets (n, 3); see `engines.nets.colour.transport`."""
        with torch.autocast(image.device.type, enabled=False):  # in half precision the roots do not converge
            mean, covariance = colour.statistics(image)
            return colour.transport(mean, covariance, palette[:, :3], palette[:, 3:].reshape(-1, 3, 3))

    def encode_4(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image (n, 3, h, w) in -1..1, sides multiples of 8 -> features (n, c2, h/2, w/2) and (n, c4, h/4, w/4)"""
        if self.config.encoder == "vgg":
            _, level2, level4 = self.vgg(0.5 + 0.5 * image, levels=3, endless_from=ENDLESS_FROM)
            return self.to_c2(level2), self.to_c4(level4)
        return self.encoder.to_4(image)

    def encode_8(self, image: Tensor) -> Tensor:
        """image as in `encode_4` -> features at 1/8 (n, c8, h/8, w/8)"""
        if self.config.encoder == "vgg":
            return self.to_c8(self.vgg(0.5 + 0.5 * image, endless_from=ENDLESS_FROM)[3])  # type: ignore[no-any-return]
        return self.encoder.to_8(image)

    def guide(self, recoloured: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """Recoloured guide (n, 3, h, w) in -1..1, sides multiples of 8 -> guidance (n, c, h/4, w/4) for `paint`

        Features for the decoder, then the kernels at 1/4: all that the frame's own size has no part in.
        """
        f8 = self.encode_8(recoloured)
        n8 = instance_norm(f8)
        n, c8, h, w = n8.shape
        attention = self.cgm(self.sae(n8, style["keys"]), n8)  # (n, h w, tokens)
        aligned = (like(attention, n8) @ style["values"]).transpose(1, 2).reshape(n, c8, h, w)
        kernels = self.skg(n8, aligned, style["hint"])
        # Not the normalised features: the recoloured guide has the style's palette already, and keeps it this way.
        y8 = kernels.applied8(self.gs8(f8))
        return torch.cat([self.decoder.to_4(y8, style["modulation"]), kernels.both4], 1)

    def paint(self, recoloured: Tensor, guidance: Tensor, modulation: Tensor | Parted, white: float = 1.0) -> Tensor:
        """Recoloured frame (n, 3, h, w) in -1..1, sides multiples of 8 -> painting around 0..white, not clipped.

        guidance: (n, c, h/4, w/4), from `guide`; modulation: (n, m) of a style, or of two. The painting is
        (n, 12, h/2, w/2), still to be pixel-shuffled by 2.
        """
        c4 = self.config.widths[1]
        coarse, both4 = guidance[:, :c4], guidance[:, c4:]
        f2, f4 = self.encode_4(recoloured)
        y4 = dynamic_convolution(self.textured(self.gs4(f4)), *self.skg.split4(both4))
        return self.decoder.to_1(coarse + y4, f2, modulation, white)

    def textured(self, f4: Tensor) -> Tensor:
        """Features at 1/4 (n, c4, h/4, w/4), plus the texture, if there is one, repeated from the upper left.

        What is convolved of plain ground is plain ground: all strokes that are there come out of the texture. It is
        added before the style kernels, which tell for every place how much of it is seen.
        """
        if not self.config.texture:
            return f4
        height, width = f4.shape[2:]
        times = [(side + self.config.texture - 1) // self.config.texture for side in (height, width)]
        return f4 + self.texture.repeat(1, 1, *times)[:, :, :height, :width]

    def forward(self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None) -> Tensor:
        """Frame (n, 3, h, w) in 0..1 of any size from 16 px -> painting of the same size in 0..1.

        guide_size: height and width of the guide, multiples of 8; None: the frame itself, not scaled, is the guide.
        """
        return self.finished(self.unfinished(image, style, guide_size), style)

    def unfinished(
        self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None
    ) -> Tensor:
        """As `forward`, without what comes after the network (`finish`): its own tones, colours and detail, in 0..1."""
        height, width = image.shape[2:]
        with torch.autocast(image.device.type, enabled=False):
            matrix, offset = self.colour_map(image, style["palette"])
            recoloured = 2 * colour.recolour(image, matrix, offset) - 1
            seen = 2 * colour.recolour(finish.sharpened(image, matrix, style["bands"]), matrix, offset) - 1
        if guide_size is None:
            guidance = self.guide(pad_frame(recoloured), style)
        else:
            guidance = self.guide(pad_frame(F.interpolate(recoloured, guide_size, mode="area")), style)
            guidance = spread_guidance(guidance, (height, width))
        painted = F.pixel_shuffle(full(self.paint(pad_frame(seen), guidance, style["modulation"])), 2)
        return finish.clipped(painted[:, :, MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width])

    def finished(self, painting: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """What `unfinished` paints (n, 3, h, w), with all of the `finish`: what `forward` paints."""
        with torch.autocast(painting.device.type, enabled=False):  # a picture has more tones than a bfloat16 in 0..1
            return finish.finished(painting, style)


def resized(picture: Tensor, side: int) -> Tensor:
    """(n, 3, h, w) -> (n, 3, side, side), bilinear, without aliases"""
    size = (side, side)
    return F.interpolate(picture, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def build(name: str | StyleKernelConfig, seed: int | None = None) -> StyleKernelNet:
    """A network by the name of its configuration or by a configuration; the same seed gives the same network."""
    config = CONFIGS[name] if isinstance(name, str) else name
    if seed is None:
        return StyleKernelNet(config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StyleKernelNet(config)
