"""Pacing, reopening what was lost, and fitting sizes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import SourceError
from realtime.frames import Frame, VideoInfo
from realtime.sources import Paced, Reopened, Source, fit
from realtime.synthetic import SyntheticSource

INFO = VideoInfo("the test camera", 64, 64, Fraction(30), Fraction(1, 30))


@dataclass
class Fragile(Source):
    """Gives some frames, then is lost (or ends)."""

    frames: int
    value: int = 0
    size: tuple[int, int] = (64, 64)
    ends: bool = False
    live: bool = True
    info: VideoInfo = INFO
    closed: int = 0
    given: int = field(default=0)

    def read(self) -> Frame | None:
        if self.given >= self.frames:
            if self.ends:
                return None
            raise SourceError("unplugged")
        image = np.full((self.size[1], self.size[0], 3), self.value, np.uint8)
        frame = Frame(image, self.given, Fraction(self.given, 30), time.perf_counter())
        self.given += 1
        return frame

    def close(self) -> None:
        self.closed += 1


def test_a_paced_source_is_live_and_keeps_its_own_time() -> None:
    source = Paced(SyntheticSource((64, 64), Fraction(50), frames=11))
    assert source.live is True
    begin = time.perf_counter()
    times = [frame.time for frame in iter(source.read, None)]
    assert times == [Fraction(number, 50) for number in range(11)]
    assert 0.19 <= time.perf_counter() - begin < 1.0
    source.close()


def test_a_paced_source_that_was_held_up_does_not_race() -> None:
    source = Paced(SyntheticSource((64, 64), Fraction(20), frames=4))
    source.read()
    time.sleep(1.2)
    source.read()
    begin = time.perf_counter()
    source.read()
    assert time.perf_counter() - begin > 0.03


def ends_a_wait(source: Source, waits: Callable[[], bool] = lambda: True) -> None:
    """Whether `stop` ends a read that would wait for a minute."""
    given: list[Frame | None] = []
    reading = threading.Thread(target=lambda: given.append(source.read()), daemon=True)
    reading.start()
    end_s = time.monotonic() + 10
    while not waits() and time.monotonic() < end_s:
        time.sleep(0.005)
    source.stop()
    reading.join(10)
    assert given == [None]
    assert source.read() is None  # and so it remains
    source.close()
    source.stop()  # also of a closed one, which the loop may do


def test_a_paced_wait_can_be_stopped() -> None:
    source = Paced(SyntheticSource((64, 64), Fraction(1, 60), frames=3))
    source.read()
    ends_a_wait(source)


def test_waiting_for_a_lost_source_can_be_stopped_and_it_is_not_opened_again() -> None:
    made: list[Fragile] = []

    def opened() -> Fragile:
        made.append(Fragile(1))
        return made[-1]

    told: list[str] = []
    source = Reopened(opened, first_wait_s=60, patience_s=600, told=told.append)
    source.read()
    ends_a_wait(source, lambda: bool(told))
    assert len(made) == len(told) == made[0].closed == 1


def test_a_source_that_is_opened_while_it_is_stopped_is_closed_and_not_told() -> None:
    made: list[Fragile] = []

    def opened() -> Fragile:
        made.append(Fragile(1))
        if len(made) == 2:
            source.stop()
        return made[-1]

    told: list[str] = []
    source = Reopened(opened, first_wait_s=0.01, told=told.append)
    source.read()
    assert source.read() is None
    source.close()
    assert [one.closed for one in made] == [1, 1] and len(told) == 1


@pytest.mark.parametrize("ends", [False, True])
def test_a_lost_source_is_opened_again_as_a_new_shot(ends: bool) -> None:
    made = [Fragile(2, value=1, ends=ends), Fragile(3, value=2, size=(80, 60))]
    waiting = list(made)
    told: list[str] = []
    source = Reopened(lambda: waiting.pop(0), first_wait_s=0.01, told=told.append)
    frames = [source.read() for _ in range(5)]
    assert [frame.index for frame in frames if frame] == [0, 1, 2, 3, 4]
    assert [frame.shot for frame in frames if frame] == [0, 0, 1, 1, 1]
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame] == [1, 1, 2, 2, 2]
    assert {frame.image.shape for frame in frames if frame} == {(64, 64, 3)}
    times = [frame.time for frame in frames if frame]
    assert times == sorted(times)
    assert made[0].closed == 1
    assert len(told) == 2
    assert "was lost" in told[0]
    source.close()
    assert made[1].closed == 1


def test_it_tries_several_times_with_growing_waits() -> None:
    tries: list[float] = []

    def opened() -> Fragile:
        tries.append(time.monotonic())
        if len(tries) in (2, 3):
            raise SourceError("not yet")
        return Fragile(1)

    source = Reopened(opened, first_wait_s=0.04)
    source.read()
    assert source.read() is not None
    assert len(tries) == 4
    waits = np.diff(tries)
    assert (waits >= (0.035, 0.075, 0.155)).all()
    source.close()


def test_a_source_that_stays_away_is_an_error_in_the_end() -> None:
    waiting = [Fragile(1)]

    def opened() -> Fragile:
        if not waiting:
            raise SourceError("gone")
        return waiting.pop()

    source = Reopened(opened, patience_s=0.1, first_wait_s=0.02)
    source.read()
    with pytest.raises(SourceError, match="the test camera was lost and did not come back"):
        source.read()


def test_the_first_opening_is_not_tried_again() -> None:
    def opened() -> Fragile:
        raise SourceError("no such camera")

    with pytest.raises(SourceError, match="no such camera"):
        Reopened(opened)


def test_fit_cuts_the_middle_and_scales() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 10:70] = 200
    assert fit(image, (80, 60)) is image
    square = fit(image, (30, 30))
    assert square.shape == (30, 30, 3)
    assert square.min() == 200
    wide = fit(image, (160, 60))
    assert wide.shape == (60, 160, 3)


@pytest.mark.parametrize("size", [(64, 8192), (8192, 64)])
def test_fit_leaves_pixels_however_unlike_the_shapes_are(size: tuple[int, int]) -> None:
    fitted = fit(np.full((64, 64, 3), 200, np.uint8), size)
    assert fitted.shape == (size[1], size[0], 3)
    assert fitted.min() == fitted.max() == 200
