"""The virtual camera, with back ends of our own registered as pyvirtualcam's own ones are."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
import pyvirtualcam
from numpy.typing import NDArray

from engines.errors import SinkError
from realtime.frames import Frame, Painted, VideoInfo
from realtime.vcam import VirtualCamera

INFO = VideoInfo("numbers", 96, 64, Fraction(25), Fraction(1, 100))


class Fake:
    """A back end of pyvirtualcam that keeps what it is sent."""

    made: ClassVar[list[Fake]] = []

    def __init__(self, **told: Any) -> None:
        self.told, self.closed = told, False
        self.sent: list[NDArray[np.uint8]] = []
        Fake.made.append(self)

    def send(self, frame: NDArray[np.uint8]) -> None:
        self.sent.append(frame.reshape(self.told["height"], self.told["width"], 3).copy())

    def close(self) -> None:
        self.closed = True

    def device(self) -> str:
        return self.told["device"] or "fake0"

    def native_fourcc(self) -> int | None:
        return None


class Broken(Fake):
    problem = RuntimeError("no reason")

    def __init__(self, **told: Any) -> None:
        raise self.problem


@pytest.fixture(autouse=True)
def backends() -> None:
    Fake.made.clear()
    pyvirtualcam.register_backend("fake", Fake)
    pyvirtualcam.register_backend("broken", Broken)


def painted(value: int) -> Painted:
    image = np.full((64, 96, 3), value, np.uint8)
    return Painted(Frame(255 - image, 0, Fraction(0), time.perf_counter()), image, 0.0, 0.0)


def test_paintings_become_a_camera_s_pictures_and_go_on_while_nothing_comes() -> None:
    with VirtualCamera(INFO, device="fake7", backend="fake") as camera:
        assert camera.device == "fake7"
        (fake,) = Fake.made
        assert (fake.told["width"], fake.told["height"], fake.told["fps"]) == (96, 64, 25.0)
        assert camera.idle()
        assert camera.write(painted(90)) and camera.idle()
        assert not fake.closed
    first, still_first, second, again = fake.sent
    assert np.array_equal(first, still_first) and first.max() > 150 and np.median(first) < 40  # a slate, with words
    assert (second == 90).all() and (again == 90).all()
    assert fake.closed


def test_the_source_s_picture_is_never_sent() -> None:
    with VirtualCamera(INFO, backend="fake") as camera:
        camera.write(painted(90))
        camera.idle()
    assert not any((frame == 165).all() for frame in Fake.made[0].sent)


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        (RuntimeError("No v4l2 loopback device found"), "modprobe v4l2loopback|OBS Studio"),
        (RuntimeError("device or resource busy"), "close the program that uses it"),
        (RuntimeError("open: Permission denied"), "group video"),
        (RuntimeError("two\nlines"), "two; lines"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line_with_advice(problem: Exception, advice: str) -> None:
    Broken.problem = problem
    with pytest.raises(SinkError, match=advice) as told:
        VirtualCamera(INFO, backend="broken")
    assert "\n" not in str(told.value)


def test_an_unknown_back_end() -> None:
    with pytest.raises(SinkError, match=r"no back end 'nothing'; known: .*fake"):
        VirtualCamera(INFO, backend="nothing")


def test_a_camera_that_fails_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Fake, frame: NDArray[np.uint8]) -> None:
        raise OSError("unplugged")

    with VirtualCamera(INFO, backend="fake") as camera:
        monkeypatch.setattr(Fake, "send", fails)
        with pytest.raises(SinkError, match="fake0 failed: unplugged"):
            camera.write(painted(1))


def test_without_pyvirtualcam_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match=r'pip install "brushcast\[vcam\]"'):
        VirtualCamera(INFO)
