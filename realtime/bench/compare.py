"""Two kept results side by side: medians, their ratio, and everything about the two that was not the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engines.errors import InputError
from realtime.bench.results import Circumstances, Result, Run

RATE = "frames/s"
_NAMES = {
    "styles": "style",
    "to": "output",
    "warm_up": "warm-up",
    "render_scale": "render scale",
    "kernel_interval": "kernel interval",
    "keep_colours": "colours kept",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of one size, in both results: medians in milliseconds, for RATE frames a second.

    ratio: second over first; None where that is not defined. A time below 1 or a rate above 1: the second is faster.
    """

    size: str
    stage: str
    first: float
    second: float

    @property
    def ratio(self) -> float | None:
        return self.second / self.first if self.first else None


def rows(first: Result, second: Result) -> list[Row]:
    """What both results have, row by row. Raises InputError if they cannot be compared."""
    if first.kind != second.kind:
        raise InputError(f"the first is a {first.kind} result, the second {second.kind}; compare two of one kind")
    told: list[Row] = []
    for one, other in pairs(first.runs, second.runs):
        stages = [stage for stage in one.stages if stage in other.stages]
        told += [Row(one.size, stage, one.stages[stage].p50_ms, other.stages[stage].p50_ms) for stage in stages]
        told.append(Row(one.size, RATE, one.rate, other.rate))
    if not told:
        sizes = [", ".join(dict.fromkeys(run.size for run in result.runs)) for result in (first, second)]
        raise InputError(f"the two have no size in common ({sizes[0]} and {sizes[1]}); measure one with both")
    return told


def pairs(first: Sequence[Run], second: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Runs of the same size and style; where only the size is the same, in order."""
    left = list(second)
    later = []
    for run in first:
        same = next((other for other in left if (other.size, other.style) == (run.size, run.style)), None)
        if same is None:
            later.append(run)
        else:
            left.remove(same)
            yield run, same
    for run in later:
        same = next((other for other in left if other.size == run.size), None)
        if same is not None:
            left.remove(same)
            yield run, same


def differences(first: Result, second: Result) -> list[str]:
    """One line for everything about the two measurements that was not the same."""
    ours, theirs = _groups(first.circumstances), _groups(second.circumstances)
    told = [
        f"{name}: {_word(one.get(name))} / {_word(other.get(name))}"
        for one, other in zip(ours, theirs, strict=True)
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]
    sizes = [{run.size for run in result.runs} for result in (first, second)]
    for place, only in (("first", sizes[0] - sizes[1]), ("second", sizes[1] - sizes[0])):
        if only:
            told.append(f"sizes: only the {place} has {', '.join(sorted(only))}")
    return told


def _groups(circumstances: Circumstances) -> tuple[dict[str, Any], ...]:
    told = asdict(circumstances)
    machine, versions = told.pop("machine"), told.pop("versions")
    return (
        {f"machine ({name})": value for name, value in machine.items()},
        {f"version of {name}": value for name, value in versions.items()},
        {_NAMES.get(name, name): value for name, value in told.items()},
    )


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value in (None, "") else str(value)
