"""Where PyTorch computes, in which precision and which way: what can be asked for, and what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from engines.bundle import near
from engines.errors import EngineError

DEVICES = ("cpu", "cuda", "mps")
MODES = ("eager", "compile", "graphs")
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Computing:
    """device: as PyTorch writes it; precision: of `PRECISIONS`; mode: of `MODES`."""

    device: str
    precision: str
    mode: str

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")


def computing(provider: str | None, precision: str | None, mode: str | None) -> Computing:
    """What is asked for, each None for its default. Raises EngineError: unknown, or not there."""
    device = device_name(provider)
    precision = precision or "fp32"
    mode = mode or ("graphs" if device.startswith("cuda") else "eager")
    if precision not in PRECISIONS:
        raise EngineError(f"torch paints in no precision {precision!r}; {near(precision, list(PRECISIONS))}")
    if mode not in MODES:
        raise EngineError(f"the torch engine has no mode {mode!r}; {near(mode, MODES)}")
    if mode == "graphs" and not device.startswith("cuda"):
        raise EngineError(f"mode graphs is CUDA graphs, which {device} has not; take eager or compile")
    return Computing(device, precision, mode)


@contextmanager
def exact() -> Iterator[None]:
    """fp32 is fp32: convolutions of NVIDIA's would else round to 10 bits. And they may look for the fastest way."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
        yield


def device_name(asked: str | None) -> str:
    """The torch device `asked`, "cpu" where it is None. Raises EngineError: unknown, or not there."""
    name = (asked or "cpu").lower()
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise EngineError(f"no torch device {asked!r}; {near(name, list(DEVICES))}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise EngineError(f"torch sees no {name} device here; choose cpu, or install a torch build that has it")
    return name
