"""The trtexec lines that build a bundle's plans where Brushcast is not installed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from engines.plans import PLANS, Plan, Shape

LINES = "build.sh"
GRAPHS = "onnx"  # in the folder plans: the graphs made ready
_TIMINGS = "timings.cache"


def trtexec_line(graph: str, plan: Plan, workspace_mb: int | None) -> str:
    """The line for one graph, to be run in the bundle's folder."""
    words = [
        "trtexec",
        f"--onnx={PLANS}/{GRAPHS}/{graph}",
        f"--saveEngine={PLANS}/{plan.file}",
        "--stronglyTyped",  # TensorRT 11 takes it, and is so without it
        "--noTF32",
        f"--timingCacheFile={PLANS}/{_TIMINGS}",
        "--skipInference",
    ]
    if plan.shapes:
        for which, name in enumerate(("minShapes", "optShapes", "maxShapes")):
            told = ",".join(f"{tensor}:{_told(three[which])}" for tensor, three in plan.shapes.items())
            words.append(f"--{name}={told}")
    if workspace_mb is not None:
        words.append(f"--memPoolSize=workspace:{workspace_mb}M")
    return shlex.join(words)


def script(lines: Sequence[str], out: Path) -> str:
    """The lines as a shell script that lies in the folder plans, and the line that takes in what they built."""
    adopt = shlex.join(["brushcast-export", "tensorrt", str(out), "-o", str(out), "--adopt"])
    head = ["#!/bin/sh", "# Builds the TensorRT plans of this bundle, on the GPU that shall run them.", "set -e"]
    tail = f"# Then, where Brushcast is installed: {adopt}"
    return "\n".join([*head, 'cd "$(dirname "$0")/.."', *lines, tail]) + "\n"


def _told(shape: Shape) -> str:
    return "x".join(map(str, shape))
