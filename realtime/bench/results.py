"""A result of `brushcast bench`: what was measured, under which circumstances; written to a file and read again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import InputError, SinkError
from engines.styles import write_beside
from realtime.machine import Machine
from realtime.stats import Percentiles

FORMAT = "brushcast-bench 3"
Kind = Literal["speed", "latency", "soak", "streams"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything that has to be the same for two results to be comparable.

    provider: what really computed, as read back. precision: of the arithmetic and of the weights. threads: asked for,
    None if the engine chose. to: "null", or "recording" where the paintings were encoded. warm_up: frames before
    anything was timed. frames: of each round; rounds: repeats, of which the medians are told. None, None: a soak.
    """

    machine: Machine
    versions: dict[str, str]
    model: str
    bundle: str
    engine: str
    provider: str
    precision: str
    threads: int | None
    strength: float
    smoothing: float
    stroke: float
    render_scale: float
    kernel_interval: int
    keep_colours: float
    styles: list[str]
    to: str
    warm_up: int
    frames: int | None
    rounds: int | None
    oil: float = 0.0  # not told by results from before there was any


@dataclass(frozen=True, slots=True)
class Run:
    """One size and style. rate: frames a second, end to end. stages: by name, in the order they are passed.

    more: what only this kind of measurement has, as plain values.
    """

    size: str
    style: str
    rate: float
    stages: dict[str, Percentiles]
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """when: ISO 8601, UTC. load: the machine's load average before it began, None if not known."""

    kind: Kind
    when: str
    load: float | None
    circumstances: Circumstances
    runs: Sequence[Run]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"format": FORMAT, **asdict(self)}


def keep(result: Result, path: Path) -> None:
    """Write `result` as JSON; beside it first, then renamed. Raises SinkError."""
    text = json.dumps(result.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_beside(path, text.encode())
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from error


def load(path: Path) -> Result:
    """Read what `keep` wrote. Raises InputError: missing, unreadable, or something else."""
    refusal = f"{path} is no result of `brushcast bench --json`"
    try:
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{refusal}: it is not JSON") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InputError(f"{refusal}: it must say format {FORMAT!r}")
    try:
        circumstances = dict(told["circumstances"])
        circumstances["machine"] = Machine(**circumstances["machine"])
        circumstances["versions"] = dict(circumstances["versions"])
        result = Result(
            told["kind"],
            str(told["when"]),
            told["load"],
            Circumstances(**circumstances),
            [_run(entry) for entry in told["runs"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{refusal}: it lacks or garbles {error}") from error
    if result.kind not in get_args(Kind) or not result.runs:
        raise InputError(f"{refusal}: it holds no measurement")
    return result


def _run(told: dict[str, Any]) -> Run:
    stages = {
        str(name): Percentiles(**{key: _number(value) for key, value in row.items()})
        for name, row in told["stages"].items()
    }
    return Run(str(told["size"]), str(told["style"]), _number(told["rate"]), stages, dict(told["more"]))


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"the number {value!r}")
    return float(value)
