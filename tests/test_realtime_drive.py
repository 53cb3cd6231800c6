"""What moves a look by itself: the beat, the levels, and what they do to strength and mix."""

from __future__ import annotations

import numpy as np
import pytest

from engines.api import Look
from engines.errors import InputError
from engines.styles import Style, parts_of
from realtime.control import Control
from realtime.drive import Drive, Driven, Tempo


def style(name: str, value: float) -> Style:
    return Style(name, {"mean": np.full(3, value, np.float32)}, np.zeros((4, 4, 3), np.uint8), "b")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control() -> Control:
    return Control(Look(style("first", 0), strength=0.8))


def test_taps_tell_the_tempo_and_where_the_beat_is(clock: Clock) -> None:
    tempo = Tempo(clock=clock)
    for _ in range(5):
        clock.now += 0.4
        bpm = tempo.tap()
    assert bpm == pytest.approx(150) and tempo.bpm == bpm and tempo.level() == pytest.approx(1)
    clock.now += 0.2
    assert tempo.level() == pytest.approx(0.25)
    clock.now += 0.2 * 0.99999
    assert tempo.level() < 0.001


def test_a_pause_between_taps_begins_anew(clock: Clock) -> None:
    tempo = Tempo(clock=clock)
    tempo.tap()
    clock.now += 0.5
    tempo.tap()
    clock.now += 10
    assert tempo.tap() == pytest.approx(120)
    clock.now += 1.0
    assert tempo.tap() == pytest.approx(60)


def test_two_taps_at_once_are_the_fastest_tempo(clock: Clock) -> None:
    tempo = Tempo(clock=clock)
    tempo.tap()
    assert tempo.tap() == 300


def test_a_told_tempo_goes_on_from_where_the_beat_is(clock: Clock) -> None:
    tempo = Tempo(120, clock)
    clock.now += 0.25
    level = tempo.level()
    tempo.tell(60)
    assert tempo.level() == pytest.approx(level)
    with pytest.raises(InputError, match="from 30 to 300"):
        tempo.tell(20)


def test_a_level_drives_the_strength(control: Control) -> None:
    loud = 0.0
    driven = Driven(control, Tempo(), lambda: loud)
    assert driven.at(0.0) is control.at(0.0)
    driven.set(Drive("sound", "strength", depth=0.5))
    assert driven.at(0.0).look.strength == pytest.approx(0.4)
    same = driven.at(0.1)
    assert driven.at(0.2) is same  # nothing changed
    loud = 1.0
    assert driven.at(0.3).look.strength == pytest.approx(0.8)
    loud = 7.0
    assert driven.at(0.4).look.strength == pytest.approx(0.8)
    driven.set(Drive())
    assert driven.at(0.5) is control.at(0.5)


def test_the_beat_drives_the_mix(control: Control, clock: Clock) -> None:
    driven = Driven(control, Tempo(120, clock))
    driven.set(Drive("tempo", "mix", depth=1.0, to=style("second", 1)))
    assert driven.at(0.0).look.style.name == "second"
    clock.now += 0.25
    assert parts_of(driven.at(0.0).look.style) == {"first": 0.75, "second": 0.25}
    clock.now += 0.2499
    np.testing.assert_allclose(driven.at(0.0).look.style.tensors["mean"], 1 / 64)


def test_a_change_of_the_control_is_seen_at_once(control: Control) -> None:
    driven = Driven(control, Tempo(), lambda: 1.0)
    driven.set(Drive("sound"))
    driven.at(0.0)
    control.change(strength=0.3)
    assert driven.at(0.0).look.strength == pytest.approx(0.3)


def test_drives_that_cannot_be(control: Control) -> None:
    driven = Driven(control, Tempo())
    with pytest.raises(InputError, match="--listen"):
        driven.set(Drive("sound"))
    with pytest.raises(InputError, match="drive_to"):
        driven.set(Drive("tempo", "mix"))
    assert driven.drive == Drive()
