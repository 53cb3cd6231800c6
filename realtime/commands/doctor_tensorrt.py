"""The doctor's part on TensorRT: which of its packages are there, and whether they go together.

Whether the engine runs is found out by trying it, as of all engines (`realtime.commands.back_ends`).
"""

from __future__ import annotations

from collections.abc import Mapping

from realtime.commands.finding import Finding

PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "torch-tensorrt", "torch", "onnxruntime-gpu", "cuda-bindings")
_TENSORRT = PACKAGES[:3]
# Releases that were made for each other, as far as they were tried or told by their makers.
_OF_TORCH_TENSORRT = {"2.13": "11.0"}
TOGETHER = "torch 2.13, torch-tensorrt 2.13 and TensorRT 11.0 go together; onnxruntime-gpu 1.31 wants TensorRT 10"
_LIBRARY_OF_ORT = 10  # onnxruntime-gpu loads libnvinfer.so.10


def tensorrt_findings(versions: Mapping[str, str]) -> list[Finding]:
    """What there is to tell. versions: of the installed ones of PACKAGES, by their names."""
    there = [f"{name} {versions[name]}" for name in PACKAGES if name in versions and name != "torch"]
    missing = [name for name in ("torch-tensorrt", "cuda-bindings") if name not in versions]
    found = next((versions[name] for name in _TENSORRT if name in versions), None)
    if found is None:
        missing.insert(0, "tensorrt")
    told = [Finding("TensorRT packages", ", ".join(there) or "none", there=found is not None)]
    if found is None or "cuda-bindings" in missing:
        text = f"the tensorrt engine lacks {' and '.join(name for name in missing if name != 'torch-tensorrt')}"
        help_ = f'pip install "brushcast[tensorrt]"  ({TOGETHER})'
        told.append(Finding("TensorRT engine", text, help=help_, there=False))
    clashes = _clashes(versions, found)
    told += [Finding("TensorRT versions", text, help=help_, there=False) for text, help_ in clashes]
    if found is not None and not clashes:
        told.append(Finding("TensorRT versions", "nothing that is known to clash"))
    return told


def _clashes(versions: Mapping[str, str], tensorrt: str | None) -> list[tuple[str, str]]:
    """What does not go together, and what would."""
    found = []
    torch, bridge = versions.get("torch"), versions.get("torch-tensorrt")
    if bridge is not None and torch is not None and _release(torch) != _release(bridge):
        text = f"torch-tensorrt {bridge} is for torch {_release(bridge)}, and torch is {torch}"
        found.append((text, f'pip install "torch-tensorrt=={_release(torch)}.*"'))
    wanted = _OF_TORCH_TENSORRT.get(_release(bridge)) if bridge is not None else None
    if tensorrt is not None and wanted is not None and _release(tensorrt) != wanted:
        text = f"torch-tensorrt {bridge} wants TensorRT {wanted}, and {tensorrt} is installed"
        found.append((text, f'pip install "tensorrt=={wanted}.*"'))
    ort = versions.get("onnxruntime-gpu")
    if ort is not None and tensorrt is not None and int(tensorrt.partition(".")[0]) > _LIBRARY_OF_ORT:
        text = (
            f"onnxruntime-gpu {ort} loads libnvinfer.so.{_LIBRARY_OF_ORT}, and TensorRT is {tensorrt}: "
            "its provider tensorrt will not start"
        )
        found.append((text, "take --engine tensorrt, or --provider cuda; or an environment for each of the two"))
    return found


def _release(version: str) -> str:
    """ "2.13.0+cu130" -> "2.13" """
    return ".".join(version.split(".")[:2])
