"""From the travel of a fader to a number of the desk."""

from __future__ import annotations

from engines.errors import InputError
from realtime.desk import NUMBERS


def from_travel(name: str, part: float) -> float:
    """The number that lies at `part`, 0..1, of the range of the control `name`; frames are whole.

    Raises InputError: `name` is no number of the desk, or `part` is outside.
    """
    if name not in NUMBERS:
        raise InputError(f"{name!r} is no number; numbers are {', '.join(NUMBERS)}")
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1:
        raise InputError(f"{name} is at {part!r} of its range; it must be a number from 0 to 1")
    least, most = NUMBERS[name]
    value = least + part * (most - least)
    return float(round(value)) if name == "kernel_interval" else value
