"""What every engine does on this machine's GPU, run once by whoever has one; installs nothing.

    python scripts/gpu_check.py                    # about ten minutes; writes docs/measured/DATE-gpu-DEVICE.{json,md}
    python scripts/gpu_check.py --minutes 25 --out build/gpu
    python scripts/gpu_check.py --device cpu --sizes 320x180 --streams 2 --repeats 2 --out build/gpu     # to rehearse

In one run: what the device does at the best (a large copy, pinned uploads and downloads, large matrix products); then
for PyTorch eager, compiled and as CUDA graphs in fp32, fp16 and bf16, for ONNX Runtime's CUDA and TensorRT providers
and for the TensorRT engine, as far as they are there, and for the CPU's: how far their paintings are from eager fp32 on
the CPU, and how fast they are. "guide" and "frame" are the graphs alone, told stage by stage (upload, compute,
download, by CUDA events), for one frame or for many streams of different styles in one run; "whole" is a frame from its
own size to its own size on the device, which smoothing 0 allows; "engine" is all of an engine, with the motion and the
resizing that OpenCV does on the CPU.

What is not there is told with its reason, and what there was no time for as well: the most telling comes first.
Exit code 0 if it could be measured, whether or not the bar is met; 2 without a GPU, or on bad input.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import gpu_measure as measure
import torch
from gpu_report import Record, Row, circumstances, write

from engines.api import MIN_SIDE_PX, Engine, Look
from engines.bundle import Bundle
from engines.errors import BrushcastError, EngineError, InputError
from engines.registry import open_engine
from engines.torch_device import device_name
from engines.torch_engine import TorchEngine

T = TypeVar("T")

RECORDS = Path(__file__).resolve().parents[1] / "docs" / "measured"
SIZES = "640x360,1280x720,1920x1080,3840x2160"
STREAMS = "4,16"
CPU_SIZES, CPU_REPEATS = 2, 10  # the CPU is there to compare with
PARITY_SIZE = (360, 640)
PARITY_FRAMES = 3
# PyTorch's ways, the most telling first.
WAYS = (
    ("graphs", "fp16"),
    ("graphs", "fp32"),
    ("compile", "fp16"),
    ("graphs", "bf16"),
    ("eager", "fp32"),
    ("eager", "fp16"),
    ("compile", "fp32"),
    ("compile", "bf16"),
    ("eager", "bf16"),
)


class Check:
    """One run: measures as long as there is time, and keeps what it has."""

    def __init__(self, told: argparse.Namespace, device: torch.device, bundle: Bundle) -> None:
        self.told, self.device, self.bundle = told, device, bundle
        self.styles = [bundle.style(name) for name in bundle.styles]
        self.end = time.monotonic() + 60 * told.minutes
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        self.references: dict[float, list[measure.Picture]] = {}

    def run(self) -> Record:
        here = circumstances(self.told, self.device, self.bundle)
        small = self.device.type == "cpu"
        with measure.on(self.device):
            side, copied = (256, 2**22) if small else (8192, 2**30)
            best = measure.ceilings(self.device, side=side, copied=copied, repeats=self.told.repeats)
        for smoothing in (0.9, 0.0):
            with open_engine("torch", self.bundle) as engine:
                look = Look(self.styles[0], smoothing=smoothing)
                frames = measure.scene(PARITY_SIZE)[:PARITY_FRAMES]
                self.references[smoothing] = [engine.stylise(image, look) for image in frames]
        # What takes long to begin, or tells the least, comes last.
        quick = [way for way in self.told.ways if way[0] != "compile"]
        slow = [way for way in self.told.ways if way[0] == "compile"]
        ones, many = [1], self.told.streams
        for mode, precision in quick:
            self.torch_way(mode, precision, ones)
        if self.device.type == "cuda":
            for name, provider in (("ort", "cuda"), ("tensorrt", "cuda"), ("ort", "tensorrt")):
                self.other(name, provider, self.told.sizes, [*ones, *many[:1]])
        for ways, counts in ((slow, ones), (quick, many), (slow, many)):
            for mode, precision in ways:
                self.torch_way(mode, precision, counts)
        for name in ("ort", "torch"):
            self.other(name, "cpu", self.told.sizes[:CPU_SIZES], ones)
        return Record(here, asdict(best), self.rows, self.left_out)

    def torch_way(self, mode: str, precision: str, counts: Sequence[int]) -> None:
        """counts: of streams; one alone is compared with the reference, too."""
        what = f"torch {mode} {precision}"

        def opened() -> TorchEngine:
            engine = open_engine("torch", self.bundle, provider=self.told.device, precision=precision, mode=mode)
            assert isinstance(engine, TorchEngine)
            return engine

        engine = self.attempt(what, opened) if counts else None
        if engine is None:
            return
        with engine:
            if 1 in counts:
                self.parity(what, engine)
            for size in self.told.sizes:
                for count in counts:
                    self.graphs(what, engine, size, count)
                    self.engine(what, engine, size, count)

    def other(self, name: str, provider: str, sizes: Sequence[tuple[int, int]], counts: Sequence[int]) -> None:
        what = f"{name} {provider}"
        engine = self.attempt(what, lambda: open_engine(name, self.bundle, provider=provider))
        if engine is None:
            return
        with engine:
            self.parity(what, engine)
            for size in sizes:
                for count in counts:
                    self.engine(what, engine, size, count)

    def parity(self, what: str, engine: Engine) -> None:
        for smoothing, reference in self.references.items():
            part, look = f"parity, smoothing {smoothing:g}", Look(self.styles[0], smoothing=smoothing)
            measured = partial(measure.parity, engine, reference, look, PARITY_SIZE)
            if (away := self.attempt(f"{what}: {part}", measured)) is not None:
                self.add(Row(what, part, "640x360", 1, {}, away))

    def graphs(self, what: str, engine: TorchEngine, size: tuple[int, int], count: int) -> None:
        styles = list(islice(cycle(self.styles), count))
        told = f"{size[1]}x{size[0]}"
        measured = partial(measure.graphs, engine.batches, styles, size, repeats=self.told.repeats)
        for part, timing in (self.attempt(f"{what}: graphs, {told}, {count} frames", measured) or {}).items():
            self.add(Row(what, part, told, count, timing.stages_ms, timing.more))

    def engine(self, what: str, engine: Engine, size: tuple[int, int], count: int) -> None:
        told = f"{size[1]}x{size[0]}"
        repeats = (
            min(self.told.repeats, CPU_REPEATS) if engine.provider.lower().startswith("cpu") else self.told.repeats
        )
        for smoothing in (0.9, 0.0):
            part = f"engine, smoothing {smoothing:g}"
            looks = [Look(style, smoothing=smoothing) for style in islice(cycle(self.styles), count)]
            measured = partial(measure.engine, engine, looks, size, repeats=repeats)
            if (timing := self.attempt(f"{what}: {part}, {told}, {count} streams", measured)) is not None:
                self.add(Row(what, part, told, count, timing.stages_ms, timing.more))

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(row.line(), flush=True)

    def attempt(self, what: str, measured: Callable[[], T]) -> T | None:
        """One measurement. What fails or has no time any more is told, and the next one begins."""
        try:
            if time.monotonic() > self.end:
                raise EngineError("no time left")
            return measured()
        except Exception as error:  # whatever a driver or a compiler does: the rest is to be measured, and kept
            reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0][:300]
            self.left_out.append(f"{what}: {reason}")
            print(f"not measured: {self.left_out[-1]}", flush=True)
            return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, or cpu to rehearse")
    parser.add_argument("--minutes", type=float, default=10.0, help="of measuring (default: 10)")
    parser.add_argument(
        "--sizes", default=SIZES, help=f"of frames, WIDTHxHEIGHT with commas between (default: {SIZES})"
    )
    parser.add_argument("--streams", default=STREAMS, help=f"beside one (default: {STREAMS})")
    parser.add_argument("--repeats", type=int, default=50, help="timings of everything (default: 50)")
    parser.add_argument("--ways", help="PyTorch's, MODE:PRECISION with commas between (default: all)")
    parser.add_argument("--model", default="live", help="released bundle or folder (default: live)")
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder of the record (default: docs/measured)")
    told = parser.parse_args(arguments)
    try:
        told.sizes = [_size(word) for word in told.sizes.split(",")]
        told.streams = [_count(word) for word in told.streams.split(",") if word]
        if told.repeats < 1 or not told.minutes > 0:
            raise InputError("repeats must be at least 1, and minutes above 0")
        try:
            device = torch.device(device_name(told.device))
        except EngineError as error:
            raise EngineError(f"{error} (PyTorch {torch.__version__}; --device cpu rehearses)") from error
        told.ways = _ways(told.ways, device)
        record = Check(told, device, Bundle.load(told.model)).run()
        for path in write(record, told.out):
            print(f"wrote {path}")
    except BrushcastError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _ways(asked: str | None, device: torch.device) -> list[tuple[str, str]]:
    if asked is not None:
        pairs = [tuple(word.split(":")) for word in asked.split(",")]
        if any(pair not in WAYS for pair in pairs):
            raise InputError(f"{asked!r} are no ways; each must be MODE:PRECISION, for example graphs:fp16")
        return [(pair[0], pair[1]) for pair in pairs]
    return [way for way in WAYS if device.type == "cuda" or way[0] != "graphs"]


def _size(word: str) -> tuple[int, int]:
    """Height and width. Not by the other scripts' parser, which would want PyAV."""
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", word.strip())
    if match is None or min(int(match[1]), int(match[2])) < MIN_SIDE_PX:
        raise InputError(f"{word!r} is no size; it must be WIDTHxHEIGHT, each at least {MIN_SIDE_PX}")
    return int(match[2]), int(match[1])


def _count(word: str) -> int:
    if not word.strip().isdecimal() or int(word) < 1:
        raise InputError(f"{word!r} is no number of streams; it must be a whole number above 0")
    return int(word)


if __name__ == "__main__":
    raise SystemExit(main())
