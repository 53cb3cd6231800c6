"""Bands of detail: how strong a picture's fine and coarse detail is, and curves towards a style picture's.

After the network, the tones and the balance. A painting whose detail is weaker than its style picture's looks soft,
whatever its strokes are, and one whose detail is stronger looks harsh; and whether it lies in few strong lines or
everywhere a little makes a texture, too. So not only a band's mean strength is made the style picture's, but how its
strengths are spread: Heeger and Bergen 1995, "Pyramid-based texture analysis/synthesis", sec. 3.2, with two bands, two
sweeps from the coarse one to the fine, and light and dark detail taken together.

A painting that is enlarged afterwards loses its fine detail again: what was a pixel is a pixel and a half. So the fine
band's curves are applied once more to what comes of it, at the size that is looked at, and to its luma alone.
"""

from __future__ import annotations

from functools import partial
from math import prod

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.pixels import ZERO, Picture, added, added_to_all, every, looked_up, taken_away
from engines.settling import Latest, Settling
from engines.spectrum import SpectrumMatcher

FINE, COARSE = 0, 1
BANDS = 2
# The bands as they are changed. They overlap: what one gains is partly the other's, so a second sweep finds what the
# first one left, of weak strengths above all. Two gentle sweeps flicker hardly more than a steep one.
TURNS = (COARSE, FINE) * 2
FILTERED_AFTER = 1  # this turn the spectrum is met: strengths are about right by then, and are put right once more
# Taps and deviation (px) of the Gaussians that a band is what they take away of: the fine one's of the picture itself,
# the coarse one's of the picture at half of its sides.
GAUSSIANS = ((5, 1.1), (7, 1.6))
KERNELS = ((18, 63, 94, 63, 18), (11, 30, 54, 66, 54, 30, 11))  # what OpenCV makes of them for bytes, in 256ths
# Quantiles at which the spread of a band's strengths is told, for each colour.
LEVELS = (0.25, 0.5, 0.75, 0.93, 0.99)
# Every so many pixels of a band are looked at. Of the fine one an odd number: a pixel-shuffle by two has two phases.
STEPS_PX = (3, 2)
# As much of the style's strength is wanted. What flickers is the finest detail, and a style picture's own is partly the
# grain of its canvas, its print or its file: a painting with a little less is steadier and nearer to its style.
WANTED_SHARE = 0.9
# As the bands overlap, sweeps that went just to what is wanted would leave a good part of it missing.
OVERSHOOT = 1.5
STEEPEST = 1.5  # slope of a curve: what is hardly there is not amplified to what is wanted, nor what flickers
# Of a painting that is to be enlarged, whose fine band's curves are applied again afterwards, so many times.
TURNS_BEFORE, TIMES_AFTER = (COARSE, FINE), 2
LUMA = (9798 / 2**15, 19235 / 2**15, 3735 / 2**15)  # of RGB: ITU-R BT.601, and what OpenCV makes of it for bytes
GAP = 0.15 / 255  # strengths nearer than this cannot be pulled apart
_CUT = 0.5  # relative change of the strengths from which it is another scene

Strengths = NDArray[np.float64]
_SIGNED = np.arange(256) - float(ZERO)
_EDGES = np.concatenate([[0], np.arange(ZERO + 1) + 0.5])  # a strength in bytes stands for all that is rounded to it


class _Curves:
    """The curves of one stream, in so many turns of a painting, one after the other."""

    def __init__(self, turns: int) -> None:
        self._own = tuple((Settling(_away, _CUT), Latest(_tables)) for _ in range(turns))
        self.anew = False  # this painting is of another scene than the one before

    def of(
        self, turn: int, band: Picture, which: int, of_style: NDArray[np.float32], strength: float, memory: float
    ) -> Picture:
        """See `_tables`. band: the whole band, around ZERO; of_style: what is wanted of it, (c, LEVELS)."""
        settling, tables = self._own[turn]
        if turn == 0:
            self.anew = False
        if self.anew:  # after the first turns all scenes are much alike: only the first can tell
            settling.reset()
        own = settling.of(partial(_strengths, band, which), memory)
        self.anew = self.anew or settling.anew
        return tables.of(own, of_style, strength)

    def reset(self) -> None:
        """Forget the former paintings."""
        for settling, _ in self._own:
            settling.reset()


class Detailer:
    """Applies the curves of one stream, which change slowly. Not for several threads."""

    def __init__(self) -> None:
        self._curves, self._spectrum = _Curves(len(TURNS)), SpectrumMatcher()
        # New arrays would cost as much time as the arithmetic.
        self._out, self._wide, self._room = np.empty((3, 0, 0, 3), np.uint8)
        self._half, self._soft, self._half_room = np.empty((3, 0, 0, 3), np.uint8)
        self._luma = np.empty((0, 0), np.uint8)

    def of(
        self,
        painting: Picture,
        of_style: NDArray[np.float32],
        strength: float,
        memory: float,
        *,
        spectrum: NDArray[np.float32] | None = None,
        to_enlarge: bool = False,
    ) -> Picture:
        """RGB uint8 (h, w, 3), sides from 2 px, and the style's strengths 0..1, (BANDS, 3, LEVELS) -> RGB uint8
        (h, w, 3), until the next call.

        strength: of the painting, 0..1: as much of the curves and of the filter. memory: see `engines.settling`.
        spectrum: the style's, to be met between the sweeps (`engines.spectrum`); None: it is not told. to_enlarge: the
        painting is to be enlarged, and `FineDetailer` follows: there is one sweep, and the spectrum is not met.
        """
        height, width = painting.shape[:2]
        if self._out.shape != painting.shape:
            self._out, self._wide, self._room = np.empty((3, height, width, 3), np.uint8)
            self._half, self._soft, self._half_room = np.empty((3, height // 2, width // 2, 3), np.uint8)
            self._luma = np.empty((height, width), np.uint8)
        out, wide, half, soft = self._out, self._wide, self._half, self._soft
        changed = painting
        for turn, which in enumerate(TURNS_BEFORE if to_enlarge else TURNS):
            if which == COARSE:
                band = _band(_halved(changed, half), COARSE, self._half_room, soft)  # (h / 2, w / 2, 3)
            else:
                band = _band(changed, FINE, self._room, wide)  # (h, w, 3)
            tables = self._curves.of(turn, band, which, of_style[which], strength, memory)
            looked_up(band, tables, band)  # what is to be added to it
            if which == COARSE:
                cv2.resize(soft, (width, height), dst=wide, interpolation=cv2.INTER_LINEAR)  # (h, w, 3)
            added(changed, wide, wide, out)
            changed = out
            if turn == FILTERED_AFTER and spectrum is not None and not to_enlarge:
                if self._curves.anew:
                    self._spectrum.reset()
                cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY, dst=self._luma)
                added_to_all(changed, self._spectrum.of(self._luma, spectrum, strength, memory), wide, out)
        return changed

    def reset(self) -> None:
        """Forget the former paintings."""
        self._curves.reset()
        self._spectrum.reset()


class FineDetailer:
    """Applies the fine band's curves to the luma of one stream's enlarged paintings. Not for several threads."""

    def __init__(self) -> None:
        self._curves = _Curves(TIMES_AFTER)
        # New arrays would cost as much time as the arithmetic.
        self._luma, self._changed, self._band, self._room = np.empty((4, 0, 0), np.uint8)
        self._change = np.empty((0, 0, 3), np.uint8)

    def of(self, painting: Picture, of_style: NDArray[np.float32], strength: float, memory: float) -> None:
        """RGB uint8 (h, w, 3), changed in place; of_style: the strengths of the style's fine band, 0..1, (3, LEVELS).

        strength, memory: as for `Detailer.of`.
        """
        if self._change.shape != painting.shape:
            self._luma, self._changed, self._band, self._room = np.empty((4, *painting.shape[:2]), np.uint8)
            self._change = np.empty_like(painting)
        changed, band, room = self._changed, self._band, self._room
        cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY, dst=self._luma)
        wanted = luma_of(of_style)
        before = self._luma
        for turn in range(TIMES_AFTER):
            _band(before, FINE, room, band)  # (h, w)
            cv2.LUT(band, self._curves.of(turn, band, FINE, wanted, strength, memory)[0], dst=band)
            added(before, band, band, changed)
            before = changed
        taken_away(changed, self._luma, room, band)
        added_to_all(painting, band, self._change, painting)

    def reset(self) -> None:
        """Forget the former paintings."""
        self._curves.reset()


def luma_of(strengths: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the three colours' strengths (3, k) those of luma, as if they were one colour: (1, k)"""
    return np.asarray(np.asarray(LUMA, np.float32)[None] @ strengths, np.float32)


def bands_of(picture: Picture) -> Strengths:
    """RGB uint8 (h, w, 3) -> the quantiles LEVELS of each band's strengths, in 0..1: (BANDS, 3, LEVELS)"""
    half = np.empty((picture.shape[0] // 2, picture.shape[1] // 2, 3), np.uint8)
    seen = (picture, _halved(picture, half))
    bands = [_band(picture, k, *np.empty((2, *picture.shape), np.uint8)) for k, picture in enumerate(seen)]
    return np.stack([_strengths(band, k) for k, band in enumerate(bands)])


def curves(own: Strengths, of_style: NDArray[np.float32], strengths: Strengths) -> Strengths:
    """What strengths (k,) in 0..1 become in each of c colours: (c, k). own, of_style: of a band, (c, LEVELS).

    `engines.nets.finish.detail_curves` is the same for tensors.
    """
    goal = own + OVERSHOOT * (WANTED_SHARE * of_style - own)
    gaps = _rises(own)  # no detail stays none
    slopes = (_rises(goal) / np.maximum(gaps, GAP)).clip(0, STEEPEST)
    levels, changed = np.zeros((2, len(own), 1 + len(LEVELS)))
    levels[:, 1:] = own
    np.cumsum(slopes * gaps, 1, out=changed[:, 1:])
    # Beyond the last level a curve goes on.
    rows = [
        np.interp(strengths, *knots) + slope * np.maximum(strengths - knots[0][-1], 0)
        for *knots, slope in zip(levels, changed, slopes[:, -1], strict=True)
    ]
    return np.asarray(rows, np.float64)


def _rises(levels: Strengths) -> Strengths:
    """(c, k) -> how far each is above the one before it, the first one above 0. np.diff takes ten times as long."""
    rises = levels.copy()
    rises[:, 1:] -= levels[:, :-1]
    return rises


def softened(picture: Picture, which: int, out: Picture) -> None:
    """uint8 (h, w, 3), or (h, w), blurred by a band's Gaussian, the edge repeated; into `out`, of the same shape."""
    taps, sigma = GAUSSIANS[which]
    cv2.GaussianBlur(picture, (taps, taps), sigma, dst=out, borderType=cv2.BORDER_REPLICATE)


def _halved(picture: Picture, half: Picture) -> Picture:
    cv2.resize(picture, half.shape[1::-1], dst=half, interpolation=cv2.INTER_LINEAR)
    return half


def _band(picture: Picture, which: int, room: Picture, out: Picture) -> Picture:
    """What the band's Gaussian takes away of `picture`, around ZERO; into `out`. room: of its shape, overwritten."""
    softened(picture, which, out)
    # In bytes throughout: a difference is cut off at half of the range, which is more than detail ever has.
    taken_away(picture, out, room, out)
    return out


def quantiles(seen: Picture) -> Strengths:
    """The quantiles LEVELS of a band's strengths, in 0..1, for each of c colours: (c, LEVELS)

    seen: uint8 (h, w, c), or (h, w) of one, places of a band around ZERO.
    """
    colours = range(prod(seen.shape[2:]))
    counts = np.stack([cv2.calcHist([seen], [k], None, [256], [0, 256]).ravel() for k in colours], 1)  # (256, c)
    both = np.zeros((ZERO + 2, len(colours)))  # nothing, then how many have the strengths 0 .. 128
    both[1:-1] = counts[ZERO:]
    both[2:] += counts[ZERO - 1 :: -1]
    shares = both.cumsum(0) / prod(seen.shape[:2])
    return np.asarray([np.interp(LEVELS, shares[:, k], _EDGES) for k in colours], np.float64) / 255


def _tables(own: Strengths, of_style: NDArray[np.float32], strength: float) -> Picture:
    """What is to be added to each byte of a band, around ZERO: uint8 (c, 256); own, of_style: (c, LEVELS)."""
    wanted = np.sign(_SIGNED) * curves(own, of_style, np.abs(_SIGNED) / 255) * 255
    return np.asarray(np.rint(ZERO + strength * (wanted - _SIGNED)).clip(0, 255), np.uint8)


def _strengths(band: Picture, which: int) -> Strengths:
    """The quantiles LEVELS of a whole band's strengths, in 0..1: (c, LEVELS)"""
    return quantiles(every(band, STEPS_PX[which]))


def _away(own: Strengths, kept: Strengths) -> float:
    return float(np.abs(own - kept).mean() / (kept.mean() + GAP))
