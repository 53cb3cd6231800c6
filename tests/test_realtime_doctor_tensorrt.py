from __future__ import annotations

import pytest

from engines.bundle import Bundle
from realtime.cli import main
from realtime.commands.doctor_tensorrt import tensorrt_findings


def told(**versions: str) -> dict[str, tuple[bool, bool, str]]:
    """The findings by their topics: good, there, and text with help."""
    findings = tensorrt_findings({name.replace("_", "-"): version for name, version in versions.items()})
    return {finding.topic: (finding.good, finding.there, f"{finding.text} {finding.help}") for finding in findings}


def test_nothing_is_installed() -> None:
    findings = told()
    assert findings["TensorRT packages"] == (True, False, "none ")
    good, there, text = findings["TensorRT engine"]
    assert good
    assert not there
    assert "lacks tensorrt and cuda-bindings" in text
    assert 'pip install "brushcast[tensorrt]"' in text
    assert "torch 2.13, torch-tensorrt 2.13 and TensorRT 11.0 go together" in text


def test_what_goes_together() -> None:
    findings = told(torch="2.13.0+cu130", torch_tensorrt="2.13.0", tensorrt="11.0.0.114", cuda_bindings="13.5.0")
    assert findings["TensorRT versions"] == (True, True, "nothing that is known to clash ")
    assert "TensorRT engine" not in findings
    assert findings["TensorRT packages"][2].startswith("tensorrt 11.0.0.114, torch-tensorrt 2.13.0, cuda-bindings")


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        (
            {"torch": "2.12.1", "torch_tensorrt": "2.13.0", "tensorrt": "11.0.0"},
            "2.13.0 is for torch 2.13, and torch is",
        ),
        ({"torch": "2.13.0", "torch_tensorrt": "2.13.0", "tensorrt_cu13": "10.15.1"}, "wants TensorRT 11.0"),
        ({"onnxruntime_gpu": "1.31.0", "tensorrt": "11.0.0"}, "onnxruntime-gpu 1.31.0 loads libnvinfer.so.10"),
    ],
)
def test_what_clashes(versions: dict[str, str], text: str) -> None:
    good, there, line = told(**versions)["TensorRT versions"]
    assert good  # painting by another engine does not suffer
    assert not there
    assert text in line


def test_onnxruntime_gpu_beside_tensorrt_10_is_well() -> None:
    assert told(onnxruntime_gpu="1.31.0", tensorrt="10.3.0", cuda_bindings="12.8.0")["TensorRT versions"][1]


def test_the_doctor_tells_it(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", str(tiny_bundle.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("TensorRT packages: " in line for line in lines)
    (engine,) = (line for line in lines if "engine tensorrt: " in line)
    assert "does not run" in engine
