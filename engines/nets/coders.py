"""What turns frames into features and features into paintings, and a style picture into tokens and a code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import DownConv, FilterBank, Gain, Modulation, Parted, ResidualBlock, UpConv, instance_norm
from engines.nets.config import StyleKernelConfig


class CompactEncoder(nn.Module):
    """Frame to features at 1/4 and 1/8; every step down is anti-aliased."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        c2, c4, c8 = config.widths
        # A 6x6 kernel at every second pixel: what a pixel-unshuffle by 2 and a 3x3 kernel would see, without the copy.
        self.stem = nn.Conv2d(3, c2, 6, stride=2, padding=2)
        self.down4, self.down8 = DownConv(c2, c4), DownConv(c4, c8)
        self.blocks = nn.ModuleList(ResidualBlock(c8) for _ in range(config.encoder_blocks))

    def to_4(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image (n, 3, h, w) in -1..1, sides multiples of 8 -> (n, c2, h/2, w/2) and (n, c4, h/4, w/4)"""
        f2 = F.relu(self.stem(image))
        return f2, F.relu(self.down4(f2))

    def to_8(self, image: Tensor) -> Tensor:
        """image as in `to_4` -> (n, c8, h/8, w/8)"""
        f8 = F.relu(self.down8(self.to_4(image)[1]))
        for block in self.blocks:
            f8 = block(f8)
        return f8


class StyleEncoder(nn.Module):
    """What VGG sees in a style picture, to a fixed number of tokens and one code of what is the same all over it.

    usual, spread (m), where standardised: mean and deviation, over many style pictures, of the moments that the code
    is made of. Those moments are large and much alike in all pictures: without this, a step of the optimiser moved a
    unit's answer to all of them by more than pictures differ, and nearly all units died. Units begin as the principal
    components of the standardised moments then, see `engines.training.warm_start.measure`.

    usual_deepest, spread_deepest (v), where tokens are standardised: mean and deviation of the channels of VGG's
    deepest map, over the places of many style pictures. The same happened to what the tokens are made of: all of it was
    below 0 for any picture, and rectified. See `engines.training.token_start`.
    """

    def __init__(self, config: StyleKernelConfig, vgg_widths: tuple[int, ...], modulation_size: int) -> None:
        super().__init__()
        self.grid = config.grid
        d = config.style_width
        self.standardised_tokens = config.standardised_tokens
        if self.standardised_tokens:
            self.register_buffer("usual_deepest", torch.zeros(vgg_widths[-1]))
            self.register_buffer("spread_deepest", torch.ones(vgg_widths[-1]))
            self.usual_deepest: Tensor
            self.spread_deepest: Tensor
            self.bend = nn.PReLU(d, 0.2)
        self.deepen = nn.Conv2d(vgg_widths[-1], d, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(d) for _ in range(config.style_blocks))
        self.keys = nn.Conv2d(d, config.key_width, 1)
        self.values = nn.Conv2d(d, config.widths[2], 1)
        moments = 2 * (sum(vgg_widths) + d)
        self.standardised = config.standardised
        if self.standardised:
            self.register_buffer("usual", torch.zeros(moments))
            self.register_buffer("spread", torch.ones(moments))
            self.usual: Tensor
            self.spread: Tensor
        self.code = nn.Sequential(
            nn.Linear(moments, config.code_width),
            nn.PReLU(config.code_width, 0.2) if self.standardised else nn.ReLU(),
        )
        self.modulation = nn.Linear(config.code_width, modulation_size)
        self.hint = nn.Linear(config.code_width, config.hidden_width)
        with torch.no_grad():
            self.modulation.weight.mul_(0.1)
            self.modulation.bias.zero_()

    def forward(self, deepest: Tensor, moments: Tensor) -> dict[str, Tensor]:
        """VGG's deepest map (n, v, h/8, w/8), the moments of all its levels (n, m) -> STYLE_TENSORS but the palette"""
        x = self.deepened(deepest)
        told = self.told(x, moments)
        code = self.code((told - self.usual) / self.spread if self.standardised else told)
        tokens = F.adaptive_avg_pool2d(x, self.grid)  # (n, d, grid, grid)
        normalised = F.adaptive_avg_pool2d(instance_norm(x), self.grid)
        return {
            "keys": self.keys(normalised).flatten(2),
            "values": self.values(tokens).flatten(2).transpose(1, 2),
            "modulation": self.modulation(code),
            "hint": self.hint(code),
        }

    def deepened(self, deepest: Tensor) -> Tensor:
        """VGG's deepest map (n, v, h, w) -> features of its own (n, d, h, w)"""
        if self.standardised_tokens:
            deepest = (deepest - self.usual_deepest[:, None, None]) / self.spread_deepest[:, None, None]
            x: Tensor = self.bend(self.deepen(deepest))
        else:
            x = F.relu(self.deepen(deepest))
        for block in self.blocks:
            x = block(x)
        return x

    @staticmethod
    def told(x: Tensor, moments: Tensor) -> Tensor:
        """What the code is made of, before it is standardised: own features, VGG's moments -> (n, m)"""
        # VGG's moments have a long tail: the logarithm brings them within reach of one linear layer.
        return torch.cat([moments.log1p(), channel_moments(x)], 1)


def channel_moments(x: Tensor) -> Tensor:
    """Means and deviations of every channel: (n, c, h, w) -> (n, 2 c)"""
    flat = x.flatten(2)
    mean = flat.mean(2)
    return torch.cat([mean, ((flat - mean[:, :, None]).square().mean(2) + 1e-5).sqrt()], 1)


class Decoder(nn.Module):
    """Convolved features at 1/8 and 1/4 to the painting; every inner layer is modulated by the style.

    The frame's features at 1/2 come in past all that: at 1/4 there is no room for sharp edges.
    """

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
        self.skip_gain = Gain(c2, starts[-1])
        self.skip = nn.Conv2d(c2, c2, 1, bias=False)
        starts.append(starts[-1] + c2)
        # Last in the vector: weights of a network without banks stay what they are.
        self.banks = nn.ModuleList()
        for width in config.banks:
            self.banks.append(FilterBank(c4, width, starts[-1]))
            starts.append(starts[-1] + c4 * width)
        self.modulation_size = starts[-1]
        with torch.no_grad():
            self.skip.weight.mul_(0.05)  # what is easiest to learn shall not be learned first

    def to_4(self, y8: Tensor, modulation: Tensor) -> Tensor:
        """Convolved features of the guide (n, c8, h/8, w/8), (n, m) -> (n, c4, h/4, w/4)"""
        for block in self.blocks:
            y8 = block(y8, modulation)
        return self.up4(y8)  # type: ignore[no-any-return]

    def to_1(self, y4: Tensor, f2: Tensor, modulation: Tensor | Parted, white: float) -> Tensor:
        """The sum of both paths at 1/4 (n, c4, h/4, w/4) and the frame's features at 1/2 (n, c2, h/2, w/2), (n, m) ->
        painting (n, 12, h/2, w/2), 0..white, not clipped

        Channel 4 c + 2 i + j is colour c of the pixels at (2 y + i, 2 x + j): a pixel-shuffle by 2 gives the picture.
        """
        y = F.relu(self.mod4(y4, modulation))
        y = y + F.relu(self.mod4b(self.conv4(y), modulation))
        for bank in self.banks:
            y = bank(y, modulation)
        y = self.up2(y) + self.skip(self.skip_gain(f2, modulation))  # (n, c2, h/2, w/2)
        y = F.relu(self.mod2(y, modulation))
        return self.up1.before_shuffle(y, 0.5 * white, 0.5 * white)
