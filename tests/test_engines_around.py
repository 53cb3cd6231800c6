"""What engines do around their graphs, with graphs that are functions here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from grain import fine_luma
from numpy.typing import NDArray

from engines.api import Look
from engines.around import Around
from engines.bands import FINE, WANTED_SHARE, bands_of, luma_of
from engines.errors import EngineError, InputError
from engines.guide import guidance_size, guide_size
from engines.memory import Recalled
from engines.pixels import Picture
from engines.recolour import palette_of, statistics
from engines.renewal import Guided
from engines.spectrum import spectrum_of
from engines.styles import Style
from engines.tone import tones_of
from engines.working import working_size

LARGE = (720, 1280)


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain, RGB uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(40, 216, (5, 7, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + np.random.default_rng(seed + 1).normal(0, 9, smooth.shape), 0, 255).astype(np.uint8)


def look(of: NDArray[np.uint8] | None = None, **numbers: Any) -> Look:
    """A look whose style has the tones, palette, bands and spectrum of a picture, or some palette alone."""
    tensors = {"palette": np.concatenate([np.full(3, 0.5), np.eye(3).ravel() / 10]).astype(np.float32)}
    if of is not None:
        found = {"tones": tones_of, "palette": palette, "bands": bands_of, "spectrum": spectrum_of}
        tensors = {name: measure(of).astype(np.float32)[None] for name, measure in found.items()}
    return Look(Style("plain", tensors, np.zeros((4, 4, 3), np.uint8), "b"), **numbers)


def palette(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return palette_of(*statistics(picture))


def without(name: str, told: Look) -> Look:
    tensors = {other: tensor for other, tensor in told.style.tensors.items() if other != name}
    return replace(told, style=replace(told.style, tensors=tensors))


class Inverts:
    """Graphs that invert colours, and keep what they were given; remember as the real ones do."""

    def __init__(self, problem_at: int = -1) -> None:
        self.guides: list[Picture] = []
        self.given: list[tuple[Picture, Guided, Recalled, float]] = []
        self.problem_at = problem_at

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        self.guides.append(guide.copy())
        assert colour_map.shape == (12,)
        return np.full((1, 2, *guidance_size(*guide.shape[:2])), len(self.guides), np.float32)

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        self.given.append((working.copy(), guided, replace(recalled, painting=recalled.painting.copy()), smoothing))
        if len(self.given) - 1 == self.problem_at:
            raise EngineError("the graph broke")
        return 255 - working, recalled.small.copy()


def test_the_graphs_get_working_frame_and_guide_and_the_painting_has_the_frames_size() -> None:
    graphs, frame = Inverts(), scene(*LARGE)
    painted = Around().paint(frame, look(), graphs)
    working, _, recalled, smoothing = graphs.given[0]
    assert working.shape == (*working_size(*LARGE), 3) and recalled.painting.shape == working.shape
    assert smoothing == 0  # nothing to remember yet
    assert graphs.guides[0].shape == (*guide_size(*working.shape[:2]), 3)
    assert painted.shape == frame.shape and painted.dtype == np.uint8
    assert np.corrcoef(painted.ravel(), frame.ravel())[0, 1] < -0.8


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_the_guide_is_looked_at_seldom_if_there_is_smoothing(smoothing: float) -> None:
    graphs, around, told = Inverts(), Around(), look(smoothing=smoothing, kernel_interval=3)
    for _ in range(7):
        around.paint(scene(96, 128), told, graphs)
    looks = [given[1].guidance.max() for given in graphs.given]
    assert looks == ([1, 2, 3, 4, 5, 6, 7] if smoothing == 0 else [1, 1, 1, 2, 2, 2, 3])


@pytest.mark.parametrize("name", ["render_scale", "stroke"])
def test_numbers_of_the_look_reach_the_sizes(name: str) -> None:
    sizes = []
    for value in (0.7, 1.4):
        graphs = Inverts()
        Around().paint(scene(*LARGE), look(**{name: value}), graphs)
        sizes.append((graphs.given[0][0].size, graphs.guides[0].size))
    (small, fine), (large, broad) = sizes
    assert large > small if name == "render_scale" else (large == small and fine > broad)


def test_the_memory_holds_what_the_graph_painted_and_not_what_became_of_it() -> None:
    graphs, around, frame = Inverts(), Around(), scene(*LARGE)
    told = look(scene(200, 200, 7) // 2, smoothing=1.0)
    first = around.paint(frame, told, graphs)
    around.paint(frame, told, graphs)
    working, _, recalled, smoothing = graphs.given[1]
    assert smoothing == 1
    assert np.array_equal(recalled.painting, 255 - working)  # nothing moved
    assert first.mean() < (255 - frame).mean() - 10  # but the first answer had the darker tones of the style


def test_a_cut_leaves_the_memory_out_and_asks_for_a_new_guide() -> None:
    graphs, around, told = Inverts(), Around(), look(smoothing=1.0, kernel_interval=8)
    for frame in (scene(96, 128), scene(96, 128), 255 - scene(96, 128) // 2):
        around.paint(frame, told, graphs)
    assert [given[3] for given in graphs.given] == [0, 1, 0]
    assert [given[1].guidance.max() for given in graphs.given] == [1, 1, 2]


def test_what_is_measured_of_a_painting_holds_as_long_as_the_guide() -> None:
    style, frame = scene(200, 200, 7) // 2 + 20, scene(96, 128)
    darker = np.maximum(frame, 5) - 5
    around, told = Around(), look(style, smoothing=0.01, kernel_interval=2)
    _, held, anew = (around.paint(given, told, Inverts()).astype(int) for given in (frame, darker, darker))
    alone = Around().paint(darker, told, Inverts()).astype(int)
    assert np.abs(anew - alone).max() <= 1  # hardly anything of what was before counts
    assert held.mean() > alone.mean() + 1  # the palette that the first frame needed, of an inverted frame 5 lighter


def test_a_cut_while_nothing_is_painted_is_a_cut_for_what_is_measured_too() -> None:
    before, after, told = scene(96, 128), scene(96, 128, 7) // 2, look(scene(96, 128, 5), kernel_interval=8)
    graphs, seen, fresh = Inverts(), Around(), Around()
    for _ in range(3):
        seen.paint(before, told, graphs)
    for around in (seen, fresh):
        for _ in range(3):
            around.paint(after, replace(told, strength=0.0), graphs)
    for _ in range(3):
        np.testing.assert_array_equal(seen.paint(after, told, graphs), fresh.paint(after, told, graphs))


def test_tones_palette_and_bands_come_nearer_to_the_styles() -> None:
    style, frame = scene(200, 200, 7) // 2 + 20, scene(96, 128)
    plain = Around().paint(frame, look(smoothing=0.0), Inverts())
    painted = Around().paint(frame, look(style, smoothing=0.0), Inverts())
    assert np.array_equal(plain, 255 - frame)
    for measure in (tones_of, palette, bands_of):
        before, after = (np.abs(measure(image) - measure(style)).mean() for image in (plain, painted))
        assert after < 0.6 * before


def test_an_enlarged_painting_is_as_crisp_as_the_style() -> None:
    """At the size that is looked at, not at the working size."""
    style, frame = scene(200, 200, 7), scene(*LARGE)
    told, graphs = look(style, smoothing=0.0), Inverts()
    painted = Around().paint(frame, told, graphs)
    assert graphs.given[0][0].shape < painted.shape == frame.shape
    wanted = WANTED_SHARE * luma_of(bands_of(style)[FINE].astype(np.float32)).mean()
    ours, plain = (
        fine_luma(image).mean() for image in (painted, Around().paint(frame, without("bands", told), Inverts()))
    )
    assert ours == pytest.approx(wanted, rel=0.15) and plain < 0.7 * wanted


def test_an_enlarged_painting_shows_no_stairs() -> None:
    """Of pixels that the graph painted, which the curves of detail would bring out."""
    y, x = np.mgrid[: LARGE[0], : LARGE[1]]
    frame = np.repeat(np.where(x - 640 > 0.6 * (y - 360), 190, 70)[..., None], 3, 2).astype(np.uint8)

    class Stairs(Inverts):
        def paint(
            self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
        ) -> tuple[Picture, Picture]:
            return np.where(working > 130, 190, 70).astype(np.uint8), recalled.small.copy()

    def roughness(image: Picture) -> float:
        """How much it varies along the edge: each row moved so far that the edge is upright."""
        rows = np.arange(200, 520)
        upright = [
            np.interp(np.arange(-8, 9) + 640 + 0.6 * (row - 360), np.arange(LARGE[1]), image[row, :, 0]) for row in rows
        ]
        return float(np.std(upright, 0).mean())

    told = without("tones", look(scene(200, 200, 7), smoothing=0.0))
    crisp, soft = (roughness(Around().paint(frame, one, Stairs())) for one in (told, without("bands", told)))
    assert crisp < 2 * soft  # 2.9 times, were they not smoothed


def test_halos_are_removed_of_models_that_have_some() -> None:
    class Rims(Inverts):
        """What is dark in the frame gets a light rim, twelve pixels wide."""

        def paint(self, working: Picture, *told: Any) -> tuple[Picture, Picture]:
            _, source = super().paint(working, *told)
            near = cv2.dilate((working < 100).astype(np.uint8), np.ones((25, 25), np.uint8)) * (working >= 100)
            return cv2.add(working, 40 * near), source

    frame = np.full((192, 192, 3), 150, np.uint8)
    frame[64:128, 64:128] = 60
    told, graphs = look(scene(192, 192, 5), smoothing=0.0), Rims()
    with_halos, without_halos = (
        Around(halos=there).paint(frame, told, graphs).astype(float) for there in (False, True)
    )
    rim, ground = (slice(80, 112), slice(53, 62)), (slice(80, 112), slice(0, 20))
    shown = with_halos[rim].mean() - with_halos[ground].mean()
    assert shown > 20 and without_halos[rim].mean() - without_halos[ground].mean() < 0.75 * shown
    np.testing.assert_array_equal(without_halos[ground], with_halos[ground])


def test_the_graph_sees_the_frame_as_sharp_as_the_style_is() -> None:
    frame = scene(96, 128)
    seen = []
    for style in (cv2.GaussianBlur(frame, (0, 0), 0.7), frame):
        graphs = Inverts()
        Around().paint(frame, look(style, smoothing=0.0), graphs)
        working, guide = graphs.given[0][0], graphs.guides[0]
        seen.append(float(bands_of(working)[FINE].mean()))
        assert np.array_equal(guide, frame)  # it is small enough to be the frame itself, as it came
    assert seen[0] < 0.8 * seen[1] and seen[1] == pytest.approx(float(bands_of(frame)[FINE].mean()), rel=0.05)


def test_the_frame_s_own_colours_can_be_kept() -> None:
    frame = scene(96, 128)
    own = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int)
    painted, kept = (Around().paint(frame, look(keep_colours=share), Inverts()) for share in (0.0, 1.0))
    away = [np.abs(cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb)[..., 1:] - own).mean() for one in (painted, kept)]
    assert away[1] < 0.25 * away[0]


@pytest.mark.parametrize("size", [LARGE, (96, 128)])
def test_oil_takes_what_is_not_along_the_edges(size: tuple[int, int]) -> None:
    """Grain on stripes: along them it goes, and does not come back with a large frame's own detail."""
    frame = np.repeat(scene(size[0], 1), size[1], 1)
    grainy = np.clip(frame + np.random.default_rng(0).normal(0, 15, frame.shape), 0, 255).astype(np.uint8)
    rough = []
    for oil in (0.0, 0.5, 1.0):
        painted = Around().paint(grainy, look(smoothing=0.0, oil=oil), Inverts()).astype(float)
        rough.append(np.abs(np.diff(painted, axis=1)).mean())
    assert rough[1] < 0.7 * rough[0] and rough[2] < 0.8 * rough[1], rough


@pytest.mark.parametrize("size", [LARGE, (96, 128)])
def test_strength_0_keeps_what_the_graph_keeps_to_the_last_bit(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)

    class Untouched(Inverts):
        def paint(
            self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
        ) -> tuple[Picture, Picture]:
            return working, recalled.small

    told = look(scene(200, 200, 7), strength=0.0)
    assert np.array_equal(Around().paint(frame, told, Untouched()), frame)


def test_an_error_of_the_graph_and_a_reset_clear_the_memory() -> None:
    frame, told = scene(96, 128), look(scene(80, 80, 3), smoothing=1.0)
    broken, reset = Inverts(problem_at=1), Inverts()
    around = Around()
    around.paint(frame, told, broken)
    with pytest.raises(EngineError, match="broke"):
        around.paint(frame, told, broken)
    around.paint(frame, told, broken)
    assert [given[3] for given in broken.given] == [0, 1, 0] and len(broken.guides) == 2
    around.paint(frame, told, reset)
    around.reset()
    around.paint(frame, told, reset)
    assert [given[3] for given in reset.given] == [1, 0]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InputError):
        Around().paint(np.zeros((10, 10, 3), np.uint8), look(), Inverts())
