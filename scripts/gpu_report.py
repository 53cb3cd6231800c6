"""The record that `scripts/gpu_check.py` writes: JSON for programs, a Markdown table for people."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from engines.bundle import Bundle
from engines.errors import SinkError
from engines.styles import write_beside
from realtime.machine import RUNTIMES, installed, machine, machine_load

FORMAT = "brushcast-gpu-check 1"
PACKAGES = (*RUNTIMES, "numpy", "opencv-python", "opencv-python-headless", "tensorrt", "torch", "triton")
# Frames a second at batch 1 on an H100, upload and download told apart.
BAR = {"1920x1080": 500.0, "3840x2160": 150.0}
BAR_DEVICE = "H100"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. way: engine, mode and precision. frames: in one run. stages_ms: medians for all of them.

    more: "operations" and "bytes" of the plan, "p99" (ms), or of a parity "mean" and "worst" (steps of 255).
    """

    way: str
    part: str
    size: str
    frames: int
    stages_ms: dict[str, float]
    more: dict[str, Any]

    @property
    def compute_ms(self) -> float:
        return self.stages_ms.get("compute", self.stages_ms.get("all", float("nan")))

    @property
    def all_ms(self) -> float:
        return sum(self.stages_ms.values())

    def line(self) -> str:
        head = f"{self.way:20} {self.part:20} {self.size:>10} x{self.frames:<3}"
        if not self.stages_ms:
            return f"{head} mean {self.more['mean']:.3f}, worst {self.more['worst']:.0f} of 255"
        stages = ", ".join(f"{name} {took:.3f}" for name, took in self.stages_ms.items())
        return f"{head} {stages} ms: {1e3 * self.frames / self.all_ms:.1f} frames/s"


@dataclass(frozen=True, slots=True)
class Record:
    """circumstances: machine, device, versions, what was asked. ceilings: see `gpu_measure.Ceilings`."""

    circumstances: dict[str, Any]
    ceilings: dict[str, Any]
    rows: Sequence[Row]
    left_out: Sequence[str]


def circumstances(told: argparse.Namespace, device: torch.device, bundle: Bundle) -> dict[str, Any]:
    """Everything that the figures depend on beside the program."""
    here = machine()
    card: dict[str, Any] = {"name": here.cpu}
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        card = {
            "name": found.name,
            "compute_capability": f"{found.major}.{found.minor}",
            "memory_gib": round(found.total_memory / 2**30, 1),
            "multiprocessors": found.multi_processor_count,
        }
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": {"kind": str(device), **card},
        "machine": asdict(here),
        "load": machine_load(),
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda, **installed(PACKAGES)},
        "bundle": {"name": bundle.name, "id": bundle.id},
        "asked": {
            "minutes": told.minutes,
            "repeats": told.repeats,
            "sizes": [f"{width}x{height}" for height, width in told.sizes],
            "streams": told.streams,
            "ways": [":".join(way) for way in told.ways],
        },
    }


def write(record: Record, folder: Path) -> list[Path]:
    """Write the record, dated and with the device's name. Raises SinkError."""
    here = record.circumstances
    slug = re.sub(r"[^a-z0-9]+", "-", here["device"]["name"].lower()).strip("-") or "unknown"
    stem = folder / f"{here['when'][:10]}-gpu-{slug}"
    rows = [{**asdict(row), **derived(row, record.ceilings)} for row in record.rows]
    told = {"format": FORMAT, **asdict(record), "rows": rows, "bar": bar(record)}
    texts = {".json": json.dumps(told, indent=1, ensure_ascii=False) + "\n", ".md": markdown(record)}
    paths = []
    for suffix, text in texts.items():
        paths.append(stem.with_name(stem.name + suffix))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_beside(paths[-1], text.encode())
        except OSError as error:
            raise SinkError(f"{paths[-1]} cannot be written: {error.strerror or error}") from error
    return paths


def derived(row: Row, ceilings: dict[str, Any]) -> dict[str, float]:
    """Frames a second, and which fractions of the ceilings the computing reaches, as far as that is known."""
    if not row.stages_ms:
        return {}
    told = {"fps": 1e3 * row.frames / row.all_ms, "fps_compute": 1e3 * row.frames / row.compute_ms}
    seconds = row.compute_ms / 1e3
    if row.more.get("operations"):
        precision = row.way.rpartition(" ")[2]
        told["of_products"] = row.more["operations"] / seconds / ceilings["products"][precision]
    if row.more.get("bytes"):
        told["of_copy"] = row.more["bytes"] / seconds / ceilings["copy"]
    return told


def bar(record: Record) -> list[dict[str, Any]]:
    """For each size of the bar the fastest way that paints one frame on the device, without and with transfers."""
    told = []
    for size, wanted in BAR.items():
        rows = [row for row in record.rows if row.size == size and row.frames == 1]
        wholes = [row for row in rows if row.part.startswith("whole")]
        engines = [row for row in rows if row.part.startswith("engine")]
        best = min(wholes, key=lambda row: row.compute_ms, default=None)
        quickest = min(engines, key=lambda row: row.all_ms, default=None)
        told.append(
            {
                "size": size,
                "bar_fps": wanted,
                "holds_for": BAR_DEVICE,
                "fps": 1e3 / best.compute_ms if best else None,
                "fps_with_transfers": 1e3 / best.all_ms if best else None,
                "way": best.way if best else None,
                "fps_engine": 1e3 / quickest.all_ms if quickest else None,
                "engine": f"{quickest.way}, {quickest.part}" if quickest else None,
            }
        )
    return told


def command(asked: dict[str, Any]) -> str:
    """What measures the same again, but for the device, the model and the folder."""
    lists = {name: ",".join(str(one) for one in asked[name]) for name in ("sizes", "streams", "ways")}
    options = {"minutes": f"{asked['minutes']:g}", "repeats": str(asked["repeats"]), **lists}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return shlex.join(["python", "scripts/gpu_check.py", *words])


def markdown(record: Record) -> str:
    """The record as a page."""
    here, best = record.circumstances, record.ceilings
    device = here["device"]
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items() if number)
    lines = [
        f"# {device['name']}, {here['when'][:10]}",
        "",
        f"{', '.join(f'{name} {value}' for name, value in device.items() if name != 'name')}; "
        f"{here['machine']['cpu']}, {here['machine']['cores']} cores; {versions}. "
        f"Model {here['bundle']['name']} ({here['bundle']['id']}). Medians of {here['asked']['repeats']}; "
        f"`{command(here['asked'])}`.",
        "",
        f"Measured in the same run: copies {best['copy'] / 1e9:.0f} GB/s (read and written), "
        f"upload {best['upload'] / 1e9:.1f} GB/s, download {best['download'] / 1e9:.1f} GB/s, matrix products "
        + ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in best["products"].items())
        + ".",
        "",
        "| size | bar (H100) | computing alone, frames/s | with upload and download | way | a whole engine |",
        "|---|---|---|---|---|---|",
    ]
    for one in bar(record):
        told = [_number(one[name]) for name in ("fps", "fps_with_transfers")]
        met = "" if one["fps"] is None else " (met)" if one["fps"] >= one["bar_fps"] else " (missed)"
        lines.append(
            f"| {one['size']} | {one['bar_fps']:.0f} | {told[0]}{met} | {told[1]} | {one['way'] or 'not measured'} | "
            f"{_number(one['fps_engine'])} {one['engine'] or ''} |"
        )
    lines += [
        "",
        "Distances from eager fp32 on the CPU, in steps of 255:",
        "",
        "| way | part | mean | worst |",
        "|---|---|---|---|",
    ]
    for row in record.rows:
        if not row.stages_ms:
            lines.append(f"| {row.way} | {row.part} | {row.more['mean']:.3f} | {row.more['worst']:.0f} |")
    lines += [
        "",
        "Milliseconds for all frames of a run. Fractions: of the matrix products in that precision, and of the copies "
        "by the bytes that the operations read and write one by one (more than 1: what is fused moves less).",
        "",
        "| way | part | size | frames | upload | compute | download | frames/s | computing alone | products | copies |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record.rows:
        if row.stages_ms:
            lines.append(_row(row, derived(row, best)))
    if record.left_out:
        lines += ["", "Not measured:", "", *(f"- {line}" for line in record.left_out)]
    return "\n".join(lines) + "\n"


def _row(row: Row, told: dict[str, float]) -> str:
    stages = [_number(row.stages_ms.get(name), 3) for name in ("upload", "compute", "download")]
    if "all" in row.stages_ms:
        stages[1] = _number(row.stages_ms["all"], 3)
    fractions = [_number(told.get(name), 3) for name in ("of_products", "of_copy")]
    cells = [row.way, row.part, row.size, str(row.frames), *stages, _number(told["fps"]), _number(told["fps_compute"])]
    return f"| {' | '.join([*cells, *fractions])} |"


def _number(value: float | None, places: int = 1) -> str:
    return "-" if value is None else f"{value:.{places}f}"
