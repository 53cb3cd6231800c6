"""Cameras, without one: the order of what is asked for, names, and a camera that is taken away."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.errors import SourceError
from realtime.cameras import MAX_FAILED_READS, Camera, CameraSource, find_camera, list_cameras

TWO = [Camera(0, "Integrated Webcam"), Camera(2, "USB Capture")]


class FakeCapture:
    """Imitates cv2.VideoCapture: gives blue pictures (BGR) of its own size, and then nothing any more."""

    def __init__(self, frames: int = 10**6, size: tuple[int, int] = (96, 72), is_open: bool = True) -> None:
        self.frames, self.size, self.is_open = frames, size, is_open
        self.asked: list[int] = []
        self.released = 0
        self.misses = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.is_open

    def set(self, prop: int, value: float) -> bool:
        self.asked.append(prop)
        return True

    def get(self, prop: int) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, Any]:
        if self.misses:
            self.misses -= 1
            return False, None
        if self.frames <= 0:
            return False, None
        self.frames -= 1
        return True, np.full((self.size[1], self.size[0], 3), (255, 10, 0), np.uint8)

    def release(self) -> None:
        self.released += 1


def test_mjpg_is_asked_for_first_then_size_then_rate() -> None:
    capture = FakeCapture()
    CameraSource(0, size=(640, 360), open_capture=lambda index: capture)
    order = [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS]
    assert capture.asked[:4] == order


def test_what_was_really_given_is_told_and_kept() -> None:
    source = CameraSource(0, open_capture=lambda index: FakeCapture(size=(160, 120)))
    assert (source.info.width_px, source.info.height_px, source.info.rate) == (160, 120, 30)
    frame = source.read()
    assert frame is not None
    assert frame.image.shape == (120, 160, 3)
    assert tuple(frame.image[0, 0]) == (0, 10, 255)  # RGB
    assert source.live is True


def test_a_size_that_was_asked_for_is_delivered_whatever_the_camera_gives() -> None:
    source = CameraSource(0, size=(64, 64), open_capture=lambda index: FakeCapture(size=(160, 120)))
    frame = source.read()
    assert frame is not None
    assert frame.image.shape == (64, 64, 3)


def test_some_missed_pictures_are_forgiven() -> None:
    capture = FakeCapture()
    source = CameraSource(0, open_capture=lambda index: capture)
    capture.misses = MAX_FAILED_READS - 1
    assert source.read() is not None


def test_a_camera_taken_away_is_an_error() -> None:
    source = CameraSource(3, open_capture=lambda index: FakeCapture(frames=3))
    source.read()
    source.read()
    with pytest.raises(SourceError, match="camera 3 gives no picture"):
        source.read()


def test_a_camera_that_cannot_be_opened_is_an_error() -> None:
    capture = FakeCapture(is_open=False)
    with pytest.raises(SourceError, match="camera 0 cannot be opened"):
        CameraSource(0, open_capture=lambda index: capture)
    assert capture.released == 1


@pytest.mark.parametrize("problem", [None, cv2.error("the driver failed")])
def test_a_camera_that_gives_nothing_at_first_is_let_go(problem: cv2.error | None) -> None:
    class Dead(FakeCapture):
        def set(self, prop: int, value: float) -> bool:
            if problem is not None:
                raise problem
            return super().set(prop, value)

    capture = Dead(frames=0)
    with pytest.raises(SourceError, match=r"camera 0 (gives no picture|cannot be opened: the driver failed)"):
        CameraSource(0, open_capture=lambda index: capture)
    assert capture.released == 1


def test_an_error_of_opencv_is_ours() -> None:
    def broken(index: int) -> FakeCapture:
        raise cv2.error("no back end")

    with pytest.raises(SourceError, match="no back end"):
        CameraSource(0, open_capture=broken)


@pytest.mark.parametrize(("text", "index"), [(None, 0), ("2", 2), ("usb capture", 2), ("webcam", 0)])
def test_cameras_are_found_by_index_and_name(text: str | None, index: int) -> None:
    assert find_camera(text, TWO) == index


@pytest.mark.parametrize(
    ("text", "words"), [("phone", "no camera is called"), ("a", "2 cameras are called"), (None, "no camera was found")]
)
def test_cameras_that_are_not_there_are_told(text: str | None, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        find_camera(text, TWO if text else [])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of cameras is Linux's own")
def test_linux_tells_cameras_without_opening_them(tmp_path: Path) -> None:
    for node, index, name in (("video2", "0", "USB Capture"), ("video1", "1", "Webcam"), ("video0", "0", "Webcam")):
        folder = tmp_path / node
        folder.mkdir()
        (folder / "index").write_text(index + "\n")
        (folder / "name").write_text(name + "\n")
    assert list_cameras(tmp_path) == [Camera(0, "Webcam"), Camera(2, "USB Capture")]
    assert list_cameras(tmp_path / "none") == []
    with pytest.raises(SourceError, match="there is no camera 7"):
        find_camera("7", TWO)
