"""What engines do around their graphs, with graphs that are functions here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.around import Around, Picture, Remembered
from engines.bands import bands_of
from engines.errors import EngineError, InputError
from engines.guide import guide_size
from engines.memory import VALID, small_size
from engines.styles import Style
from engines.tone import tones_of
from engines.working import working_size

LARGE = (720, 1280)


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain, RGB uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(40, 216, (5, 7, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + np.random.default_rng(seed + 1).normal(0, 9, smooth.shape), 0, 255).astype(np.uint8)


def look(of: NDArray[np.uint8] | None = None, **numbers: float) -> Look:
    """A look whose style has the tones and bands of a picture, or none."""
    tensors = {}
    if of is not None:
        tensors = {
            name: found(of).astype(np.float32)[None] for name, found in (("tones", tones_of), ("bands", bands_of))
        }
    return Look(Style("plain", tensors, np.zeros((4, 4, 3), np.uint8), "b"), **numbers)


class Graph:
    """Inverts colours, and keeps what it was given; remembers as the real graphs do."""

    def __init__(self, problem_at: int = -1) -> None:
        self.given: list[tuple[Picture, Picture, Remembered]] = []
        self.problem_at = problem_at

    def __call__(self, working: Picture, guide: Picture, memory: Remembered) -> Remembered:
        held: Remembered = (memory[0].copy(), memory[1].copy(), memory[2].copy())
        self.given.append((working.copy(), guide.copy(), held))
        if len(self.given) - 1 == self.problem_at:
            raise EngineError("the graph broke")
        height, width = small_size(*working.shape[:2])
        statistics = np.zeros(16, np.float32)
        statistics[VALID] = 1
        return 255 - working, np.ascontiguousarray(cv2.resize(working, (width, height))), statistics


def test_the_graph_gets_working_frame_and_guide_and_the_painting_has_the_frames_size() -> None:
    graph, frame = Graph(), scene(*LARGE)
    painted = Around().paint(frame, look(), graph)
    working, guide, memory = graph.given[0]
    assert working.shape == (*working_size(*LARGE), 3) and memory[0].shape == working.shape
    assert guide.shape == (*guide_size(*working.shape[:2]), 3)
    assert painted.shape == frame.shape and painted.dtype == np.uint8
    assert np.corrcoef(painted.ravel(), frame.ravel())[0, 1] < -0.8


@pytest.mark.parametrize("name", ["render_scale", "stroke"])
def test_numbers_of_the_look_reach_the_sizes(name: str) -> None:
    sizes = []
    for value in (0.7, 1.4):
        graph = Graph()
        Around().paint(scene(*LARGE), look(**{name: value}), graph)
        sizes.append((graph.given[0][0].size, graph.given[0][1].size))
    (small, fine), (large, broad) = sizes
    assert large > small if name == "render_scale" else (large == small and fine > broad)


def test_the_memory_holds_what_the_graph_painted_and_not_what_became_of_it() -> None:
    graph, around, frame = Graph(), Around(), scene(*LARGE)
    told = look(scene(200, 200, 7) // 2, smoothing=1.0)
    first = around.paint(frame, told, graph)
    around.paint(frame, told, graph)
    working, _, (painting, _, statistics) = graph.given[1]
    assert statistics[VALID] == 1
    assert np.array_equal(painting, 255 - working)  # nothing moved
    assert first.mean() < (255 - frame).mean() - 10  # but the first answer had the darker tones of the style


def test_tones_and_bands_come_nearer_to_the_styles() -> None:
    style, frame = scene(200, 200, 7) // 2 + 20, scene(96, 128)
    plain = Around().paint(frame, look(smoothing=0.0), Graph())
    painted = Around().paint(frame, look(style, smoothing=0.0), Graph())
    assert np.array_equal(plain, 255 - frame)
    for measure in (tones_of, bands_of):
        before, after = (np.abs(measure(image) - measure(style)).mean() for image in (plain, painted))
        assert after < 0.6 * before


@pytest.mark.parametrize("size", [LARGE, (96, 128)])
def test_strength_0_keeps_what_the_graph_keeps_to_the_last_bit(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)

    def untouched(working: Picture, guide: Picture, memory: Remembered) -> Remembered:
        return working, memory[1], memory[2]

    told = look(scene(200, 200, 7), strength=0.0)
    assert np.array_equal(Around().paint(frame, told, untouched), frame)


def test_an_error_of_the_graph_and_a_reset_clear_the_memory() -> None:
    frame, told = scene(96, 128), look(scene(80, 80, 3), smoothing=1.0)
    broken, reset = Graph(problem_at=1), Graph()
    around = Around()
    around.paint(frame, told, broken)
    with pytest.raises(EngineError, match="broke"):
        around.paint(frame, told, broken)
    around.paint(frame, told, broken)
    assert not broken.given[2][2][2].any()
    around.paint(frame, told, reset)
    around.reset()
    around.paint(frame, told, reset)
    assert reset.given[0][2][2].any() and not reset.given[1][2][2].any()


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InputError):
        Around().paint(np.zeros((10, 10, 3), np.uint8), look(), Graph())
