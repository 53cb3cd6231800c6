"""All that is around the graphs, on one device: as OpenCV does it, within what rounding in other places makes of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from engines.antialiasing import Antialiaser
from engines.balance import Balancer
from engines.bands import FINE, TURNS_BEFORE, Detailer, FineDetailer, bands_of
from engines.chroma import with_colours_of
from engines.halos import HaloRemover
from engines.memory import quartered, small_size
from engines.nets import whole_graph as wg
from engines.oil import OilPainter
from engines.recolour import RIDGE, Recolourer, palette_of, statistics
from engines.scaling import Shrinker
from engines.spectrum import spectrum_of
from engines.tone import Toner, tones_of
from engines.working import Working, working_size

Picture = NDArray[np.uint8]
# Steps of 255 by which strokes are off in the mean besides: before version 5 OpenCV rounds places to 32nds of a pixel.
ROUNDED_PLACES = 0.0 if int(cv2.__version__.split(".")[0]) >= 5 else 0.2


def scene(height: int, width: int, seed: int = 0) -> Picture:
    coarse = np.random.default_rng(seed).integers(20, 236, (6, 9, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + np.random.default_rng(seed).normal(0, 7, smooth.shape), 0, 255).astype(np.uint8)


def planes(*pictures: Picture) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


def away(ours: torch.Tensor, *theirs: Picture) -> float:
    return float((ours - planes(*theirs)).abs().max())


@pytest.mark.parametrize("size", [(360, 640), (722, 1280), (1080, 1920)])
def test_frames_are_shrunk_as_opencv_does_it(size: tuple[int, int]) -> None:
    frame, wanted = scene(*size), working_size(*size)
    ours, theirs = wg.shrunk(planes(frame), wanted), Shrinker().to(frame, wanted)
    # A byte that is off is off by one, and few are: the network and the curves after it would amplify them.
    assert away(ours, theirs) <= 1 and float((ours != planes(theirs)).float().mean()) < 0.005


def test_a_frame_may_be_shrunk_in_one_direction_only() -> None:
    frame = scene(64, 300)
    assert away(wg.shrunk(planes(frame), (64, 200)), Shrinker().to(frame, (64, 200))) <= 1


def test_colour_maps_are_those_of_each_frame() -> None:
    guides = [scene(112, 200, seed) // (seed + 1) for seed in range(3)]
    guides.append(np.full_like(guides[0], 77))  # no colours to spread at all
    rng = np.random.default_rng(0)
    palettes = []
    for _ in guides:
        half = rng.normal(0, 0.15, (3, 3))
        values, vectors = np.linalg.eigh(half @ half.T + RIDGE * np.eye(3))
        root = (vectors * np.sqrt(values)) @ vectors.T
        palettes.append(np.concatenate([rng.uniform(0.2, 0.8, 3), root.ravel()]).astype(np.float32))
    told = wg.map_to(planes(*guides), torch.from_numpy(np.stack(palettes))).numpy()
    for ours, guide, palette in zip(told, guides, palettes, strict=True):
        theirs = Recolourer().of(guide, palette, 0.0)
        assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_the_inverse_root_is_one() -> None:
    half = torch.randn(50, 3, 3, dtype=torch.float64) * torch.logspace(-1, 1, 50, dtype=torch.float64)[:, None, None]
    matrices = half @ half.transpose(1, 2) + 1e-4 * torch.eye(3, dtype=torch.float64)
    inverse = wg.inverse_root(matrices)
    torch.testing.assert_close(inverse @ matrices @ inverse, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))


@pytest.mark.parametrize("size", [(112, 200), (113, 203)])
def test_halos_are_removed_as_by_opencv(size: tuple[int, int]) -> None:
    frames, strengths = [scene(*size, seed) for seed in (1, 2, 3)], [0.0, 0.4, 1.0]
    paintings = [frames[0], scene(*size, 4), scene(*size, 5)]
    ours = wg.haloless(planes(*paintings), planes(*frames), torch.tensor(strengths))
    for told, painting, frame, strength in zip(ours, paintings, frames, strengths, strict=True):
        small = quartered(frame, np.empty((*small_size(*size), 3), np.uint8))
        theirs = HaloRemover().of(painting, small, strength)
        changed = int(np.abs(theirs.astype(int) - painting).max())
        assert changed > 5 if strength else changed == 0
        assert away(told[None], theirs) <= 1


def test_tones_balances_and_bands_are_those_of_opencv() -> None:
    paintings, style = [scene(180, 240, seed) for seed in range(2)], scene(200, 200, 9) // 2
    strengths = (1.0, 0.4)
    palette = palette_of(*statistics(style))
    balanced = wg.balanced(
        torch.from_numpy(np.stack(paintings)), torch.from_numpy(np.stack([palette] * 2)), torch.tensor(strengths)
    )
    assert (
        away(
            balanced.permute(0, 3, 1, 2).float(),
            *(Balancer().of(*given, 0.0) for given in zip(paintings, [palette] * 2, strengths, strict=True)),
        )
        <= 1
    )
    tones, bands, spectra = (
        torch.from_numpy(np.stack([of(style)] * 2)).float() for of in (tones_of, bands_of, spectrum_of)
    )
    toned = wg.toned(torch.from_numpy(np.stack(paintings)), tones, torch.tensor(strengths))
    detailed = wg.detailed(planes(*paintings), bands, spectra, torch.tensor(strengths))
    wanted = [
        (
            Toner().of(painting, tones[0].numpy(), strength, 0.0),
            Detailer().of(painting, bands[0].numpy(), strength, 0.0, spectrum=spectra[0].numpy()),
        )
        for painting, strength in zip(paintings, strengths, strict=True)
    ]
    assert away(toned.permute(0, 3, 1, 2).float(), *(pair[0] for pair in wanted)) <= 1
    assert away(detailed, *(pair[1] for pair in wanted)) <= 1


def test_enlarged_paintings_are_smoothed_along_edges_and_get_fine_detail_as_by_opencv() -> None:
    paintings, bands = [scene(180, 240, seed) for seed in range(2)], 2 * bands_of(scene(200, 200, 9)).astype(np.float32)
    strengths = (1.0, 0.4)
    told = torch.from_numpy(np.stack([bands] * 2)), torch.tensor(strengths)
    before = wg.detailed(planes(*paintings), told[0], None, told[1], TURNS_BEFORE)
    smoothed = wg.antialiased(planes(*paintings), told[1])
    fine = wg.fine_detailed(planes(*paintings), told[0][:, FINE], told[1])
    for painting, strength, *ours in zip(paintings, strengths, before, smoothed, fine, strict=True):
        wanted = painting.copy()
        FineDetailer().of(wanted, bands[FINE], strength, 0.0)
        detailed = Detailer().of(painting, bands, strength, 0.0, to_enlarge=True)
        for one, other in zip(ours, (detailed, Antialiaser().of(painting, strength), wanted), strict=True):
            assert np.abs(other.astype(int) - painting).mean() > 0.4  # it is changed at all
            assert away(one[None], other) <= 1


# OpenCV halves odd sides less exactly, which turns a direction here and there.
@pytest.mark.parametrize(("size", "mean"), [((180, 240), 0.001), ((91, 77), 0.1)])
def test_strokes_are_drawn_out_as_by_opencv(size: tuple[int, int], mean: float) -> None:
    paintings, amounts = [scene(*size, seed) for seed in range(3)], (1.0, 0.3, 0.0)
    drawn = wg.oiled(planes(*paintings), torch.tensor(amounts))
    for painting, amount, ours in zip(paintings, amounts, drawn, strict=True):
        wanted = OilPainter().of(painting, amount)
        off = (ours - planes(wanted)[0]).abs()
        # A step that one pass rounds the other way is carried on by the next.
        assert off.mean() < mean + ROUNDED_PLACES and off.max() <= (0 if amount == 0 else 4), (off.mean(), off.max())
        assert amount == 0 or np.abs(wanted.astype(int) - painting).mean() > amount  # it is changed at all


class NothingFromTheHost(TorchDispatchMode):
    """Refuses `torch.tensor(...)`: on a device that is a copy, and copies cannot be captured in a CUDA graph."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "lift_fresh" not in str(func), "numbers of the host"
        return func(*args, **(kwargs or {}))


def test_nothing_is_copied_from_the_host() -> None:
    frames, strengths = planes(scene(90, 120)), torch.ones(1)
    palette = torch.from_numpy(palette_of(*statistics(scene(80, 80, 1))))[None]
    tones, bands, spectrum = (
        torch.from_numpy(of(scene(80, 80, 1)))[None].float() for of in (tones_of, bands_of, spectrum_of)
    )
    painted = frames.permute(0, 2, 3, 1).to(torch.uint8)
    with NothingFromTheHost():
        colour_map = wg.map_to(frames, palette)
        wg.sharpened(frames, colour_map, bands, strengths)
        wg.detailed(wg.oiled(frames, strengths), bands, spectrum, strengths)
        wg.fine_detailed(wg.antialiased(frames, strengths), bands[:, FINE], strengths)
        wg.balanced(wg.toned(painted, tones, strengths), palette, strengths)
        with pytest.raises(AssertionError, match="host"):
            torch.tensor([0.5])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_paintings_come_back_to_the_frames_own_size(strength: float) -> None:
    frame = scene(360, 640)
    around = Working()
    working = around.of(frame, 1.0)
    painting = 255 - working if strength else working.copy()
    ours = wg.finished(planes(frame), planes(working), planes(painting), torch.tensor([strength]), torch.tensor([0.3]))
    assert away(ours, around.finish(frame, working, painting, strength, 0.3)) <= (3 if strength else 0)


def test_colours_are_kept() -> None:
    frame, painting = scene(96, 128, 1), scene(96, 128, 2)
    ours = wg.with_colours_of(planes(frame), planes(painting), torch.tensor([0.6])).round().clamp(0, 255)
    off = (ours - planes(with_colours_of(frame, painting, 0.6))).abs()
    assert off.mean() < 0.7 and off.max() <= 4  # OpenCV rounds and clips in between
