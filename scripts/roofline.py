"""How far a bundle's frame graph is from what the machine can do, node by node.

    python scripts/roofline.py live --size 640x360 --threads 2 --out build/roofline

In one run: the machine's own ceilings (matrix products in fp32 and int8 and a convolution, by ONNX Runtime with as many
threads; copies), then the graph on the synthetic scene, with the engine's settings and with every node timed by ONNX
Runtime's profiler. A node's limit is the longer of its arithmetic at its ceiling and its bytes at that of copies as
large; the fraction reached is limit / time. A multiply-add is two operations, any other arithmetic one for each
element. Times are medians.

OUT gets roofline.json and roofline.png. --before tells the times beside those of an earlier roofline.json.

Exit code 0 if it could be measured, whether or not the bar is met; 2 on bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from clips import parse_size
from promises import write_json
from roofline_ceilings import measure_ceilings
from roofline_graph import FrameLoad, GuideLoad, measure_graph, together
from roofline_plot import write_plot
from roofline_report import describe, print_before, print_report, read_before, versions

from engines.api import MAX_SIDE_PX, Look
from engines.bundle import Bundle
from engines.errors import BrushcastError, InputError, SinkError
from realtime.machine import machine, machine_load


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--size", default="640x360", help="of the frames, WIDTHxHEIGHT (default: 640x360)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--repeats", type=int, default=30, help="timings of everything (default: 30)")
    parser.add_argument("--out", type=Path, default=Path("build/roofline"), help="folder (default: build/roofline)")
    parser.add_argument("--before", type=Path, help="roofline.json of an earlier run, told beside this one")
    told = parser.parse_args(arguments)
    try:
        if min(told.threads, told.repeats) < 1:
            raise InputError("threads and repeats must be at least 1")
        before = read_before(told.before) if told.before else None
        report = measure(told)
        print_report(report)
        if before is not None:
            print_before(before, report)
        write(told.out, report)
    except BrushcastError as error:
        print(f"roofline: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON. Raises BrushcastError."""
    size = parse_size(told.size)
    if max(size) > MAX_SIDE_PX:
        raise InputError(f"size is {told.size}; each side must be at most {MAX_SIDE_PX}")
    bundle = Bundle.load(told.bundle)
    if not bundle.styles:
        raise InputError(f"{told.bundle} comes with no style to paint in; make one with scripts/make_styles.py")
    # Any style will do: all have the same shapes.
    look = Look(bundle.style(bundle.styles[0]))
    make_folder(told.out)
    load = machine_load()
    cv2.setNumThreads(told.threads)
    ceilings = measure_ceilings(told.threads, told.repeats)
    parts = {"guide": (bundle.guide_graph, GuideLoad), "frame": (bundle.frame_graph, FrameLoad)}
    measured = together(
        {
            name: measure_graph(graph, *(load(bundle, look, size) for _ in range(2)), told.threads, told.repeats)
            for name, (graph, load) in parts.items()
        }
    )
    return {
        "machine": asdict(machine()),
        "load": load,
        **versions(),
        "threads": told.threads,
        "repeats": told.repeats,
        "size": f"{size[0]}x{size[1]}",
        "model": bundle.name,
        "bundle": bundle.id,
        "graphs_ms": measured.parts_ms,
        **describe(measured, ceilings, size[0] * size[1]),
    }


def make_folder(folder: Path) -> None:
    """Before anything is measured for nothing. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder} cannot be made ({error.strerror}); give a folder") from error


def write(folder: Path, report: dict[str, Any]) -> None:
    """Beside first, then renamed: no half file is ever seen. Raises SinkError."""
    beside = folder / ".roofline.json"
    write_json(beside, report)
    beside.replace(folder / "roofline.json")
    write_plot(folder / "roofline.png", report)


if __name__ == "__main__":
    sys.exit(main())
