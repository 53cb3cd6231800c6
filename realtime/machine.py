"""What measurements depend on beside the program: the machine, what else it is doing, and installed versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from engines.registry import missing_package

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
_ANSWERS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """cpu: its name, as far as the system tells it. cores: that this process may use. gpu: NVIDIA's, "" if none."""

    cpu: str
    cores: int
    system: str
    gpu: str


def machine() -> Machine:
    """This machine. May start a system program or two, so not to be called while something is timed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = _answer("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return Machine(_cpu(), cores, f"{platform.system()} {platform.release()}", ", ".join(gpus))


def machine_load() -> float | None:
    """What the machine is doing: its load average of the last minute; None where that is not known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of those of the packages that are installed (nothing is imported)."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float | None:
    """The most memory that this process ever held; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def memory_meter() -> Callable[[], float]:
    """A function that tells this process's resident memory in MB. Raises EngineError where psutil is missing."""
    try:
        import psutil  # noqa: PLC0415 - comes with an extra
    except ModuleNotFoundError as error:
        raise missing_package(error, "bench") from error
    process = psutil.Process()
    return lambda: float(process.memory_info().rss) / 2**20


def _cpu() -> str:
    # platform.processor() is empty or "x86_64" on most systems: the name has to be fetched where each one keeps it.
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    brand = _answer("sysctl", "-n", "machdep.cpu.brand_string") if sys.platform == "darwin" else ""
    return brand or platform.processor() or platform.machine()


def _answer(*words: str) -> str:
    """What a system program prints; "" if there is none or it fails."""
    program = shutil.which(words[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *words[1:]], capture_output=True, text=True, check=True, timeout=_ANSWERS_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
