"""A frame from its own size to its own size on one device: what `engines.around` does with OpenCV, for tensors.

Only for frames that are painted by themselves (smoothing 0): then nothing is decided between two graphs, all is one
graph, and a frame that is on the device already never leaves it. n frames at once, each in its own style.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.antialiasing import AROUND_PX, FLAT, STEP
from engines.bands import COARSE, FILTERED_AFTER, FINE, LEVELS, STEPS_PX, TIMES_AFTER, TURNS, TURNS_BEFORE
from engines.halos import AROUND_PX as FITTED_PX
from engines.halos import EDGE, NEAR_PX, SOFT_PX
from engines.halos import RIDGE as FIT_RIDGE
from engines.motion import SCALE
from engines.nets import colour
from engines.nets.batch_graph import BatchFrame, BatchGuide
from engines.nets.finish import (
    detail_curves,
    detail_gain,
    filtered,
    halved,
    limited,
    luma,
    softened,
    spectral_filter,
    spectrum_of,
    tone_curve,
    widened,
)
from engines.nets.style_kernel import StyleKernelNet
from engines.oil import PASSES_PX, SMOOTH_PX, SMOOTH_TAPS
from engines.pixels import ZERO
from engines.recolour import RIDGE
from engines.spectrum import TILE_PX
from engines.tone import STEP_PX, TONES
from engines.working import DETAIL

_LEAST_SPREAD = 1e-12  # of eigenvalues, so that equal ones divide nothing by 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Heights and widths of the working frame and of its guide; see `engines.working` and `engines.guide`."""

    working: tuple[int, int]
    guide: tuple[int, int]


class BatchWhole(nn.Module):
    """Everything from a frame to its painting, see the module.

    made: what becomes of each part: compiled, for example. All at once PyTorch 2.13 cannot compile: it loses the range
    of what `toned` looks up in its tables.
    """

    def __init__(self, net: StyleKernelNet, made: Callable[[Any], Any] = lambda part: part) -> None:
        super().__init__()
        self.look, self.paint, self._halos = made(BatchGuide(net)), made(BatchFrame(net)), net.config.halos
        self._before, self._sharpened, self._after = made(before), made(sharpened), made(after)

    def forward(
        self,
        image: Tensor,
        style: dict[str, Tensor],
        spread: tuple[Tensor, Tensor],
        strength: Tensor,
        keep_colours: Tensor | None,
        oil: Tensor | None,
        sizes: Sizes,
    ) -> Tensor:
        """Paint n frames.

        image: uint8 (n, H, W, 3). style: of each frame, in the network's precision, but palette (n, 12), tones
        (n, 3, TONES), bands (n, BANDS, 3, LEVELS) and spectrum (n, *SPECTRUM) float32; the last three may be missing.
        spread: as `engines.nets.guidance.spreading` gives it. strength, keep_colours, oil: float32 (n,), 0..1; None: 0
        for all.
        Returns uint8 (n, H, W, 3).
        """
        working, guide, colour_map = self._before(image, style["palette"], sizes.working, sizes.guide)
        seen = self._sharpened(working, colour_map, style["bands"], strength) if "bands" in style else working
        told = (style[name] for name in ("keys", "values", "modulation", "hint"))
        guidance = self.look(guide.permute(0, 2, 3, 1), colour_map, *told)
        frame = seen.permute(0, 2, 3, 1)
        painted, _ = self.paint(frame, guidance, *spread, colour_map, style["modulation"], strength)
        if "tones" in style:
            painted = balanced(toned(painted, style["tones"], strength), style["palette"], strength)
        answer: Tensor = self._after(
            image, working, painted, style.get("bands"), style.get("spectrum"), strength, keep_colours, oil, self._halos
        )
        return answer


def before(
    image: Tensor, palette: Tensor, working_size: tuple[int, int], guide_size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames uint8 (n, H, W, 3) -> working frames and guides (n, 3, h, w) in whole numbers 0..255, maps (n, 12)"""
    working = shrunk(image.permute(0, 3, 1, 2).float(), working_size)
    guide = shrunk(working, guide_size)
    return working, guide, map_to(guide, palette)


def after(
    image: Tensor,
    working: Tensor,
    painted: Tensor,
    bands: Tensor | None,
    spectrum: Tensor | None,
    strength: Tensor,
    keep_colours: Tensor | None,
    oil: Tensor | None,
    halos: bool,
) -> Tensor:
    """Paintings uint8 (n, h, w, 3) -> of the frames' size, uint8 (n, H, W, 3), with strokes, detail and colours

    halos: whether they have some, which are removed.
    """
    planes = image.permute(0, 3, 1, 2).float()
    painting = painted.permute(0, 3, 1, 2).float().contiguous()
    if oil is not None:
        painting = oiled(painting, strength * oil)
    enlarged = image.shape[1:3] != working.shape[2:]
    if bands is not None:
        if enlarged:
            painting = detailed(painting, bands, None, strength, TURNS_BEFORE)
        else:
            painting = detailed(painting, bands, spectrum, strength)
        if halos:
            painting = haloless(painting, working, strength)
        if enlarged:
            painting = antialiased(painting, strength)
    painting = finished(planes, working, painting, strength, DETAIL * (1 if oil is None else 1 - oil))
    if bands is not None and enlarged:
        painting = fine_detailed(painting, bands[:, FINE], strength)
    if keep_colours is not None:
        painting = with_colours_of(planes, painting, torch.where(strength > 0, keep_colours, 0))
    return painting.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).contiguous()


def shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    """`engines.scaling.Shrinker` for (n, 3, H, W) in whole numbers 0..255"""
    if image.shape[2:] == size:
        return image
    while image.shape[2] >= 2 * size[0] and image.shape[3] >= 2 * size[1]:
        image = F.interpolate(image, (image.shape[2] // 2, image.shape[3] // 2), mode="area").round()
    if image.shape[2:] == size:
        return image
    return _resized(image, size)


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """Whole numbers 0..255 (n, k, h, w) -> (n, k, *size), bilinear, as OpenCV computes it for bytes"""
    left, right, share = _between(image.shape[3], size[1], image.device)
    upper, lower, share_down = _between(image.shape[2], size[0], image.device)
    across = (1 - share) * image[..., left] + share * image[..., right]
    across, share_down = (128 * across).floor() / 128, share_down[:, None]
    return _quarters((1 - share_down) * across[:, :, upper], share_down * across[:, :, lower])


def _between(before: int, after: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of `before` pixels in a row that is resized to `after`: between which two each of those lies, and how near to the
    second, in whole 2048ths, as OpenCV tells it: (after,) each"""
    place = (torch.arange(after, device=device, dtype=torch.float64) + 0.5) * (before / after) - 0.5
    place = place.clamp(0, before - 1)
    first = place.floor()
    share = (2048 * (place - first)).round() / 2048
    rows = first.long()
    return rows, (rows + 1).clamp(max=before - 1), share.float()


def map_to(guide: Tensor, palette: Tensor) -> Tensor:
    """`engines.recolour.Recolourer` without a memory: guides (n, 3, h, w) in 0..255, palettes (n, 12) -> (n, 12)"""
    mean, matrix = transport(guide[:, :, ::2, ::2], palette)
    offset = palette[:, :3] - (matrix @ mean[:, :, None])[:, :, 0]
    return torch.cat([(matrix * (2 / 255)).flatten(1), 2 * offset - 1], 1).float()


def transport(seen: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, 3) of the colours of (n, 3, h, w) in 0..255, scaled to 0..1, and the matrix (n, 3, 3) that moves their
    covariance to that of palettes (n, 12); both float64"""
    mean, covariance = colour.statistics((seen / 255).contiguous())
    root = palette[:, 3:].reshape(-1, 3, 3).double()
    return mean.double(), root @ inverse_root(root @ covariance.double() @ root) @ root


def inverse_root(matrix: Tensor) -> Tensor:
    """Inverse square root of symmetric positive matrices, float64 (n, 3, 3), in closed form.

    The largest eigenvalue by the cosine of a third of an angle (Smith 1961), the root by Cayley and Hamilton (Franca
    1989): a few operations on a few numbers, where an iteration would be a hundred small kernels one after the other.
    Eigenvalues below RIDGE^2, which pictures do not have, count as that.
    """
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    third = (matrix * identity).sum((1, 2)) / 3
    rest = matrix - third[:, None, None] * identity
    spread = (rest.square().sum((1, 2)) / 6).sqrt().clamp(min=_LEAST_SPREAD)
    scaled = rest / spread[:, None, None]
    angle = (_determinant(scaled) / 2).clamp(-1, 1).acos() / 3
    determinant = _determinant(matrix)
    most = third + 2 * spread * angle.cos()
    # Of the other two only their sum and their product are needed, which the angle would tell less exactly.
    least = RIDGE**2
    product = (determinant / most).clamp(min=least**2).sqrt()
    both = ((3 * third - most).clamp(min=2 * least) + 2 * product).sqrt()
    one = most.sqrt()
    first, second, last = one + both, one * both + product, one * product
    wide = (slice(None), None, None)
    root = (first * last)[wide] * identity + (first.square() - second)[wide] * matrix - matrix @ matrix
    root = root / (first * second - last)[wide]
    return (matrix - first[wide] * root + second[wide] * identity) / last[wide]


def _determinant(matrix: Tensor) -> Tensor:
    """(n, 3, 3) -> (n,); PyTorch's own calls a solver of the device's, and waits for it."""
    product: Tensor = torch.linalg.cross(matrix[:, 0], matrix[:, 1]) * matrix[:, 2]
    return product.sum(1)


def toned(painting: Tensor, wanted: Tensor, strength: Tensor) -> Tensor:
    """`engines.tone.Toner` without a memory: uint8 (n, h, w, 3), tones (n, 3, TONES), strengths (n,) -> the same"""
    n = painting.shape[0]
    seen = painting[:, ::STEP_PX, ::STEP_PX].reshape(n, -1, 3).transpose(1, 2).long()  # (n, 3, k)
    counts = torch.zeros(n, 3, 256, dtype=torch.int64, device=painting.device)
    counts.scatter_add_(2, seen, torch.ones_like(seen))
    # `engines.tone.places`, but made on the device: nothing may come from the host while a CUDA graph is captured.
    ranks = torch.arange(TONES, dtype=torch.float64, device=painting.device)
    ranks = ((ranks + 0.5) / TONES * (seen.shape[2] - 1)).round()
    own = (counts.cumsum(2)[..., None] <= ranks).sum(2) / 255  # (n, 3, TONES)
    starts, slopes = tone_curve(own, wanted)
    levels = torch.arange(256, device=painting.device) / 255
    curve = starts[:, :, :1] + (levels - own[:, :, :1]).clamp(max=0) + (levels - own[:, :, -1:]).clamp(min=0)
    for k in range(TONES - 1):
        rise = (levels - own[:, :, k : k + 1]).clamp(min=0)
        curve = curve + slopes[:, :, k : k + 1] * torch.minimum(rise, own[:, :, k + 1 : k + 2] - own[:, :, k : k + 1])
    table = levels + strength[:, None, None] * (curve.clamp(0, 1) - levels)  # (n, 3, 256)
    table = (255 * table).round().to(torch.uint8).reshape(-1)
    rows = torch.arange(3 * n, dtype=torch.int32, device=painting.device).reshape(n, 1, 1, 3)
    return table[256 * rows + painting]


def balanced(painting: Tensor, palette: Tensor, strength: Tensor) -> Tensor:
    """`engines.balance.Balancer` without a memory: uint8 (n, h, w, 3), palettes (n, 12), strengths (n,) -> the same"""
    mean, matrix = transport(painting[:, ::STEP_PX, ::STEP_PX].permute(0, 3, 1, 2).float(), palette)
    matrix = limited(matrix)
    offset = palette[:, :3] - (matrix @ mean[:, :, None])[:, :, 0]
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    matrix = (identity + strength[:, None, None] * (matrix - identity)).float()
    colours = painting.flatten(1, 2).float() @ matrix.transpose(1, 2)  # (n, h w, 3)
    colours = colours + (255 * strength[:, None] * offset)[:, None].float()
    return colours.round().clamp(0, 255).to(torch.uint8).reshape(painting.shape)


def sharpened(frame: Tensor, colour_map: Tensor, of_style: Tensor, strength: Tensor) -> Tensor:
    """`engines.sharpening.Sharpener` without a memory: (n, 3, h, w) in whole numbers 0..255, maps (n, 12), bands
    (n, BANDS, 3, LEVELS) and strengths (n,) -> the same as the frames"""
    soft = _rounded(softened(frame, FINE))
    step = STEPS_PX[FINE]
    seen = (frame - soft)[:, :, ::step, ::step]
    matrix = colour_map[:, :9].reshape(-1, 3, 3) * (255 / 2)
    recoloured = (matrix @ seen.flatten(2)).round().clamp(-128, 127).abs().reshape(seen.shape)
    gain = 1 + strength * (detail_gain(_quantiles(recoloured, 1), of_style[:, FINE]) - 1)
    return (soft + gain[:, None, None, None] * (frame - soft)).round().clamp(0, 255)


def detailed(
    painting: Tensor, of_style: Tensor, spectrum: Tensor | None, strength: Tensor, turns: Sequence[int] = TURNS
) -> Tensor:
    """`engines.bands.Detailer` without a memory: (n, 3, h, w) in whole numbers 0..255, bands (n, BANDS, 3, LEVELS),
    spectra (n, *SPECTRUM) and strengths (n,) -> the same"""
    for turn, which in enumerate(turns):
        if which == COARSE:
            change = _change(_rounded(halved(painting)), COARSE, of_style, strength)  # (n, 3, h / 2, w / 2)
            change = _widened(change, painting.shape[2:])
        else:
            change = _change(painting, FINE, of_style, strength)
        painting = (painting + change).clamp(0, 255)
        if turn == FILTERED_AFTER and spectrum is not None:
            painting = (painting + _filtering(_rounded(luma(painting)), spectrum, strength)).clamp(0, 255)
    return painting


def _filtering(grey: Tensor, of_style: Tensor, strength: Tensor) -> Tensor:
    """`engines.spectrum.SpectrumMatcher` without a memory: lumas (n, 1, h, w) in whole numbers 0..255, spectra
    (n, *SPECTRUM) and strengths (n,) -> what is to be added to the lumas, in whole numbers"""
    if min(grey.shape[2:]) < TILE_PX:
        return torch.zeros_like(grey)
    kernels = spectral_filter(spectrum_of(grey), of_style)
    return filtered(grey, strength[:, None, None] * kernels).round().clamp(-128, 127)


def oiled(painting: Tensor, amount: Tensor) -> Tensor:
    """`engines.oil.OilPainter`: (n, 3, h, w) in whole numbers 0..255, amounts (n,) -> the same"""
    height, width = painting.shape[2:]
    x, y = _slopes(_rounded(halved(_rounded(luma(painting)))))  # (n, 1, h // 2, w // 2)
    parts = torch.cat((x * x - y * y, 2 * x * y, x * x + y * y), 1)
    places = torch.arange(SMOOTH_TAPS, device=painting.device) - SMOOTH_TAPS // 2
    taps = torch.exp(-places.square() / (2 * SMOOTH_PX**2))
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    parts = F.pad(parts, (SMOOTH_TAPS // 2,) * 4, mode="replicate")
    parts = F.conv2d(F.conv2d(parts, taps, groups=3), taps.transpose(2, 3), groups=3)
    cosine, sine, trace = widened(parts, (height, width)).chunk(3, 1)  # (n, 1, h, w)
    length = (cosine.square() + sine.square()).sqrt()
    agreed, cosine = length / (trace + FLAT), cosine / length.clamp(min=_LEAST_SPREAD)
    across = torch.copysign(agreed * ((1 - cosine) / 2).clamp(min=0).sqrt(), -sine)
    down = agreed * ((1 + cosine) / 2).clamp(min=0).sqrt()
    # Places as `grid_sample` tells them: from -1 at the first pixel to 1 at the last.
    here = torch.stack(
        torch.meshgrid(
            torch.linspace(-1, 1, width, device=painting.device),
            torch.linspace(-1, 1, height, device=painting.device),
            indexing="xy",
        ),
        2,
    )  # (h, w, 2)
    away = torch.cat((across * (2 / (width - 1)), down * (2 / (height - 1))), 1).permute(0, 2, 3, 1)
    away = amount[:, None, None, None] * away  # (n, h, w, 2)
    for step in PASSES_PX:
        before, behind = (
            F.grid_sample(painting, here + way * away, padding_mode="border", align_corners=True).round()
            for way in (step, -step)
        )
        painting = ((painting + ((before + behind) / 2).round()) / 2).round()
    return painting


def haloless(painting: Tensor, frame: Tensor, strength: Tensor) -> Tensor:
    """`engines.halos.HaloRemover`: paintings and their working frames (n, 3, h, w) in whole numbers 0..255, strengths
    (n,) -> the same as the paintings"""
    height, width = frame.shape[2:]
    small = _quartered(frame)  # (n, 3, h / 4, w / 4)
    grey = luma(small)
    painted = luma(_quartered(painting)) - (1 - strength)[:, None, None, None] * grey
    across, down = _slopes(_rounded(grey))
    near = F.max_pool2d((across.square() + down.square()).sqrt(), NEAR_PX, 1, NEAR_PX // 2)
    change = (_mean(near, SOFT_PX) / EDGE).clamp(max=1) * (_fitted(painted, small) - painted)
    told = change.round().clamp(-128, 127) + ZERO
    change = _resized(told, [SCALE * side for side in told.shape[2:]]) - ZERO
    return (painting + change[:, :, :height, :width]).clamp(0, 255)


def _quartered(image: Tensor) -> Tensor:
    """`engines.memory.quartered`: (n, 3, h, w) in whole numbers 0..255 -> (n, 3, ceil(h / 4), ceil(w / 4))"""
    below, right = (-side % SCALE for side in image.shape[2:])
    return F.avg_pool2d(F.pad(image, (0, right, 0, below), mode="replicate"), SCALE).round()


def _fitted(painted: Tensor, guide: Tensor) -> Tensor:
    """What of (n, 1, h, w) is, around every place, a linear function of (n, 3, h, w): (n, 1, h, w)"""
    p, colours = halved(painted), halved(guide)  # (n, 1, h / 2, w / 2), (n, 3, h / 2, w / 2)
    n, _, height, width = colours.shape
    matrix = (colours[:, :, None] * colours[:, None]).flatten(1, 2)  # (n, 9, h / 2, w / 2)
    means = _mean(torch.cat([p, colours, matrix, colours * p], 1), FITTED_PX)
    mean, of_colours, products, shared = means[:, :1], means[:, 1:4], means[:, 4:13], means[:, 13:]
    matrix = products.reshape(n, 3, 3, height, width) - of_colours[:, :, None] * of_colours[:, None]
    matrix = matrix + FIT_RIDGE * torch.eye(3, device=p.device)[:, :, None, None]
    right = shared - of_colours * mean  # (n, 3, h / 2, w / 2)
    # Of a symmetric matrix (3, 3) the products of two rows are those of its inverse, times the determinant.
    one, two, three = matrix.unbind(1)
    rows = torch.stack([torch.linalg.cross(a, b, dim=1) for a, b in ((two, three), (three, one), (one, two))], 1)
    determinant = (one * rows[:, 0]).sum(1, keepdim=True)
    slopes = (rows * right[:, None]).sum(2) / determinant  # (n, 3, h / 2, w / 2)
    offset = mean - (slopes * of_colours).sum(1, keepdim=True)
    found = widened(_mean(torch.cat([slopes, offset], 1), FITTED_PX), painted.shape[2:])
    return (found[:, :3] * guide).sum(1, keepdim=True) + found[:, 3:]


def _mean(image: Tensor, side: int) -> Tensor:
    """(n, k, h, w) -> the mean over the square around every place, the edge repeated: the same"""
    return F.avg_pool2d(F.pad(image, (side // 2,) * 4, mode="replicate"), side, 1)


def antialiased(painting: Tensor, strength: Tensor) -> Tensor:
    """`engines.antialiasing.Antialiaser`: (n, 3, h, w) in whole numbers 0..255, strengths (n,) -> the same"""
    grey = _rounded(luma(painting))  # (n, 1, h, w)
    across, down = _slopes(_rounded(halved(grey)))  # (n, 1, h // 2, w // 2)
    tensor = F.pad(torch.cat((across * across, across * down, down * down), 1), (AROUND_PX // 2,) * 4, mode="replicate")
    xx, xy, yy = F.avg_pool2d(tensor, AROUND_PX, 1).chunk(3, 1)
    apart, trace = xx - yy, xx + yy
    spread = (apart.square() + 4 * xy.square()).sqrt()
    share = strength[:, None, None, None] * (STEP / 2) / (trace + FLAT)
    row, column, mixed = (spread - apart) * share, (spread + apart) * share, -2 * xy * share
    parts = row - mixed.abs(), column - mixed.abs(), mixed, -mixed
    along = widened(torch.cat(parts, 1).clamp(min=0), grey.shape[2:])  # (n, 4, h, w)
    p = F.pad(grey, (1,) * 4, mode="replicate")
    neighbours = (
        p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:],
        p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1],
        p[:, :, :-2, :-2] + p[:, :, 2:, 2:],
        p[:, :, :-2, 2:] + p[:, :, 2:, :-2],
    )
    change = (along * (torch.cat(neighbours, 1) - 2 * grey)).sum(1, keepdim=True).round()
    return (painting + change.clamp(-128, 127)).clamp(0, 255)


def fine_detailed(painting: Tensor, of_style: Tensor, strength: Tensor) -> Tensor:
    """`engines.bands.FineDetailer` without a memory: (n, 3, h, w) in whole numbers 0..255, fine bands' strengths
    (n, 3, LEVELS) and the paintings' (n,) -> the same"""
    grey = _rounded(luma(painting))  # (n, 1, h, w)
    wanted, changed = luma(of_style)[:, None], grey  # (n, 1, 1, LEVELS)
    for _ in range(TIMES_AFTER):
        changed = (changed + _change(changed, FINE, wanted, strength)).clamp(0, 255)
    return (painting + (changed - grey).clamp(-128, 127)).clamp(0, 255)


def _slopes(luma: Tensor) -> tuple[Tensor, Tensor]:
    """`engines.pixels.slopes`: (n, 1, h, w) -> twice the same"""
    around = F.pad(luma, (1,) * 4, mode="replicate")
    across, down = around[:, :, :, 2:] - around[:, :, :, :-2], around[:, :, 2:] - around[:, :, :-2]
    across = (across[:, :, :-2] + 2 * across[:, :, 1:-1] + across[:, :, 2:]) / 8
    down = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 8
    return across, down


def _rounded(bytes_: Tensor) -> Tensor:
    """Halves upwards, as OpenCV rounds what it halves or blurs, and luma."""
    return (bytes_ + 0.5).floor()


def _widened(change: Tensor, size: Sequence[int]) -> Tensor:
    """Whole numbers (n, 3, h // 2, w // 2) -> (n, 3, *size), cut off where OpenCV cuts off as it doubles a height."""
    if size[0] != 2 * change.shape[2]:
        return widened(change, size).round()
    across = widened(change, (change.shape[2], size[1]))
    around = F.pad(across, (0, 0, 1, 1), mode="replicate")
    # Rounded before they take turns: PyTorch 2.13's compiler fails on the indices of the other order.
    upper, lower = (_quarters(0.75 * across, 0.25 * far) for far in (around[:, :, :-2], around[:, :, 2:]))
    return torch.stack((upper, lower), 3).flatten(2, 3)


def _quarters(one: Tensor, other: Tensor) -> Tensor:
    """The sum of what two rows give a row between them, in whole numbers: OpenCV cuts both off to quarters first."""
    return (((4 * one).floor() + (4 * other).floor() + 2) / 4).floor()


def _change(image: Tensor, which: int, of_style: Tensor, strength: Tensor) -> Tensor:
    """What is to be added to the band of (n, 3, h, w), in whole numbers."""
    band = (image - _rounded(softened(image, which))).clamp(-128, 127)
    size = band.abs()
    curved = 255 * detail_curves(size / 255, _quantiles(size, STEPS_PX[which]), of_style[:, which])
    change = strength[:, None, None, None] * (band.sign() * curved - band)
    # At the steepest slope every second strength is halfway between two bytes, and has to be just there.
    return ((2**16 * change).round() / 2**16).round().clamp(-128, 127)


def _quantiles(size: Tensor, step: int) -> Tensor:
    """The quantiles LEVELS of whole numbers 0..128 (n, 3, h, w), where one stands for all that is rounded to it; every
    `step` pixels are looked at: (n, 3, LEVELS) in 0..1"""
    seen = size[:, :, ::step, ::step].flatten(2).long()  # (n, 3, k)
    counts = torch.zeros(*seen.shape[:2], 129, dtype=torch.int64, device=size.device)
    counts.scatter_add_(2, seen, torch.ones_like(seen))
    shares = F.pad(counts.cumsum(2).double() / seen.shape[2], (1, 0))  # (n, 3, 130): smaller than the edges
    found = []
    for level in LEVELS:
        place = (shares < level).sum(2, keepdim=True)  # (n, 3, 1), from 1 on
        before, after = shares.gather(2, place - 1), shares.gather(2, place)
        # The edges lie at 0, 0.5, 1.5 ...
        edge = (place - 1.5).clamp(min=0)
        found.append(edge + (level - before) / (after - before) * (place - 0.5 - edge))
    return (torch.cat(found, 2) / 255).float()


def finished(image: Tensor, working: Tensor, painting: Tensor, strength: Tensor, detail: Tensor | float) -> Tensor:
    """`engines.working.Working.finish`: (n, 3, H, W), twice (n, 3, h, w), all in 0..255, and (n,) -> (n, 3, H, W)

    detail: (n,), or one for all.
    """
    if image.shape == working.shape:
        return painting
    kept = (1 - strength * (1 - detail))[:, None, None, None]
    strength = strength[:, None, None, None]
    room = 1 + kept
    # In bytes, as there: curves that follow would amplify what rounding them less makes different.
    base = ((painting - kept * working + 255 * kept) / room).round()
    large = F.interpolate(base, image.shape[2:], mode="bicubic", align_corners=False).round().clamp(0, 255)
    return torch.where(strength == 0, image, (kept * image + room * large - 255 * kept).round().clamp(0, 255))


def with_colours_of(image: Tensor, painting: Tensor, share: Tensor) -> Tensor:
    """`engines.chroma.with_colours_of`: (n, 3, H, W) in 0..255 twice, shares (n,) -> (n, 3, H, W)"""
    ours, theirs = luma(painting), luma(image)
    # Luma and colour differences are linear: what is mixed are the pictures without their luma.
    return painting + share[:, None, None, None] * ((image - theirs) - (painting - ours))
