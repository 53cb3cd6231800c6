"""Pairs of frames out of real files: their motion is the one that they were made with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.errors import InputError
from engines.training import clips, warping
from engines.training.clips import ClipPairs

SIDE = 96
STEP_PX = 2


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "SIDE_PX", SIDE)
    monkeypatch.setattr(clips, "PAIRS", 3)


def write_clip(path: Path, frames: int = 6) -> None:
    """A soft picture that moves to the left, STEP_PX a frame."""
    random = np.random.default_rng(0)
    wide = cv2.resize(random.integers(0, 256, (12, 30, 3), dtype=np.uint8), (240, SIDE), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (SIDE, SIDE))
    for i in range(frames):
        writer.write(np.ascontiguousarray(wide[:, STEP_PX * i : STEP_PX * i + SIDE]))
    writer.release()


def test_the_next_frame_is_the_moved_frame(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "a.avi")
    pairs = ClipPairs(tmp_path / "clips", tmp_path / "packed")
    assert len(pairs) == 3
    torch.manual_seed(0)
    for _ in range(4):  # mirrored or not
        now, after, grid, valid = pairs.draw(2, 64)
        assert now.shape == after.shape == (2, 3, 64, 64)
        assert grid.shape == (2, 64, 64, 2) and valid.shape == (2, 1, 64, 64)
        assert valid.mean() > 0.7
        moved = (grid - warping.identity_grid(2, 64, 64))[..., 0].abs() * 32
        assert moved[valid[:, 0] > 0].median().item() == pytest.approx(STEP_PX, abs=0.3)
        error = ((warping.warp(now, grid, "bicubic") - after).abs() * valid).sum() / valid.sum() / 3
        assert error < 0.02
        assert ((now - after).abs() * valid).sum() / valid.sum() / 3 > 3 * error


def test_what_is_packed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "clips" / "a.avi")
    ClipPairs(tmp_path / "clips", tmp_path / "packed")
    assert len(list((tmp_path / "packed").glob("[!.]*"))) == 1
    monkeypatch.setattr(cv2, "VideoCapture", None)
    assert len(ClipPairs(tmp_path / "clips", tmp_path / "packed")) == 3


def test_held_out_clips_are_never_trained_on(tmp_path: Path) -> None:
    name = sorted(clips.held_out_clips())[0]
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / name).write_bytes(b"not looked at")
    with pytest.raises(InputError, match="has no clips to train with"):
        ClipPairs(tmp_path / "clips", tmp_path / "packed")
    write_clip(tmp_path / "clips" / "a.avi")
    assert len(ClipPairs(tmp_path / "clips", tmp_path / "packed")) == 3


@pytest.mark.parametrize(
    ("frames", "said"), [(1, "no two frames that can be followed"), (0, "cannot be read as a clip")]
)
def test_clips_without_motion_are_told(frames: int, said: str, tmp_path: Path) -> None:
    if frames:
        write_clip(tmp_path / "clips" / "a.avi", frames)
    else:
        (tmp_path / "clips").mkdir()
        (tmp_path / "clips" / "a.avi").write_bytes(b"")
    with pytest.raises(InputError, match=said):
        ClipPairs(tmp_path / "clips", tmp_path / "packed")
    assert not list(tmp_path.glob("packed/*.npz"))


def test_a_crop_larger_than_the_clips_is_told(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "a.avi")
    with pytest.raises(InputError, match="128 px does not fit into clips of 96 px"):
        ClipPairs(tmp_path / "clips", tmp_path / "packed").draw(1, 128)
