"""Style kernels: Xu, Long, Nie, "Learning Dynamic Style Kernels for Artistic Style Transfer", CVPR 2023 (2304.00414).

The paper's parts are modules under the paper's names (SAE, CGM, SKG, GS); layer counts, widths, the exact gate and the
closed-form colour map in front are choices of this project. The style side (`encode_style`) runs once per picture, the
frame side (`paint`) once per frame.

    frame --recolour--> encoder --> f4, f8 ----GS----> dynamic convolution --> decoder --> painting
                                     |                     ^ kernels, bias
                                     +--> SAE --> CGM --> SKG
    style --> VGG (frozen) --> style encoder --> keys, values, code (modulation, hint), palette
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets import colour
from engines.nets.blocks import DownConv, Modulation, ResidualBlock, UpConv, instance_norm
from engines.nets.vgg import VggEncoder

MULTIPLE_PX = 8  # the frame side works down to 1/8
MARGIN_PX = 8  # real picture repeated around the frame, so that zero padding inside never draws a frame
STYLE_SIDE_PX = 256  # style pictures are seen at this size
STYLE_TENSORS = ("keys", "values", "modulation", "hint", "palette")


@dataclass(frozen=True, slots=True)
class StyleKernelConfig:
    """Sizes of one style-kernel network. Widths are channels at 1/2, 1/4 and 1/8 of the frame."""

    encoder: Literal["compact", "vgg"] = "compact"
    widths: tuple[int, int, int] = (16, 32, 64)
    style_levels: int = 3  # of VGG, that the style side sees: 3 is up to relu3_1, 4 up to relu4_1
    style_width: int = 96
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    style_blocks: int = 2
    key_width: int = 64
    code_width: int = 192
    hidden_width: int = 96
    grid: int = 16
    kernel_size: int = 3  # taps of a kernel at 1/8
    kernel_size4: int = 1  # taps at 1/4; 1 is a gain for every place
    groups4: int = 8
    groups8: int = 16
    shuffle_groups: int = 4

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StyleKernelConfig:
        """The inverse of `as_dict`; lists (from JSON) become tuples."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a bundle's description."""
        return asdict(self)


CONFIGS: dict[str, StyleKernelConfig] = {
    "live": StyleKernelConfig(),
    # The paper's shape: VGG features up to relu4_1 for frame and style, a decoder that mirrors the encoder.
    "studio": StyleKernelConfig(
        encoder="vgg",
        widths=(64, 128, 256),
        style_levels=4,
        style_width=192,
        encoder_blocks=0,
        decoder_blocks=2,
        key_width=128,
        code_width=256,
        hidden_width=192,
        kernel_size4=3,
        groups4=16,
        groups8=64,
        shuffle_groups=8,
    ),
}


class StyleAlignmentEncoding(nn.Module):
    """SAE: attention of the frame's places (queries) over the style's tokens (keys), both normalised."""

    def __init__(self, width: int, key_width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, key_width, 1)
        self.scale = key_width**-0.5

    def forward(self, normalised: Tensor, keys: Tensor) -> Tensor:
        """Normalised features (n, c, h, w), keys (n, d, tokens) -> attention (n, h w, tokens), rows sum to 1."""
        queries = self.query(normalised).flatten(2).transpose(1, 2)  # (n, h w, d)
        return torch.softmax(queries @ (keys * self.scale), dim=2)  # (n, h w, tokens)


class ContentGatingModulation(nn.Module):
    """CGM: a threshold learned from the content masks weakly related style places out of the attention.

    threshold = sigmoid(W content) / tokens. The largest weight of a row is at least 1 / tokens, so a row is never
    emptied; what is left is scaled back to a sum of 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.threshold = nn.Conv2d(width, 1, 1)

    def forward(self, attention: Tensor, normalised: Tensor) -> Tensor:
        """attention (n, h w, tokens), content (n, c, h, w) -> gated attention (n, h w, tokens), rows sum to 1."""
        gate = torch.sigmoid(self.threshold(normalised)).flatten(2).transpose(1, 2)  # (n, h w, 1)
        kept = F.relu(attention - gate / attention.shape[2])
        return kept / (kept.sum(2, keepdim=True) + 1e-8)


@dataclass(frozen=True, slots=True)
class Kernels:
    """What SKG predicts for every place: separable kernels for 1/8 and 1/4, and a bias at 1/8.

    vertical8, horizontal8: (n, taps, groups8, h/8, w/8); vertical4, horizontal4: (n, taps, groups4, h/4, w/4), the
    latter None where a kernel at 1/4 is a single gain; bias8: (n, c8, h/8, w/8).
    """

    vertical8: Tensor
    horizontal8: Tensor
    vertical4: Tensor
    horizontal4: Tensor | None
    bias8: Tensor


class StyleKernelGeneration(nn.Module):
    """SKG: content, aligned style and the global style hint become separable kernels and a bias for every place."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        self.taps8, self.taps4 = config.kernel_size, config.kernel_size4
        self.groups8, self.groups4 = config.groups8, config.groups4
        self.directions4 = 1 if self.taps4 == 1 else 2  # one tap needs no second direction
        self.width = config.widths[2]
        self.hidden = nn.Conv2d(2 * self.width, config.hidden_width, 1)
        self.kernels = nn.Conv2d(config.hidden_width, 2 * self.taps8 * self.groups8 + self.width, 1)
        self.kernels4 = nn.Conv2d(config.hidden_width, self.directions4 * self.taps4 * self.groups4, 1)
        parts = (
            (self.kernels, self.groups8, self.taps8, 2),
            (self.kernels4, self.groups4, self.taps4, self.directions4),
        )
        for layer, groups, taps, directions in parts:
            # Kernels start as the identity: the centre tap is 1.
            assert layer.bias is not None
            with torch.no_grad():
                layer.weight.mul_(0.2)
                layer.bias.zero_()
                for direction in range(directions):
                    centre = (direction * taps + taps // 2) * groups
                    layer.bias[centre : centre + groups] = 1.0

    def forward(self, normalised: Tensor, aligned: Tensor, hint: Tensor) -> Kernels:
        """normalised, aligned (n, c8, h/8, w/8), hint (n, hidden) -> Kernels"""
        n, _, h, w = normalised.shape
        hidden = F.relu(self.hidden(torch.cat([normalised, aligned], 1)) + hint[:, :, None, None])
        size = self.taps8 * self.groups8
        vertical8, horizontal8, bias8 = self.kernels(hidden).split([size, size, self.width], 1)
        fine = F.interpolate(self.kernels4(hidden), scale_factor=2.0, mode="bilinear", align_corners=False)
        fine = fine.reshape(n, self.directions4, self.taps4, self.groups4, 2 * h, 2 * w)
        return Kernels(
            vertical8.reshape(n, self.taps8, self.groups8, h, w),
            horizontal8.reshape(n, self.taps8, self.groups8, h, w),
            fine[:, 0],
            fine[:, 1] if self.directions4 == 2 else None,
            bias8,
        )


class GroupedShuffle(nn.Module):
    """GS: channels are seen as `groups` rows and read by columns, so that neighbours come from different groups."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels cannot be shuffled in {groups} groups; take a divisor")
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w): channel g * (c / groups) + i moves to i * groups + g"""
        return F.channel_shuffle(x, self.groups)


def dynamic_convolution(x: Tensor, vertical: Tensor, horizontal: Tensor | None) -> Tensor:
    """Convolve every place with its own separable kernel; outside the picture the edge is repeated.

    x: (n, c, h, w). vertical, horizontal: (n, taps, groups, h, w), applied in this order (None: left out); channel j
    uses the kernel of group j % groups, which makes a kernel a broadcast over blocks of channels. Returns (n, c, h, w).
    """
    n, c, h, w = x.shape
    groups = vertical.shape[2]
    y = x.reshape(n, c // groups, groups, h, w)
    y = _along(y, vertical, 3)
    return (y if horizontal is None else _along(y, horizontal, 4)).reshape(n, c, h, w)


def _along(x: Tensor, kernels: Tensor, axis: int) -> Tensor:
    """One direction of `dynamic_convolution`: x (n, blocks, groups, h, w), kernels (n, taps, groups, h, w)."""
    n, blocks, groups, h, w = x.shape
    taps, length = kernels.shape[1], x.shape[axis]
    if taps == 1:
        return x * kernels[:, None, 0]
    reach = taps // 2
    pad = (0, 0, reach, reach) if axis == 3 else (reach, reach, 0, 0)
    padded = F.pad(x.reshape(n, blocks * groups, h, w), pad, mode="replicate")
    padded = padded.reshape(n, blocks, groups, *padded.shape[2:])
    y = padded.narrow(axis, 0, length) * kernels[:, None, 0]
    for k in range(1, taps):
        y = y + padded.narrow(axis, k, length) * kernels[:, None, k]
    return y


class CompactEncoder(nn.Module):
    """Frame to features at 1/4 and 1/8; every step down is anti-aliased."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        c2, c4, c8 = config.widths
        # A 6x6 kernel at every second pixel: what a pixel-unshuffle by 2 and a 3x3 kernel would see, without the copy.
        self.stem = nn.Conv2d(3, c2, 6, stride=2, padding=2)
        self.down4, self.down8 = DownConv(c2, c4), DownConv(c4, c8)
        self.blocks = nn.ModuleList(ResidualBlock(c8) for _ in range(config.encoder_blocks))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image (n, 3, h, w) in -1..1, sides multiples of 8 -> (n, c4, h/4, w/4), (n, c8, h/8, w/8)"""
        x = F.relu(self.stem(image))  # (n, c2, h/2, w/2)
        f4 = F.relu(self.down4(x))
        f8 = F.relu(self.down8(f4))
        for block in self.blocks:
            f8 = block(f8)
        return f4, f8


class StyleEncoder(nn.Module):
    """What VGG sees in a style picture, to a fixed number of tokens and one code of what is the same all over it."""

    def __init__(self, config: StyleKernelConfig, vgg_widths: tuple[int, ...], modulation_size: int) -> None:
        super().__init__()
        self.grid = config.grid
        d = config.style_width
        self.deepen = nn.Conv2d(vgg_widths[-1], d, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(d) for _ in range(config.style_blocks))
        self.keys = nn.Conv2d(d, config.key_width, 1)
        self.values = nn.Conv2d(d, config.widths[2], 1)
        self.code = nn.Sequential(nn.Linear(2 * (sum(vgg_widths) + d), config.code_width), nn.ReLU())
        self.modulation = nn.Linear(config.code_width, modulation_size)
        self.hint = nn.Linear(config.code_width, config.hidden_width)
        with torch.no_grad():
            self.modulation.weight.mul_(0.1)
            self.modulation.bias.zero_()

    def forward(self, deepest: Tensor, moments: Tensor) -> dict[str, Tensor]:
        """VGG's deepest map (n, v, h/8, w/8), the moments of all its levels (n, m) -> STYLE_TENSORS but the palette"""
        x = F.relu(self.deepen(deepest))
        for block in self.blocks:
            x = block(x)
        # VGG's moments have a long tail: the logarithm brings them within reach of one linear layer.
        code = self.code(torch.cat([moments.log1p(), channel_moments(x)], 1))
        tokens = F.adaptive_avg_pool2d(x, self.grid)  # (n, d, grid, grid)
        normalised = F.adaptive_avg_pool2d(instance_norm(x), self.grid)
        return {
            "keys": self.keys(normalised).flatten(2),
            "values": self.values(tokens).flatten(2).transpose(1, 2),
            "modulation": self.modulation(code),
            "hint": self.hint(code),
        }


def channel_moments(x: Tensor) -> Tensor:
    """Means and deviations of every channel: (n, c, h, w) -> (n, 2 c)"""
    flat = x.flatten(2)
    mean = flat.mean(2)
    return torch.cat([mean, ((flat - mean[:, :, None]).square().mean(2) + 1e-5).sqrt()], 1)


class Decoder(nn.Module):
    """Convolved features at 1/8 and 1/4 to the painting; every inner layer is modulated by the style."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        c2, c4, c8 = config.widths
        starts = [0]

        def modulation(channels: int) -> int:
            starts.append(starts[-1] + 2 * channels)
            return starts[-2]

        self.blocks = nn.ModuleList(ResidualBlock(c8, modulation(c8)) for _ in range(config.decoder_blocks))
        self.up4 = UpConv(c8, c4)
        self.mod4 = Modulation(c4, modulation(c4))
        self.conv4 = nn.Conv2d(c4, c4, 3, padding=1)
        self.mod4b = Modulation(c4, modulation(c4))
        self.up2 = UpConv(c4, c2)
        self.mod2 = Modulation(c2, modulation(c2))
        self.up1 = UpConv(c2, 3)
        self.modulation_size = starts[-1]

    def forward(self, y4: Tensor, y8: Tensor, modulation: Tensor) -> Tensor:
        """(n, c4, h/4, w/4), (n, c8, h/8, w/8), (n, m) -> painting (n, 12, h/2, w/2), not clipped

        Channel 4 c + 2 i + j is colour c of the pixels at (2 y + i, 2 x + j): a pixel-shuffle by 2 gives the picture.
        """
        for block in self.blocks:
            y8 = block(y8, modulation)
        y = F.relu(self.mod4(self.up4(y8) + y4, modulation))  # (n, c4, h/4, w/4)
        y = y + F.relu(self.mod4b(self.conv4(y), modulation))
        y = F.relu(self.mod2(self.up2(y), modulation))  # (n, c2, h/2, w/2)
        return 0.5 + 0.5 * self.up1.before_shuffle(y)


class StyleKernelNet(nn.Module):
    """The whole network. `encode_style` once per picture, `paint` once per frame."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        self.config = config
        c4, c8 = config.widths[1:]
        self.vgg = VggEncoder(config.style_levels)
        self.decoder = Decoder(config)
        self.style_encoder = StyleEncoder(config, self.vgg.widths, self.decoder.modulation_size)
        if config.encoder == "vgg":
            self.to_c4, self.to_c8 = (nn.Conv2d(v, c, 1) for v, c in zip(self.vgg.widths[2:4], (c4, c8), strict=True))
        else:
            self.encoder = CompactEncoder(config)
        self.sae = StyleAlignmentEncoding(c8, config.key_width)
        self.cgm = ContentGatingModulation(c8)
        self.skg = StyleKernelGeneration(config)
        self.gs4 = GroupedShuffle(c4, config.shuffle_groups)
        self.gs8 = GroupedShuffle(c8, config.shuffle_groups)

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> what `encode_seen` needs of it; nothing in here is trained.

        deepest (n, v, 32, 32) and moments (n, 2 x all of VGG's widths), palette (n, 12): mean of R, G, B and the root
        of their covariance, row by row.
        """
        seen = F.interpolate(
            picture, size=(STYLE_SIDE_PX, STYLE_SIDE_PX), mode="bilinear", align_corners=False, antialias=True
        ).clamp(0, 1)
        levels = self.vgg(seen)
        mean, covariance = colour.statistics(seen)
        return {
            "deepest": F.adaptive_avg_pool2d(levels[-1], STYLE_SIDE_PX // 8),
            "moments": torch.cat([channel_moments(level) for level in levels], 1),
            "palette": torch.cat([mean, colour.root(covariance).flatten(1)], 1),
        }

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `see_style` saw -> the tensors of STYLE_TENSORS, batched.

        keys (n, d, tokens), values (n, tokens, c8), modulation (n, m), hint (n, hidden), palette (n, 12).
        """
        tensors: dict[str, Tensor] = self.style_encoder(seen["deepest"], seen["moments"])
        return tensors | {"palette": seen["palette"]}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> the tensors of STYLE_TENSORS; see `encode_seen`."""
        return self.encode_seen(self.see_style(picture))

    def recolour(self, image: Tensor, palette: Tensor) -> Tensor:
        """Move the colours of `image` (n, 3, h, w) to the style's palette (n, 12)."""
        mean, covariance = colour.statistics(image)
        style_root = palette[:, 3:].reshape(-1, 3, 3)
        return colour.recolour(image, *colour.transport(mean, covariance, palette[:, :3], style_root))

    def paint(self, recoloured: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """Recoloured frame (n, 3, h, w) in -1..1, sides multiples of 8 -> painting around 0..1, not clipped.

        The painting is (n, 12, h/2, w/2), still to be pixel-shuffled by 2.
        """
        if self.config.encoder == "vgg":
            levels = self.vgg(0.5 + 0.5 * recoloured)
            f4, f8 = self.to_c4(levels[2]), self.to_c8(levels[3])
        else:
            f4, f8 = self.encoder(recoloured)
        n8 = instance_norm(f8)
        n, c8, h, w = n8.shape
        attention = self.cgm(self.sae(n8, style["keys"]), n8)  # (n, h w, tokens)
        aligned = (attention @ style["values"]).transpose(1, 2).reshape(n, c8, h, w)
        kernels = self.skg(n8, aligned, style["hint"])
        # Not the normalised features: the recoloured frame has the style's palette already, and keeps it this way.
        y8 = dynamic_convolution(self.gs8(f8), kernels.vertical8, kernels.horizontal8) + kernels.bias8
        y4 = dynamic_convolution(self.gs4(f4), kernels.vertical4, kernels.horizontal4)
        return self.decoder(y4, y8, style["modulation"])  # type: ignore[no-any-return]

    def forward(self, image: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """Frame (n, 3, h, w) in 0..1 of any size from 16 px -> painting of the same size in 0..1."""
        height, width = image.shape[2:]
        padded = pad_frame(self.recolour(image, style["palette"]))
        painted = F.pixel_shuffle(self.paint(2 * padded - 1, style), 2)
        return painted[:, :, MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width].clamp(0, 1)


def pad_frame(image: Tensor) -> Tensor:
    """Repeat the edge: MARGIN_PX all around and up to the next multiple of MULTIPLE_PX below and right."""
    height, width = image.shape[2:]
    below, right = -height % MULTIPLE_PX, -width % MULTIPLE_PX
    return F.pad(image, (MARGIN_PX, MARGIN_PX + right, MARGIN_PX, MARGIN_PX + below), mode="replicate")


def build(name: str | StyleKernelConfig, seed: int | None = None) -> StyleKernelNet:
    """A network by the name of its configuration or by a configuration; the same seed gives the same network."""
    config = CONFIGS[name] if isinstance(name, str) else name
    if seed is None:
        return StyleKernelNet(config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StyleKernelNet(config)
