"""How loud a microphone is, behind sounddevice's own interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from realtime.listening import LEVEL_RATE_HZ, RELEASE_S, Ear


def test_levels_rise_at_once_and_fall_slowly(microphones: Any, hear: Callable[[float, float], None]) -> None:
    ear = Ear("Yeti")
    assert microphones.opened["device"] == "Yeti" and ear.level() == 0
    hear(0.0, 0.0)
    assert ear.level() == 0
    hear(0.9, 0.0)
    assert ear.level() == 1
    hear(0.0, 0.0)
    assert ear.level() == pytest.approx(2.718 ** (-1024 / LEVEL_RATE_HZ / RELEASE_S), abs=0.01)
    for _ in range(60):
        hear(0.0, 0.0)
    assert ear.level() < 0.01
    hear(0.03, 0.0)
    assert 0.2 < ear.level() < 0.8
    ear.close()
    assert microphones.closed
