"""What goes on while painting fails, and that the raw frame never does."""

from __future__ import annotations

import numpy as np
import pytest

from engines.api import Look
from engines.errors import EngineError, InputError
from engines.identity import IdentityEngine
from engines.regions import Mask
from engines.styles import Style
from realtime.frames import Image
from realtime.holding import AGAIN_AFTER_S, Holding

LOOK = Look(Style("plain", {}, np.zeros((4, 4, 3), np.uint8), "b"))


class Inverts(IdentityEngine):
    problem: Exception | None = None
    asked = 0

    def stylise(self, image: Image, look: Look, mask: Mask | None = None) -> Image:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return 255 - super().stylise(image, look)


def frame(value: int, side: int = 64) -> Image:
    return np.full((side, side, 3), value, np.uint8)


def test_the_last_painting_goes_on_until_painting_does() -> None:
    engine, lines, now = Inverts(), list[str](), 50.0
    held = Holding(engine, tell=lines.append, clock=lambda: now)
    assert held.stylise(frame(10), LOOK)[0, 0, 0] == 245
    engine.problem = EngineError("the device is lost")
    for value in (20, 30):
        painting = held.stylise(frame(value), LOOK)
        assert painting[0, 0, 0] == 245
        painting[:] = 0  # the caller owns it
    assert engine.asked == 2 and lines == ["the device is lost; the last painting goes on"]
    now += AGAIN_AFTER_S
    assert held.stylise(frame(40), LOOK)[0, 0, 0] == 245 and engine.asked == 3 and len(lines) == 1
    engine.problem = None
    assert held.stylise(frame(40), LOOK)[0, 0, 0] == 245
    now += AGAIN_AFTER_S
    assert held.stylise(frame(50), LOOK)[0, 0, 0] == 205 and lines[1:] == ["painting goes on"]


def test_another_size_gets_a_slate() -> None:
    engine = Inverts()
    held = Holding(engine)
    held.stylise(frame(10), LOOK)
    engine.problem = EngineError("broken")
    shown = held.stylise(frame(200, 96), LOOK)
    assert shown.shape == (96, 96, 3) and not np.array_equal(shown, frame(200, 96)) and np.median(shown) < 60


def test_an_engine_that_never_painted_and_other_errors_are_not_held() -> None:
    engine = Inverts()
    engine.problem = EngineError("no such device")
    held = Holding(engine)
    with pytest.raises(EngineError, match="no such device"):
        held.stylise(frame(10), LOOK)
    engine.problem = None
    held.stylise(frame(10), LOOK)
    engine.problem = InputError("a frame is too small")
    with pytest.raises(InputError):
        held.stylise(frame(10), LOOK)


def test_it_is_the_engine_it_holds() -> None:
    engine = Inverts()
    with Holding(engine) as held:
        assert (held.name, held.provider) == (engine.name, engine.provider)
        held.reset()
    with pytest.raises(EngineError, match="closed"):
        engine.stylise(frame(1), LOOK)
