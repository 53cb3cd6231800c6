"""TensorRT plans in a bundle: plans/*.plan, and plans/plans.json, which tells what they are and where they run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from engines.bundle import PRECISIONS, Bundle, Precision
from engines.errors import BundleError, EngineError, InputError
from engines.sizes import SizeRange

PLANS = "plans"
PLANS_MANIFEST = "plans.json"
PLAN_SUFFIX = ".plan"
FORMAT = 1

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, tuple[Shape, Shape, Shape]]
"""Least, usual and largest shape of every input that has a free dimension, by its name."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where plans are built, and so where they run: a plan is for one TensorRT and one model of GPU.

    tensorrt: its whole version; gpu: its name; capability: of the GPU, such as "8.9"; driver: the newest CUDA that the
    driver knows, such as "13.0". A plan runs under another driver, too; it is built anew for it all the same.
    """

    tensorrt: str
    gpu: str
    capability: str
    driver: str

    def told(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        return cls(*(str(told[name]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan. file: its name in the folder plans. graph_sha256: of the bundle's graph that it was built from.

    names: what TensorRT calls the graph's inputs and outputs, by the graph's own names, where it is something else.
    """

    file: str
    graph_sha256: str
    shapes: Shapes
    names: Mapping[str, str]

    def told(self) -> dict[str, Any]:
        shapes = {name: [list(shape) for shape in three] for name, three in self.shapes.items()}
        return {"file": self.file, "graph_sha256": self.graph_sha256, "shapes": shapes, "names": dict(self.names)}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        file = str(told["file"])
        if Path(file).name != file or not file.endswith(PLAN_SUFFIX):
            raise ValueError(f"the plan file {file!r}")
        shapes = {str(name): _three(three) for name, three in told["shapes"].items()}
        return cls(
            file, str(told["graph_sha256"]), shapes, {str(key): str(name) for key, name in told["names"].items()}
        )


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans of a bundle, by the files of the graphs that they were built from.

    host: None until what was built elsewhere has been taken in. sizes: of the frames that they paint, in whatever
    look. method: what built them, "api", "torch-tensorrt" or "trtexec".
    """

    host: Host | None
    precision: Precision
    method: str
    sizes: SizeRange
    plans: Mapping[str, Plan]

    def write(self, folder: Path) -> None:
        """Write plans.json into the folder of the plans. Raises OSError."""
        told = {
            "format": FORMAT,
            "host": None if self.host is None else self.host.told(),
            "precision": self.precision,
            "method": self.method,
            "sizes": self.sizes.told(),
            "plans": {graph: plan.told() for graph, plan in self.plans.items()},
        }
        (folder / PLANS_MANIFEST).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

    def check(self, bundle: Bundle, here: Host) -> None:
        """Raise EngineError unless the plans were built from this bundle's graphs, by this TensorRT, for this GPU."""
        again = f"build it again here: {build_line(bundle, self)}"
        if self.host is None:
            raise EngineError(
                f"the plans of {bundle.folder} were not taken in yet; "
                f"run: brushcast-export tensorrt {bundle.folder} -o {bundle.folder} --adopt"
            )
        for graph, plan in self.plans.items():
            if plan.graph_sha256 != graph_hash(bundle, graph):
                raise EngineError(f"plan {plan.file} was built from another {graph}; {again}")
        ours, theirs = (f"TensorRT {host.tensorrt} for {host.gpu} ({host.capability})" for host in (here, self.host))
        if ours != theirs:
            raise EngineError(f"this plan was built by {theirs}, and here is {ours}; {again}")


def load_plans(bundle: Bundle) -> Plans:
    """What plans.json of a bundle tells. Raises EngineError (there are none), BundleError (it is garbled)."""
    path = bundle.folder / PLANS / PLANS_MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        line = f"brushcast-export tensorrt {bundle.folder} -o OUT"
        raise EngineError(f"{bundle.folder} holds no TensorRT plans; build them here: {line}") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as JSON; build the plans anew") from error
    try:
        if told["format"] != FORMAT:
            raise BundleError(f"{path} has format {told['format']}; this program reads format {FORMAT}")
        host = None if told["host"] is None else Host.of(told["host"])
        plans = {str(graph): Plan.of(plan) for graph, plan in told["plans"].items()}
        sizes = SizeRange.of(told["sizes"])
        precision = next(known for known in PRECISIONS if known == told["precision"])
        return Plans(host, precision, str(told["method"]), sizes, plans)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        raise BundleError(f"{path} lacks or garbles {error}; build the plans anew") from error


def build_line(bundle: Bundle, plans: Plans) -> str:
    """The line that builds a bundle's plans anew."""
    method = " --method torch-tensorrt" if plans.method == "torch-tensorrt" else ""
    where = bundle.folder
    return f"brushcast-export tensorrt {where} -o {where} --size {plans.sizes} --precision {plans.precision}{method}"


def graph_hash(bundle: Bundle, graph: str) -> str:
    """SHA-256 of a graph's file, as bundle.json tells it; loading the bundle has checked it."""
    return str(bundle.manifest["files"][graph]["sha256"])


def plan_key(model: bytes, shapes: Shapes, precision: str, host: Host, how: str) -> str:
    """What a plan depends on, as 32 hex digits: the name that it is kept by. how: method and limits of the build."""
    told = {
        "model": hashlib.sha256(model).hexdigest(),
        "shapes": {name: [list(shape) for shape in three] for name, three in sorted(shapes.items())},
        "precision": precision,
        "host": host.told(),
        "how": how,
        "format": FORMAT,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def _three(told: Any) -> tuple[Shape, Shape, Shape]:
    least, usual, most = (tuple(int(side) for side in shape) for shape in told)
    return least, usual, most
