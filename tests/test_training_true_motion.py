from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import InputError
from engines.training.true_motion import find_true_motions, read_flo, read_true_motion

Image = NDArray[np.uint8]
STEP = 4  # pixels that everything goes to the right from frame 2 to frame 3


def write_flo(path: Path, flow: NDArray[np.float32]) -> None:
    height, width = flow.shape[:2]
    head = np.float32(202021.25).tobytes() + np.array([width, height], np.int32).tobytes()
    path.write_bytes(head + flow.astype("<f4").tobytes())


def write_set(folder: Path, height: int = 64, width: int = 112) -> None:
    """A smooth picture that goes to the right between frames 2 and 3; frame 3 has a black block, told as occlusion."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (height, width + STEP, 3), dtype=np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 2)
    for number in (1, 2):
        cv2.imwrite(str(folder / f"frame_{number:04d}.png"), wide[:, STEP:])
    last = wide[:, :width].copy()
    last[20:40, 50:70] = 0
    cv2.imwrite(str(folder / "frame_0003.png"), last)
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = STEP
    write_flo(folder / "flow_0002.flo", flow)
    hidden = np.zeros((height, width), np.uint8)
    hidden[18:42, 44:68] = 255
    cv2.imwrite(str(folder / "occlusions_0002.png"), hidden)


def test_along_the_true_motion_the_film_is_steady(tmp_path: Path) -> None:
    write_set(tmp_path / "film")
    (folder,) = find_true_motions(tmp_path)
    known = read_true_motion(folder, 64)
    assert known.name == "film" and len(known.frames) == 3
    assert {frame.shape for frame in known.frames} == {(64, 64, 3)}
    np.testing.assert_allclose(known.motion.flow[..., 0], STEP)
    assert known.error(known.frames[1], known.frames[2]) == pytest.approx(0, abs=1e-3)
    assert known.error(known.frames[2], known.frames[2]) > 1, "another picture than the frame before"
    # Occluded: the block. Out of the picture: the last columns.
    assert not known.motion.visible[25:35, 30:40].any() and not known.motion.visible[:, -STEP:].any()
    assert known.motion.visible.mean() > 0.7


def test_the_flow_is_scaled_with_the_frames(tmp_path: Path) -> None:
    write_set(tmp_path / "film")
    known = read_true_motion(tmp_path / "film", 32)
    np.testing.assert_allclose(known.motion.flow[..., 0], STEP / 2)
    assert known.error(known.frames[1], known.frames[2]) < 0.1 * known.error(known.frames[1][::-1], known.frames[2])


def test_sets_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert find_true_motions(tmp_path / "none") == []
    with pytest.raises(InputError, match=r"has no flow_NNNN\.flo"):
        read_true_motion(tmp_path, 64)
    write_set(tmp_path / "film")
    (tmp_path / "film" / "frame_0001.png").unlink()
    with pytest.raises(InputError, match=r"frame_0001\.png is missing"):
        read_true_motion(tmp_path / "film", 64)
    for content in (b"", b"PIEH\x01", np.float32(202021.25).tobytes() + np.array([9, 9], np.int32).tobytes()):
        (tmp_path / "a.flo").write_bytes(content)
        with pytest.raises(InputError, match="missing or damaged"):
            read_flo(tmp_path / "a.flo")
    (tmp_path / "a.flo").write_bytes(np.zeros(3, np.float32).tobytes())
    with pytest.raises(InputError, match=r"should be 202021\.25"):
        read_flo(tmp_path / "a.flo")
