from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import InputError
from engines.training.steadiness import (
    SourceMotion,
    SteadinessMeter,
    flow_between,
    sharpness,
    source_motion,
    trusted,
    warp,
    warping_error,
)

# Ground-truth flow (MPI-Sintel) lies beside a checkout of the developers, not in the project.
FLOW_TRUTH = Path(__file__).resolve().parents[2] / "shared" / "data" / "flow_gt"


def textured(height: int, width: int, seed: int = 7) -> NDArray[np.uint8]:
    """Smooth random texture with detail at several scales: a scene whose motion can be found."""
    random = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (4, 12, 40):
        small = random.random((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        scene += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(scene / 3 * 255, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pan() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two frames of a camera pan: the picture moves 3 px to the right and 2 px up."""
    scene = textured(220, 300)
    return scene[20:180, 20:260].copy(), scene[22:182, 17:257].copy()


def constant_flow(height: int, width: int, x: float, y: float) -> NDArray[np.float32]:
    return np.broadcast_to(np.float32([x, y]), (height, width, 2)).copy()


def test_flow_of_a_pan_is_the_pan(pan: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    motion = source_motion(*pan)
    inner = motion.flow[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-3, abs=0.1)
    assert np.median(inner[..., 1]) == pytest.approx(2, abs=0.1)
    assert motion.visible[16:-16, 16:-16].mean() > 0.95
    assert not motion.is_cut
    assert motion.moving().mean() > 0.8
    assert not motion.moving(threshold_px=5.0).any()


def test_warp_fetches_from_where_the_flow_says() -> None:
    image = np.arange(6 * 8, dtype=np.float32).reshape(6, 8)
    moved = warp(image, constant_flow(6, 8, 1.0, 0.0))
    np.testing.assert_allclose(moved[:, :-1], image[:, 1:])
    np.testing.assert_allclose(moved[:, -1], image[:, -1])
    np.testing.assert_allclose(warp(image, constant_flow(6, 8, 0.5, 0.0))[:, 0], image[:, 0] + 0.5)


def test_painting_that_moves_along_has_no_error(pan: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    motion = source_motion(*pan)
    along = warping_error(*pan, motion)
    stuck = warping_error(pan[0], pan[0], motion)
    assert along < 0.05 * stuck


def test_error_of_a_known_difference() -> None:
    motion = SourceMotion(constant_flow(64, 64, 0, 0), np.ones((64, 64), dtype=np.bool_))
    grey = np.full((64, 64, 3), 100, dtype=np.uint8)
    assert warping_error(grey, grey, motion) == 0.0
    assert warping_error(grey, grey + 51, motion) == pytest.approx(0.2**2 * 1000)
    half = grey.copy()
    half[:32] += 51
    assert warping_error(grey, half, motion) == pytest.approx(0.2**2 * 1000 / 2)


def test_error_counts_only_what_can_be_trusted() -> None:
    visible = np.zeros((64, 64), dtype=np.bool_)
    visible[32:] = True
    grey = np.full((64, 64, 3), 100, dtype=np.uint8)
    changed = grey.copy()
    changed[:32] = 200
    assert warping_error(grey, changed, SourceMotion(constant_flow(64, 64, 0, 0), visible)) == 0.0
    nothing = SourceMotion(constant_flow(64, 64, 0, 0), np.zeros_like(visible))
    assert np.isnan(warping_error(grey, changed, nothing))


def test_flow_that_does_not_come_back_is_not_trusted() -> None:
    flow = constant_flow(20, 20, 2, 0)
    assert trusted(flow, -flow)[:, :17].all()
    assert not trusted(flow, -flow)[:, 18:].any(), "outside the frame"
    assert not trusted(flow, flow).any()
    edge = constant_flow(20, 20, 0, 0)
    edge[:, 10:, 0] = 1.0
    at_edge = trusted(edge, -edge)
    assert not at_edge[:, 9:11].any(), "motion boundary"
    assert at_edge[:, :9].all()


def test_a_cut_is_left_out() -> None:
    first, second = textured(96, 128, seed=1), textured(96, 128, seed=2)
    meter = SteadinessMeter()
    meter.add(first, None)
    meter.add(first, source_motion(first, first))
    cut = source_motion(first, second)
    assert cut.is_cut
    meter.add(second, cut)
    result = meter.result()
    assert (result.pairs, result.cuts) == (1, 1)
    assert result.warping_error == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(result.sharpness_moving), "nothing moved"


def test_sharpness_falls_with_blur_and_can_be_local() -> None:
    scene = textured(96, 128)
    soft = np.asarray(cv2.GaussianBlur(scene, (0, 0), 2.0), dtype=np.uint8)
    assert sharpness(soft) < 0.5 * sharpness(scene)
    left = np.zeros((96, 128), dtype=np.bool_)
    left[:, :64] = True
    mixed = scene.copy()
    mixed[:, 64:] = soft[:, 64:]
    assert sharpness(mixed, left) > 2 * sharpness(mixed, ~left)
    assert np.isnan(sharpness(scene, np.zeros_like(left)))


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="one size"):
        source_motion(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 65, 3), np.uint8))


@pytest.mark.skipif(not FLOW_TRUTH.is_dir(), reason="ground-truth flow is not beside this checkout")
@pytest.mark.parametrize(("scene", "most_px"), [("sintel_clean_easy", 0.5), ("sintel_final_medium", 2.5)])
def test_flow_and_trust_against_sintel(scene: str, most_px: float) -> None:
    folder = FLOW_TRUTH / scene
    frames = [
        cv2.cvtColor(cv2.imread(str(folder / f"frame_000{n}.png")), cv2.COLOR_BGR2RGB).astype(np.uint8) for n in (2, 3)
    ]
    raw = (folder / "flow_0002.flo").read_bytes()
    width, height = np.frombuffer(raw, "<i4", 2, 4)
    truth = np.frombuffer(raw, "<f4", 2 * width * height, 12).reshape(height, width, 2)
    occluded = cv2.imread(str(folder / "occlusions_0002.png"), cv2.IMREAD_GRAYSCALE) > 0
    flow = flow_between(frames[0], frames[1])
    visible = trusted(flow, flow_between(frames[1], frames[0]))
    error = np.hypot(*(flow - truth).transpose(2, 0, 1))
    assert error[visible].mean() < most_px
    assert error[visible].mean() < 0.8 * error.mean(), "what is trusted is better than the rest"
    assert visible[occluded].mean() < 0.85 * visible.mean(), "what is hidden is trusted less"
    # The true flow moves the second frame onto the first; ours must explain the picture nearly as well.
    ours = SourceMotion(flow, visible & ~occluded)
    true = SourceMotion(truth.copy(), visible & ~occluded)
    assert warping_error(frames[1], frames[0], ours) < 1.2 * warping_error(frames[1], frames[0], true)
