"""What is around the network, for tensors and with a gradient: `engines.sharpening` before it, then `engines.tone`,
`engines.balance` and `engines.bands`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.balance import MOST_BALANCE
from engines.bands import (
    BANDS,
    COARSE,
    FILTERED_AFTER,
    FINE,
    GAP,
    KERNELS,
    LEVELS,
    LUMA,
    OVERSHOOT,
    STEEPEST,
    STEPS_PX,
    TURNS,
    WANTED_SHARE,
)
from engines.nets import colour
from engines.sharpening import FLOOR, LEAST_GAIN, MOST_GAIN
from engines.spectrum import (
    COLUMNS,
    LEAST_AMPLIFIED,
    LEAST_POWER,
    MOST_AMPLIFIED,
    REACH_PX,
    SHARE,
    STEP_TILES,
    TAPER,
    TILE_PX,
    step_rows,
)
from engines.tone import STEEPEST as STEEPEST_TONES
from engines.tone import TONE_GAP, TONE_SHARE, TONES, places

_LEAST_VARIANCE = 1e-6  # of colours that a gradient is told apart from


def finished(painting: Tensor, style: Mapping[str, Tensor]) -> Tensor:
    """All of it: a painting (n, 3, h, w) in 0..1 with the tones, the palette and the detail of its style."""
    painting = _without_colour_gradient(painting)
    return detailed(balanced(toned(painting, style["tones"]), style["palette"]), style["bands"], style["spectrum"])


class _WithoutColourGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        colours: Tensor = x.flatten(2)  # (n, 3, h w)
        colours = colours - colours.mean(2, keepdim=True)
        rest = gradient.flatten(2)
        rest = rest - rest.mean(2, keepdim=True)
        identity = torch.eye(3, device=x.device, dtype=x.dtype)
        covariance = colours @ colours.transpose(1, 2) / colours.shape[2] + _LEAST_VARIANCE * identity
        share: Tensor = torch.linalg.solve(covariance, colours @ rest.transpose(1, 2) / colours.shape[2])  # (n, 3, 3)
        rest = rest - share.transpose(1, 2) @ colours
        return rest.reshape(gradient.shape)


def _without_colour_gradient(painting: Tensor) -> Tensor:
    """(n, 3, h, w) as it is; its gradient is without what would only change all colours by one affine map.

    The finish undoes such a change. Its maps are constants for the gradient, though, and without this an error that
    they leave pushes on in every step: the painting's own contrast fades, its mean drifts away, and no loss is less.
    """
    return _WithoutColourGradient.apply(painting)  # type: ignore[no-any-return, no-untyped-call]


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outwards = ((x < 0) & (gradient > 0)) | ((x > 1) & (gradient < 0))  # a step goes against the gradient
        return gradient.masked_fill(outwards, 0)


def clipped(painting: Tensor) -> Tensor:
    """To 0..1. What lies outside has a gradient all the same where that leads back in.

    Without it a painting that is black all over never learns again; and the finish makes all brightnesses one, so that
    nothing keeps the network's own from drifting there.
    """
    return _Clipped.apply(painting)  # type: ignore[no-any-return, no-untyped-call]


def tones(image: Tensor) -> Tensor:
    """`engines.tone.tones_of` for tensors: (n, 3, h, w) -> (n, 3, TONES)"""
    ordered = image[:, :, ::2, ::2].flatten(2).sort(2).values
    return ordered[:, :, places(ordered.shape[2])]


def toned(painting: Tensor, wanted: Tensor) -> Tensor:
    """`engines.tone.curves` of a painting (n, 3, h, w) in 0..1, applied to it; wanted: (n, 3, TONES).

    For the gradient the curves are constants.
    """
    own = tones(painting.detach())
    starts, slopes = tone_curve(own, wanted.detach())
    own, starts, slopes = (part[..., None, None] for part in (own, starts, slopes))
    y = starts[:, :, 0] + (painting - own[:, :, 0]).clamp(max=0) + (painting - own[:, :, -1]).clamp(min=0)
    for k in range(TONES - 1):
        rise = (painting - own[:, :, k]).clamp(min=0)
        y = y + slopes[:, :, k] * torch.minimum(rise, own[:, :, k + 1] - own[:, :, k])
    return y.clamp(0, 1)


def tone_curve(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where the curve lies at the own tones (n, 3, TONES), and its slopes between them (n, 3, TONES - 1)."""
    goal = own + TONE_SHARE * (wanted - own)
    gaps = own[:, :, 1:] - own[:, :, :-1]
    # Where many places have one tone, what lies between its quantiles cannot be pulled apart.
    slopes = ((goal[:, :, 1:] - goal[:, :, :-1]) / gaps.clamp(min=TONE_GAP)).clamp(0, STEEPEST_TONES)
    shape = torch.cat([torch.zeros_like(gaps[:, :, :1]), (slopes * gaps).cumsum(2)], 2)
    # What the limits of the slopes took away shall not move the mean.
    return shape + (goal - shape).mean(2, keepdim=True), slopes


def balanced(painting: Tensor, palette: Tensor) -> Tensor:
    """`engines.balance.balance` of a painting (n, 3, h, w) in 0..1, applied to it; palette: (n, 12).

    For the gradient the map is a constant.
    """
    palette = palette.detach()
    mean, covariance = colour.statistics(painting.detach())
    matrix, _ = colour.transport(mean, covariance, palette[:, :3], palette[:, 3:].reshape(-1, 3, 3))
    matrix = limited(matrix)
    return colour.recolour(painting, matrix, palette[:, :3] - (matrix @ mean[:, :, None])[:, :, 0])


def limited(matrix: Tensor) -> Tensor:
    """Matrices (n, 3, 3), those beyond MOST_BALANCE drawn so far towards the identity that they reach it."""
    identity = torch.eye(3, device=matrix.device, dtype=matrix.dtype)
    beyond = matrix.abs().sum(2).amax(1) - 1  # (n,)
    share = (MOST_BALANCE - 1) / beyond.clamp(min=MOST_BALANCE - 1)
    return identity + share[:, None, None] * (matrix - identity)


def bands(image: Tensor) -> Tensor:
    """`engines.bands.bands_of` for tensors: (n, 3, h, w) -> (n, BANDS, 3, LEVELS)"""
    seen = (image, halved(image))
    return torch.stack([_strengths(_band(seen[k], k), k) for k in range(BANDS)], 1)


def detailed(painting: Tensor, of_style: Tensor, spectrum: Tensor) -> Tensor:
    """`engines.bands.Detailer` for a painting (n, 3, h, w) in 0..1; of_style: (n, BANDS, 3, LEVELS), (n, *SPECTRUM).

    For the gradient the curves and the filter are constants.
    """
    for turn, which in enumerate(TURNS):
        if which == COARSE:
            change = widened(_change(halved(painting), COARSE, of_style), painting.shape[2:])  # (n, 3, h, w)
        else:
            change = _change(painting, FINE, of_style)
        painting = (painting + change).clamp(0, 1)
        if turn == FILTERED_AFTER:
            grey = luma(painting)
            kernel = spectral_filter(spectrum_of(255 * grey.detach()), spectrum.detach())
            painting = (painting + filtered(grey, kernel)).clamp(0, 1)
    return painting


def luma(colours: Tensor) -> Tensor:
    """Of (n, 3, ...): (n, 1, ...)"""
    return sum(share * plane for share, plane in zip(LUMA, colours.chunk(3, 1), strict=True))  # type: ignore[return-value]


def spectrum_of(grey: Tensor) -> Tensor:
    """`engines.spectrum.spectrum_of` for lumas (n, 1, h, w) in 0..255 -> (n, *SPECTRUM)"""
    n, _, height, width = grey.shape
    rows, columns = height // TILE_PX, width // TILE_PX
    # Made where they are needed: what is copied from the host cannot be captured in a CUDA graph.
    places = torch.arange(TILE_PX, device=grey.device)
    turns = (2 * pi / TILE_PX) * (places[:, None] * places)
    window = (pi / TILE_PX * (places + 0.5)).sin().square()
    across = window[:, None] * torch.cat([turns.cos()[:, :COLUMNS], turns.sin()[:, :COLUMNS]], 1)
    down = window * torch.cat([turns.cos(), turns.sin()])
    weights = window[:, None] * window / window.sum().square()
    tiles = grey[:, 0, : rows * TILE_PX, : columns * TILE_PX].reshape(n, rows, TILE_PX, columns, TILE_PX)
    seen = tiles[:, :: step_rows(rows, columns), :, ::STEP_TILES].transpose(2, 3)
    tiles = seen.reshape(n, -1, TILE_PX, TILE_PX)  # (n, k, TILE_PX, TILE_PX)
    tiles = tiles - (tiles * weights).sum((2, 3), keepdim=True)
    cosines, sines = (down @ (tiles @ across)).chunk(2, 2)  # (n, k, ROWS, 2 COLUMNS)
    real = cosines[..., :COLUMNS] - sines[..., COLUMNS:]
    imaginary = cosines[..., COLUMNS:] + sines[..., :COLUMNS]
    return ((real.square() + imaginary.square()).mean(1) + LEAST_POWER).log()


def spectral_filter(own: Tensor, of_style: Tensor) -> Tensor:
    """`engines.spectrum.filter_to` for spectra (n, *SPECTRUM) -> (n, side, side)"""
    row, column = (torch.arange(k, device=own.device) for k in own.shape[1:])
    # Of a real picture's frequencies across all but the first and the last stand for two.
    stands_for = 1 + ((column > 0) & (column < COLUMNS - 1)).float()
    ring = torch.hypot(torch.minimum(row, TILE_PX - row)[:, None].float(), column.float()).round()  # SPECTRUM
    rings = (ring == torch.arange(TILE_PX, device=own.device)[:, None, None]).float()  # (TILE_PX, *SPECTRUM)
    members = rings * stands_for
    apart = of_style - own
    mean = (apart[:, None] * members).sum((2, 3)) / members.sum((1, 2)).clamp(min=1)  # (n, TILE_PX)
    apart = apart - (mean[..., None, None] * rings).sum(1)
    gains = (SHARE / 2 * apart).exp().clamp(LEAST_AMPLIFIED, MOST_AMPLIFIED) * (stands_for / TILE_PX**2)
    around = torch.arange(-REACH_PX, REACH_PX + 1, device=own.device)
    down, across = (2 * pi / TILE_PX * (around[:, None] * places) for places in (row, column))
    kernel = down.cos() @ gains @ across.cos().T - down.sin() @ gains @ across.sin().T  # (n, side, side)
    taper = (TAPER * (pi / (2 * REACH_PX + 2) * (around + REACH_PX + 1)).sin().square()).clamp(max=1)
    taper = taper[:, None] * taper
    middle = (around == 0).float()
    kernel = kernel * taper - middle[:, None] * middle
    return kernel - kernel.sum((1, 2), keepdim=True) / taper.sum() * taper


def filtered(grey: Tensor, kernel: Tensor) -> Tensor:
    """Lumas (n, 1, h, w) convolved, each with its kernel (n, side, side), the edge repeated: the same"""
    n, side = kernel.shape[:2]
    around = F.pad(grey, (side // 2,) * 4, mode="replicate").transpose(0, 1)  # (1, n, ...)
    return F.conv2d(around, kernel[:, None], groups=n).transpose(0, 1)


def sharpened(image: Tensor, matrix: Tensor, of_style: Tensor) -> Tensor:
    """`engines.sharpening.Sharpener` for images (n, 3, h, w) in 0..1, before the network.

    matrix: (n, 3, 3), which is to recolour them; of_style: (n, BANDS, 3, LEVELS). For the gradient the gain is a
    constant.
    """
    soft = softened(image, FINE)
    step = STEPS_PX[FINE]
    seen = (image - soft).detach()[:, :, ::step, ::step]
    own = _quantiles((matrix.detach() @ seen.flatten(2)).abs())  # (n, 3, LEVELS)
    gain = detail_gain(own, of_style[:, FINE].detach())[:, None, None, None]
    return (soft + gain * (image - soft)).clamp(0, 1)


def detail_gain(own: Tensor, of_style: Tensor) -> Tensor:
    """The gain of `engines.sharpening.Sharpener`, of fine bands' quantiles (n, 3, LEVELS): (n,)"""
    own, of_style = (strengths.mean((1, 2)) + FLOOR for strengths in (own, of_style))
    return (of_style / own).clamp(LEAST_GAIN, MOST_GAIN)


def halved(image: Tensor) -> Tensor:
    """(n, 3, h, w) -> (n, 3, h // 2, w // 2), bilinear"""
    return F.interpolate(image, (image.shape[2] // 2, image.shape[3] // 2), mode="bilinear", align_corners=False)


def widened(image: Tensor, size: Sequence[int]) -> Tensor:
    """(n, 3, h // 2, w // 2) -> (n, 3, *size), bilinear"""
    return F.interpolate(image, tuple(size), mode="bilinear", align_corners=False)


def detail_curves(strengths: Tensor, own: Tensor, of_style: Tensor) -> Tensor:
    """`engines.bands.curves` of strengths (n, 3, h, w) in 0..1; own, of_style: (n, 3, LEVELS)."""
    goal = own + OVERSHOOT * (WANTED_SHARE * of_style - own)
    starts, goal = (F.pad(part, (1, 0)) for part in (own, goal))  # (n, 3, LEVELS + 1), from 0 on
    gaps = starts[:, :, 1:] - starts[:, :, :-1]
    slopes = ((goal[:, :, 1:] - goal[:, :, :-1]) / gaps.clamp(min=GAP)).clamp(0, STEEPEST)
    changed = torch.zeros_like(strengths)
    for k in range(len(LEVELS)):
        rise = (strengths - starts[:, :, k, None, None]).clamp(min=0)
        if k < len(LEVELS) - 1:  # beyond the last level a curve goes on
            rise = torch.minimum(rise, gaps[:, :, k, None, None])
        changed = changed + slopes[:, :, k, None, None] * rise
    return changed


def _change(image: Tensor, which: int, of_style: Tensor) -> Tensor:
    """What is to be added to the band of (n, 3, h, w)."""
    band = _band(image, which)
    curved = detail_curves(band.abs(), _strengths(band.detach(), which), of_style[:, which].detach())
    return band.sign() * curved - band


def _strengths(band: Tensor, which: int) -> Tensor:
    """The quantiles LEVELS of a band (n, 3, h, w): (n, 3, LEVELS)"""
    step = STEPS_PX[which]
    return _quantiles(band[:, :, ::step, ::step].abs().flatten(2))


def _quantiles(strengths: Tensor) -> Tensor:
    """Those at LEVELS of (n, 3, k): (n, 3, LEVELS)"""
    ordered = strengths.sort(2).values
    last = ordered.shape[2] - 1
    return ordered[:, :, [round(level * last) for level in LEVELS]]


def _band(image: Tensor, which: int) -> Tensor:
    """What the band's Gaussian takes away of (n, 3, h, w)."""
    return image - softened(image, which)


def softened(image: Tensor, which: int) -> Tensor:
    """(n, 3, h, w) blurred by a band's Gaussian, the edge repeated. Bytes, rounded then, are blurred as by OpenCV."""
    n, colours, h, w = image.shape
    # Filled where it is needed: what is copied from the host cannot be captured in a CUDA graph.
    kernel = torch.cat([image.new_full((1, 1, 1, 1), weight / 256) for weight in KERNELS[which]], 3)  # (1, 1, 1, taps)
    reach = kernel.shape[3] // 2
    soft = F.conv2d(F.pad(image.reshape(n * colours, 1, h, w), (reach,) * 4, mode="replicate"), kernel)
    return F.conv2d(soft, kernel.transpose(2, 3)).reshape(n, colours, h, w)
