"""The governor under a load that comes and goes, on a clock of its own."""

from __future__ import annotations

import numpy as np
import pytest

from engines.api import Look
from engines.identity import IdentityEngine
from engines.regions import Mask
from engines.styles import Style
from engines.working import full_scale, working_size
from realtime.frames import Image
from realtime.governor import LEVELS, PATIENCE_S, Governed

LOOK = Look(Style("plain", {}, np.zeros((4, 4, 3), np.uint8), "b"))
FRAME = np.zeros((360, 640, 3), np.uint8)
FPS = 30.0


class Machine(IdentityEngine):
    """Takes a time that depends on what is asked of it and on the load; a frame comes every 1 / FPS at most."""

    def __init__(self, alone_s: float) -> None:
        super().__init__()
        self.now_s, self.alone_s, self.load = 0.0, alone_s, 1.0
        self.looks: list[Look] = []
        self.took_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def stylise(self, image: Image, look: Look, mask: Mask | None = None) -> Image:
        rows, columns = working_size(*image.shape[:2], look.render_scale)
        usual = working_size(*image.shape[:2])
        guide = 0.4 / look.stroke**2 / look.kernel_interval
        share = guide + 0.8 * rows * columns / (usual[0] * usual[1])
        self.took_s.append(self.alone_s * self.load * share)
        self.now_s += self.took_s[-1]
        self.looks.append(look)
        return super().stylise(image, look)


def play(governed: Governed, machine: Machine, seconds: float, look: Look = LOOK) -> list[float]:
    """Frames as a camera gives them, for so long: the time that each took."""
    first, end_s = len(machine.took_s), machine.now_s + seconds
    while machine.now_s < end_s:
        begin_s = machine.now_s
        painted = governed.stylise(FRAME, look)
        assert painted.shape == FRAME.shape
        machine.now_s = max(machine.now_s, begin_s + 1 / FPS)
    return machine.took_s[first:]


def start(alone_s: float) -> tuple[Governed, Machine, list[str]]:
    machine, lines = Machine(alone_s), []  # type: tuple[Machine, list[str]]
    return Governed(machine, FPS, tell=lines.append, clock=machine.clock), machine, lines


def test_a_fast_machine_is_left_alone() -> None:
    governed, machine, lines = start(0.020)
    play(governed, machine, 10)
    assert all(look is LOOK for look in machine.looks) and not lines and governed.level == 0


def test_a_load_that_comes_and_goes() -> None:
    governed, machine, lines = start(0.020)
    play(governed, machine, 5)
    machine.load = 2.5
    under_load = play(governed, machine, 20)
    # Within a second or so the rate is back, and it is held.
    assert max(under_load[60:]) < 1 / FPS
    assert governed.level > 2
    least = governed.level
    machine.load = 1.0
    play(governed, machine, 40)
    assert governed.level == 0 and machine.looks[-1] is LOOK
    assert len(lines) == 2 * least
    assert "holding 30 frames/s" in lines[0]


@pytest.mark.parametrize(("alone_s", "levels"), [(0.0325, (1,)), (0.0345, (2, 3))])
def test_rarer_kernels_come_before_broader_strokes_and_those_before_a_softer_painting(
    alone_s: float, levels: tuple[int, ...]
) -> None:
    governed, machine, _ = start(alone_s)
    play(governed, machine, 20)
    look = machine.looks[-1]
    assert governed.level in levels and look.render_scale == 1
    assert look.kernel_interval == 4 and (look.stroke > 1) == (alone_s > 0.034)


def test_a_load_at_the_edge_is_not_tried_every_moment() -> None:
    """Each frame is a little too long at one level and has time to spare, as far as can be told, at the next."""
    governed, machine, lines = start(0.020)
    random = np.random.default_rng(0)
    for _ in range(240):
        machine.load = float(random.choice((1.2, 1.7)))
        play(governed, machine, 0.5)
    assert len(lines) < 45  # in two minutes; every 0.5 s would be 240


def test_a_machine_that_is_too_slow_stays_at_the_last_level() -> None:
    governed, machine, lines = start(0.5)
    play(governed, machine, 60)
    assert governed.level == len(LEVELS) - 1 == len(lines)


def test_what_has_no_effect_is_not_what_is_given_up() -> None:
    """A render scale beyond the frame's own size: the first step down must paint less all the same."""
    governed, machine, _ = start(0.03)
    play(governed, machine, 20, Look(LOOK.style, render_scale=16.0))
    rendered = machine.looks[-1].render_scale
    assert rendered < full_scale(360, 640)
    assert machine.took_s[-1] < 1 / FPS


def test_patience_is_a_matter_of_time() -> None:
    governed, machine, _ = start(0.020)
    machine.load = 2.0
    play(governed, machine, 5)
    machine.load = 1.0
    level = governed.level
    play(governed, machine, 0.8 * PATIENCE_S)
    assert governed.level >= level - 1


def test_the_engine_is_reset_and_closed_through_it() -> None:
    governed, machine, _ = start(0.01)
    assert (governed.name, governed.provider) == (machine.name, machine.provider)
    governed.reset()
    with governed:
        pass
    with pytest.raises(Exception, match="closed"):
        governed.stylise(FRAME, LOOK)
