from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines.errors import EngineError, InputError
from engines.memory import small_size
from engines.ort import CPU, PROVIDERS, open_session
from engines.segmentation import GRAPH, PIXELS, Segmenter, network_size
from realtime.synthetic import photo

Image = NDArray[np.uint8]
# Places of NASA's portrait (512x512, public domain) at a quarter: the face, the suit, and the wall at both sides.
PERSON = (slice(10, 40), slice(46, 66)), (slice(70, 120), slice(26, 60))
BACKGROUND = (slice(0, 60), slice(0, 16)), (slice(5, 65), slice(80, 128))


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(interval=1)


class Opened:
    """In the place of `engines.ort.open_session`: opens it on the CPU, whatever is asked for, and keeps the books."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sizes: list[Mapping[str, int] | None] = []
        self.runs = 0
        self._error = error

    def __call__(self, graph: Path, provider: str, *, threads: int, fixed: Mapping[str, int] | None) -> Opened:
        self.sizes.append(fixed)
        self._session = open_session(graph, CPU, threads=threads, fixed=fixed)
        return self

    def run(self, names: Any, inputs: Any) -> Any:
        if self._error is not None:
            raise self._error
        self.runs += 1
        return self._session.run(names, inputs)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    opened = Opened()
    monkeypatch.setattr("engines.segmentation.open_session", opened)
    return opened


def meadow() -> Image:
    """Sky above, grass below, and nobody: RGB uint8 (360, 640, 3)."""
    rows = np.linspace(0, 1, 360)[:, None, None]
    sky = np.array([90, 150, 220]) + rows * np.array([120, 70, 20])
    grass = np.array([70, 130, 40]) + 30 * np.random.default_rng(0).normal(size=(360, 640, 1))
    return np.where(rows < 0.6, sky, grass).clip(0, 255).astype(np.uint8)


def noisy(image: Image, seed: int) -> Image:
    """As a camera sees it in poor light."""
    noise = np.random.default_rng(seed).normal(0, 6, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def moved(image: Image, right_px: int) -> Image:
    return np.ascontiguousarray(np.roll(image, right_px, axis=1))


def test_the_mask_covers_the_person_and_little_else(segmenter: Segmenter) -> None:
    mask = segmenter.mask(photo())
    assert mask.shape == (128, 128) and mask.dtype == np.float32
    assert mask.min() >= 0 and mask.max() <= 1
    assert all(mask[place].mean() > 0.97 for place in PERSON)
    assert all(mask[place].mean() < 0.03 for place in BACKGROUND)


def test_its_edge_is_soft(segmenter: Segmenter) -> None:
    mask = segmenter.mask(cv2.resize(photo(), (1536, 1536)))
    steps = np.abs(np.diff(mask, axis=1))
    assert mask.max() > 0.99 and mask.min() < 0.01
    assert steps.max() < 0.35


@pytest.mark.parametrize("image", [meadow(), np.full((64, 64, 3), 128, np.uint8), np.full((640, 360, 3), 20, np.uint8)])
def test_where_nobody_is_there_is_nothing(segmenter: Segmenter, image: Image) -> None:
    assert segmenter.mask(image).mean() < 0.005


@pytest.mark.parametrize(("height", "width"), [(97, 131), (301, 181), (181, 301), (64, 64), (720, 405), (1081, 1921)])
def test_any_size_gives_the_mask_of_the_same_picture(segmenter: Segmenter, height: int, width: int) -> None:
    # The face and what is around it, in the shape of the frame.
    side = 240 / max(height, width)
    rows, columns = round(side * height), round(side * width)
    seen = np.ascontiguousarray(photo()[: rows + 20, 224 - columns // 2 : 224 - columns // 2 + columns])
    mask = segmenter.mask(np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    assert mask.shape == small_size(height, width)
    own = segmenter.mask(seen)
    assert np.abs(cv2.resize(mask, own.shape[::-1]) - own).mean() < 0.06
    middle = mask[mask.shape[0] // 2, mask.shape[1] // 2]
    assert middle > 0.9


def test_the_network_sees_the_frame_in_its_own_shape() -> None:
    assert network_size(1080, 1920) == (144, 256)
    assert network_size(1920, 1080) == (256, 144)
    assert network_size(480, 640) == (160, 224)
    for height, width in ((64, 64), (64, 16_384), (16_384, 64), (2160, 3840), (333, 77)):
        rows, columns = network_size(height, width)
        assert rows % 16 == columns % 16 == 0 and min(rows, columns) >= 64
        assert 0.85 * PIXELS < rows * columns < 1.15 * PIXELS


def test_noise_on_a_still_picture_hardly_moves_the_mask(segmenter: Segmenter) -> None:
    fresh = Segmenter()
    alone, steady = [], []
    for seed in range(6):
        image = noisy(photo(), seed)
        steady.append(segmenter.mask(image))
        fresh.reset()
        alone.append(fresh.mask(image))
    moves, own_moves = (np.abs(np.diff(np.stack(masks), axis=0)).mean() for masks in (steady, alone))
    assert moves < 0.002
    assert moves < 0.5 * own_moves


@pytest.mark.parametrize("interval", [1, 3])
def test_a_move_is_followed_at_the_next_run(interval: int) -> None:
    segmenter, fresh = Segmenter(interval=interval), Segmenter(interval=1)
    aside = moved(photo(), 60)
    there = fresh.mask(aside)
    before = segmenter.mask(photo())
    assert np.abs(before - there).mean() > 0.1
    for _ in range(interval):
        after = segmenter.mask(aside)
    assert np.abs(after - there).mean() < 0.005


def test_a_person_who_leaves_is_gone_at_the_next_run(segmenter: Segmenter) -> None:
    room = np.full((512, 512, 3), 90, np.uint8)
    segmenter.mask(photo())
    assert segmenter.mask(room).mean() < 0.01


def test_a_cut_is_another_scene() -> None:
    segmenter, field = Segmenter(interval=3), meadow()
    person = cv2.resize(photo(), (640, 360), interpolation=cv2.INTER_AREA)
    assert segmenter.mask(person).mean() > 0.1
    np.testing.assert_array_equal(segmenter.mask(field), Segmenter().mask(field))


def test_the_network_runs_at_every_interval_th_call_only(opened: Opened) -> None:
    segmenter = Segmenter(interval=3)
    counts, masks = [], []
    for call in range(7):
        masks.append(segmenter.mask(moved(photo(), 8 * call)))
        counts.append(opened.runs)
    assert counts == [1, 1, 1, 2, 2, 2, 3]
    assert np.array_equal(masks[0], masks[2]) and not np.array_equal(masks[2], masks[3])


def test_the_caller_owns_the_mask() -> None:
    segmenter = Segmenter(interval=9)
    first = segmenter.mask(photo())
    kept = first.copy()
    first[...] = 0.5
    assert np.array_equal(segmenter.mask(photo()), kept)


def test_reset_and_another_size_start_anew(opened: Opened) -> None:
    segmenter = Segmenter(interval=9)
    fresh = Segmenter().mask(photo())
    segmenter.mask(moved(photo(), 12))
    segmenter.reset()
    assert np.array_equal(segmenter.mask(photo()), fresh)
    assert segmenter.mask(meadow()).mean() < 0.005
    assert np.array_equal(segmenter.mask(photo()), fresh)
    assert opened.runs == 5


def test_elsewhere_than_on_the_cpu_a_session_is_for_one_size(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.segmentation.provider_name", lambda asked: PROVIDERS[asked])
    segmenter = Segmenter(provider="cuda", interval=1)
    assert segmenter.provider == "CUDAExecutionProvider"
    for image in (meadow(), photo(), photo()):
        assert segmenter.mask(image).shape == small_size(*image.shape[:2])
    assert opened.sizes == [{"height": 144, "width": 256}, {"height": 192, "width": 192}]


def test_after_close_there_are_no_masks(segmenter: Segmenter) -> None:
    segmenter.close()
    segmenter.close()
    segmenter.reset()
    with pytest.raises(EngineError, match="closed"):
        segmenter.mask(photo())


def test_what_cannot_be_used_is_told(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="interval is 0"):
        Segmenter(interval=0)
    with pytest.raises(EngineError, match="no provider 'cpo'; did you mean cpu"):
        Segmenter(provider="cpo")
    for threads in (0, 257):
        with pytest.raises(EngineError, match=f"threads is {threads}"):
            Segmenter(threads=threads)
    with pytest.raises(InputError, match="uint8"):
        segmenter.mask(np.zeros((64, 64), np.uint8))
    with pytest.raises(InputError, match="each side"):
        segmenter.mask(np.zeros((63, 64, 3), np.uint8))


def test_a_failing_network_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.segmentation.open_session", Opened(RuntimeError("out of memory")))
    with pytest.raises(EngineError, match=r"segmenter\.onnx: out of memory"):
        Segmenter().mask(photo())


def test_the_shipped_graph_says_where_it_is_from() -> None:
    model = onnx.load(GRAPH)
    onnx.checker.check_model(model, full_check=True)
    # The oldest ONNX Runtime that the project names, 1.22, reads as much.
    assert model.ir_version <= 10 and model.opset_import[0].version <= 22
    told = {entry.key: entry.value for entry in model.metadata_props}
    notice = (GRAPH.parents[1] / "NOTICE").read_text(encoding="utf-8")
    assert told["source_sha256"] in notice and told["licence"] == "Apache-2.0"
