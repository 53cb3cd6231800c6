"""Losses of style transfer, one function each, with the paper and section they are from.

Features are (n, c, h, w) of one layer of the loss network, images (n, 3, h, w) in 0..1. Distances are relative to the
target's own size where that is said: it balances layers of any scale and depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from engines.nets.blocks import full, instance_norm
from engines.nets.finish import luma

EPS = 1e-5
COARSE_PX = 16  # what `coarse` leaves to strokes is smaller than this
GRID_LINES = 16  # taken together: a side of what `grid` looks at is a multiple of it
_GRID_NEAR = (3, 4, 5, 6)  # bins from a harmonic to its neighbours: outside the window's lobe
# Linear sRGB to X, Y, Z (IEC 61966-2-1), each divided by its value for white D65.
_TO_XYZ = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)


def relative(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|^2 / |b|^2, per sample and then averaged; `b` is the target."""
    difference = (a - b).flatten(1).square().sum(1)
    return (difference / (b.flatten(1).square().sum(1) + EPS)).mean()


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel: (n, c), (n, c), not in half precision."""
    mean, deviation = _Moments.apply(features)  # type: ignore[no-untyped-call]
    return mean, deviation


class _Moments(torch.autograd.Function):
    """Written out: the gradient has the features' own layout and precision.

    What autograd makes of means over places is spread out by strides of 0, in fp32: adding it to the gradient that
    comes from deeper layers, and taking it through a ReLU, took most of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, h, w) -> (n, c), (n, c)"""
        places = _places(full(features))  # (n, h w, c)
        mean = places.mean(1)
        deviation = ((places - mean[:, None]).square().mean(1) + EPS).sqrt()
        ctx.save_for_backward(features, mean, deviation)
        return mean, deviation

    @staticmethod
    def backward(ctx: Any, of_mean: Tensor, of_deviation: Tensor) -> Tensor:
        features, mean, deviation = ctx.saved_tensors
        places = features[0, 0].numel()
        slope = of_deviation / (places * deviation)  # (n, c)
        offset = of_mean / places - slope * mean
        slope, offset = (part[:, :, None, None].to(features.dtype) for part in (slope, offset))
        return torch.addcmul(offset, features, slope)


def _places(features: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, h w, c), without a copy where they are laid out channels_last, as loss networks' are"""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def content(painted: Tensor, photo: Tensor) -> Tensor:
    """Relative distance of instance-normalised features (Gatys et al. 2016, sec. 2.1; normalised as in AdaAttN)."""
    return relative(instance_norm(painted), instance_norm(photo))


def style_moments(painted: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Relative distance of channel means and deviations to the style's (Huang & Belongie 2017, eq. 13).

    Both the `moments` of one layer: two of (n, c).
    """
    return torch.stack([relative(own, wanted) for own, wanted in zip(painted, style, strict=True)]).sum()


def contrast(painted: list[Tensor], styles: list[Tensor], own: Tensor, temperature: float = 0.05) -> Tensor:
    """Is a painting nearer to its own style than to all the others? (InfoNCE, van den Oord et al. 2018, eq. 4.)

    painted: statistics of the paintings, (n, c) each, for example the `moments` of some layers; styles: the same of all
    styles, (s, c) each; own (n,): which of these is the painting's. Near is what has a small relative distance, in
    the mean over the statistics. 0 where every painting is by far nearest to its own style, log s where all are alike.
    """
    parts = []
    for ours, theirs in zip(painted, styles, strict=True):
        size = theirs.square().sum(1)  # (s,)
        between = ours.square().sum(1, keepdim=True) - 2 * ours @ theirs.T + size  # (n, s)
        parts.append(between.clamp_min(0) / (size + EPS))
    return F.cross_entropy(-torch.stack(parts).mean(0) / temperature, own)


def gram(features: Tensor) -> Tensor:
    """Gram matrix (n, c, c), per place (Gatys et al. 2016, eq. 3)."""
    if features.is_contiguous(memory_format=torch.channels_last):  # so is the gradient, then
        flat = _places(features).transpose(1, 2)
    else:
        flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_gram(painted: Tensor, target: Tensor) -> Tensor:
    """Relative distance of Gram matrices (Gatys et al. 2016, eq. 4); `target` is the style's Gram matrix."""
    return relative(gram(painted), target)


def own_palette(unfinished: Tensor, palette: Tensor) -> Tensor:
    """How far a painting's own means and deviations of R, G, B are from its style's, before the finish.

    unfinished: (n, 3, h, w) in 0..1; palette (n, 12): the style's mean, and the root of its covariance. The finish
    makes any colours the style's, within limits: losses of what is finished do not see a network's own contrast fade
    away, until those limits are reached and the colours are lost.
    """
    mean, deviation = moments(unfinished)  # (n, 3), (n, 3)
    wanted = palette[:, 3:].reshape(-1, 3, 3).square().sum(2).sqrt()  # of root rootᵀ, its diagonal
    return F.mse_loss(mean, palette[:, :3]) + F.mse_loss(deviation, wanted)


def coarse(painted: Tensor, plain: Tensor) -> Tensor:
    """Mean squared distance of the colours of two pictures (n, 3, h, w) in 0..1, each averaged over COARSE_PX squares.

    plain: the photo in the style's colours. Content losses look at normalised features: they let a network that has
    one style alone lay its grounds where it likes, over faces as well; strokes are left free by this one.
    """
    return F.mse_loss(F.avg_pool2d(painted, COARSE_PX), F.avg_pool2d(plain, COARSE_PX))


def palette(painted: Tensor, style: Tensor, directions: int = 16, pixels: int = 4096) -> Tensor:
    """Sliced Wasserstein distance of the colours of two images, in CIE Lab / 100 (Rabin et al. 2011, sec. 2.2).

    At most `pixels` random pixels of either image, (n, 3, h, w) and (n, 3, any, any) in 0..1, are compared along
    random directions.
    """
    count = min(pixels, painted[0, 0].numel(), style[0, 0].numel())

    def sample(image: Tensor) -> Tensor:
        flat = image.flatten(2)
        chosen = torch.randint(flat.shape[2], (count,), device=flat.device)
        return lab(flat[:, :, chosen]) / 100  # (n, 3, count)

    along = torch.randn(directions, 3, dtype=painted.dtype, device=painted.device)
    along = along / along.norm(dim=1, keepdim=True)
    own, wanted = ((along @ sample(image)).sort(2).values for image in (painted, style))
    return (own - wanted).abs().mean()  # type: ignore[no-any-return]


def lab(colours: Tensor) -> Tensor:
    """sRGB colours (n, 3, k) in 0..1 -> CIE Lab of white D65: L 0..100, a and b about -127..127 (CIE 15, 8.2.1)."""
    dark = colours <= 0.04045
    linear = torch.where(dark, colours / 12.92, ((colours.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = colours.new_tensor(_TO_XYZ) @ linear  # of white: 1, 1, 1
    low = xyz <= (6 / 29) ** 3
    root = torch.where(low, xyz * (29 / 6) ** 2 / 3 + 4 / 29, xyz.clamp(min=(6 / 29) ** 3) ** (1 / 3))
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def remd(painted: Tensor, style: Tensor, places: int = 256) -> Tensor:
    """Relaxed earth mover's distance with the cosine as cost (Kolkin et al. 2019, STROTSS, sec. 2.2, eq. 4 to 6).

    At most `places` random places of either picture are compared.
    """

    def sample(features: Tensor) -> Tensor:
        flat = features.flatten(2)
        if flat.shape[2] > places:
            flat = flat[:, :, torch.randperm(flat.shape[2], device=flat.device)[:places]]
        return F.normalize(flat, dim=1)

    cost = 1 - sample(painted).transpose(1, 2) @ sample(style)  # (n, painted places, style places)
    return torch.maximum(cost.amin(2).mean(1), cost.amin(1).mean(1)).mean()


def local_attention_target(photo: Tensor, style: Tensor) -> Tensor:
    """What every place of the photo should look like: AdaAttN without parameters (Liu et al. 2021, sec. 3.3, eq. 8).

    Attention of normalised photo features over normalised style features; mean and deviation of the style features
    under that attention modulate the normalised photo features. photo (n, c, h, w), style (n, c, h', w').
    """
    query = instance_norm(photo).flatten(2).transpose(1, 2)  # (n, h w, c)
    key = instance_norm(style).flatten(2)  # (n, c, h' w')
    value = style.flatten(2).transpose(1, 2)  # (n, h' w', c)
    attention = torch.softmax(query @ key, dim=2)  # unscaled, as in the paper's code
    mean = attention @ value
    variance = (attention @ value.square() - mean.square()).clamp_min(0)
    target = (variance + EPS).sqrt() * query + mean  # (n, h w, c)
    return target.transpose(1, 2).reshape(photo.shape)


def local_attention(painted: Tensor, target: Tensor) -> Tensor:
    """Relative distance to `local_attention_target` (AdaAttN, eq. 8)."""
    return relative(painted, target)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbours (Johnson et al. 2016, sec. 3.2)."""
    down = (image[:, :, 1:] - image[:, :, :-1]).square().mean()
    return down + (image[:, :, :, 1:] - image[:, :, :, :-1]).square().mean()


def grid(image: Tensor) -> Tensor:
    """How far the frequencies of pixel-shuffles stand out of the spectrum of the luma, as log power; 0: not at all.

    The harmonics k / 8 per pixel along both axes, beside their neighbours: `artefacts.grid_energy` with a gradient, for
    crops (n, 3, h, w) of sides that are multiples of 16 and at least 96.
    """
    grey = luma(image)[:, 0]
    return torch.stack([_grid_peaks(lines) for lines in (grey, grey.transpose(1, 2))]).mean()


def _grid_peaks(lines: Tensor) -> Tensor:
    """lines: (n, h, w) -> the mean excess of log power at the harmonics of w / 8"""
    n, height, width = lines.shape
    window = torch.hann_window(width, dtype=lines.dtype, device=lines.device)
    spectrum = torch.fft.rfft((lines - lines.mean(2, keepdim=True)) * window).abs().square()  # (n, h, w/2 + 1)
    # Lines together, as `grid_energy` has them: the logarithm of a single one tells of chance.
    bands = spectrum.reshape(n, height // GRID_LINES, GRID_LINES, -1).mean(2)
    power = (bands + window.square().sum() / 12 / 255**2).log().mean((0, 1))  # (w/2 + 1,)
    excess = []
    for harmonic in range(1, 5):
        at = harmonic * width // 8
        off = torch.tensor([sign * far for far in _GRID_NEAR for sign in (-1, 1)], device=lines.device)
        near = width // 2 - (width // 2 - (at + off)).abs()  # beyond the highest frequency the spectrum is mirrored
        excess.append(F.relu(power[at] - power[near].mean()))
    return torch.stack(excess).mean()


def reconstruction(painted: Tensor, photo: Tensor) -> Tensor:
    """Identity loss: a picture painted in its own style is the picture (Park & Lee 2019, SANet, sec. 3.2)."""
    return relative(painted, photo)


def temporal(painted: Tensor, moved: Tensor, valid: Tensor) -> Tensor:
    """Mean squared difference of a frame's painting and the moved painting of the frame before, where it is valid.

    The synthetic-motion form of the short-term loss of Huang et al. 2017 ("Real-Time Neural Style Transfer for
    Videos", sec. 3.2). `valid` (n, 1, h, w) in 0..1.
    """
    return ((painted - moved).square() * valid).sum() / (valid.sum() * painted.shape[1] + EPS)


def adversarial_generator(scores: Tensor) -> Tensor:
    """Least-squares GAN, the painter's side (Mao et al. 2017, eq. 2): fakes should score 1."""
    return (scores - 1).square().mean()


def adversarial_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Least-squares GAN, the critic's side (Mao et al. 2017, eq. 2): real 1, fake 0."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())
