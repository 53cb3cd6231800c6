"""brushcast doctor: what this machine has, what really runs, and what is missing with the line that installs it."""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import BrushcastError
from realtime.cameras import list_cameras
from realtime.cli import version
from realtime.commands import painting
from realtime.commands.back_ends import engine_findings, provider_findings
from realtime.commands.doctor_tensorrt import PACKAGES, tensorrt_findings
from realtime.commands.finding import Finding
from realtime.display import why_no_display
from realtime.machine import RUNTIMES, installed
from realtime.synthetic import DEFAULT_SIZE, SyntheticSource

CORE = ("numpy", "opencv-python", "opencv-python-headless", "av", "safetensors", "tqdm")
EXTRAS = {
    "export": ("torch", "onnx", "onnxscript"),
    "train": ("torch", "h5py", "matplotlib"),
    "bench": ("matplotlib", "psutil"),
    "vcam": ("pyvirtualcam",),
    "web": ("aiohttp",),
    "webrtc": ("aiohttp", "aiortc"),
    "mic": ("sounddevice",),
    "osc": ("python-osc",),
    "midi": ("mido", "python-rtmidi"),
    "obs": ("aiohttp",),
    "triton": ("tritonclient",),
    "openvino": ("openvino",),
    "text": ("fastembed",),
}
# What to take beside onnxruntime-gpu: these packages bring onnxruntime, with which the GPU is silently lost.
WITH_GPU = {"fastembed": "fastembed-gpu"}
TRIAL_FRAMES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    painting.add_painting(parser, style=False)


def run(args: argparse.Namespace) -> int:
    """Returns 0 if this machine can paint, 1 if not."""
    extras = (name for names in EXTRAS.values() for name in names)
    versions = installed(dict.fromkeys((*CORE, *RUNTIMES, *extras, *WITH_GPU.values())))
    findings = [
        *_runtimes(versions),
        _painting(args),
        *_back_ends(args),
        *tensorrt_findings(installed(PACKAGES)),
        _cameras(),
        _display(),
        *_extras(versions),
    ]
    if args.json:
        told: dict[str, Any] = {
            "brushcast": version(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": versions,
            "findings": [asdict(finding) for finding in findings],
        }
        painting.print_json(told)
    else:
        print(f"brushcast {version()}, Python {platform.python_version()}, {platform.platform()}")
        print(", ".join(f"{name} {number}" for name, number in versions.items()))
        for finding in findings:
            print(f"{finding.mark:3} {finding.topic}: {finding.text}")
            if finding.help:
                print(f"    {finding.help}")
    return 0 if all(finding.good for finding in findings) else 1


def _runtimes(versions: dict[str, str]) -> list[Finding]:
    runtimes = [name for name in RUNTIMES if name in versions]
    if not runtimes:
        help_ = 'pip install "brushcast[cpu]"  (or "brushcast[gpu]" with an NVIDIA GPU)'
        return [Finding("ONNX Runtime", "not installed", False, help_)]
    if len(runtimes) > 1:
        keep = runtimes[1] if runtimes[0] == "onnxruntime" else runtimes[0]
        text = f"{' and '.join(runtimes)} are both installed: they overwrite each other, and the GPU is silently lost"
        cure = f"pip uninstall -y {' '.join(runtimes)} && pip install {keep}"
        return [Finding("ONNX Runtime", text, False, cure)]
    return [Finding("ONNX Runtime", f"{runtimes[0]} {versions[runtimes[0]]}")]


def _painting(args: argparse.Namespace) -> Finding:
    """Paint some frames and read back what painted them: what a package claims to support says nothing."""
    topic = f"painting with {args.engine}"
    try:
        bundle = Bundle.load(args.model)
        if not bundle.styles:
            return Finding(topic, f"{bundle.name} has no styles to try it with", False)
        look = Look(bundle.style(bundle.styles[0]))
        with painting.open_asked(args, bundle) as engine:
            source = SyntheticSource(bundle.size_or_usual(DEFAULT_SIZE), frames=TRIAL_FRAMES + 1)
            took_s = []
            while (frame := source.read()) is not None:
                begin = time.perf_counter()
                engine.stylise(frame.image, look)
                took_s.append(time.perf_counter() - begin)
            provider = engine.provider
    except BrushcastError as error:
        return Finding(topic, str(error), False)
    size = f"{source.info.width_px}x{source.info.height_px}"
    return Finding(
        topic, f"{bundle.name} runs on {provider}, {size} in {float(np.median(took_s[1:])) * 1000:.0f} ms a frame"
    )


def _back_ends(args: argparse.Namespace) -> list[Finding]:
    """Every engine and provider, tried: what is missing harms nobody who does not ask for it."""
    try:
        bundle = Bundle.load(args.model)
    except BrushcastError:
        return provider_findings()  # the model's fault is told by the trial of painting
    return [*engine_findings(bundle, (args.engine,)), *provider_findings()]


def _cameras() -> Finding:
    cameras = list_cameras()
    if not cameras:
        return Finding("cameras", "none was found", help="brushcast live --input synthetic needs none")
    return Finding("cameras", ", ".join(f"{camera.index} {camera.name}".strip() for camera in cameras))


def _display() -> Finding:
    reason = why_no_display()
    return Finding("window", "can be opened") if reason is None else Finding("window", reason)


def _extras(versions: dict[str, str]) -> list[Finding]:
    findings = []
    for extra, names in EXTRAS.items():
        missing = [name for name in names if name not in versions and WITH_GPU.get(name) not in versions]
        if missing:
            others = [WITH_GPU[name] for name in missing if name in WITH_GPU and "onnxruntime-gpu" in versions]
            findings.append(
                Finding(
                    f"extra {extra}",
                    f"{', '.join(missing)} missing",
                    help=f"pip install {' '.join(others)}" if others else f'pip install "brushcast[{extra}]"',
                    there=False,
                )
            )
        else:
            findings.append(Finding(f"extra {extra}", "installed"))
    return findings
