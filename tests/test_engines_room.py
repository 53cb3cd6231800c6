from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from engines.providers import Provider
from engines.room import BYTES_PER_PIXEL, free_memory, is_out_of_memory, largest_size, too_large
from engines.working import working_size


@pytest.mark.parametrize(
    "text",
    [
        "CUDA failure 2: out of memory ; GPU=0",
        "bfc_arena.cc:376 Available memory of 1024 is smaller than requested bytes of 2048",
        "Failed to allocate memory for requested buffer of size 4096",
        "std::bad_alloc",
        "Exception: 8007000E Not enough memory resources",
    ],
)
def test_what_runtimes_say_when_memory_is_out(text: str) -> None:
    assert is_out_of_memory(text)
    assert not is_out_of_memory("CUDA failure 209: no kernel image is available")


@pytest.mark.parametrize("render_scale", [0.5, 1.0, 16.0])
@pytest.mark.parametrize(("height", "width"), [(2160, 3840), (3000, 1000), (1081, 1923)])
def test_the_largest_size_fits_and_the_next_would_not(height: int, width: int, render_scale: float) -> None:
    rows, columns = working_size(height, width, render_scale)
    budget = rows * columns * BYTES_PER_PIXEL // 3
    found = largest_size(height, width, render_scale, budget)
    assert found is not None
    assert found[0] < height and abs(found[1] / found[0] - width / height) < 0.02 * width / height
    painted = working_size(*found, render_scale)
    assert painted[0] * painted[1] * BYTES_PER_PIXEL <= budget
    larger = working_size(round(found[0] + height / 50), round(found[1] + width / 50), render_scale)
    assert larger[0] * larger[1] * BYTES_PER_PIXEL > budget


def test_the_error_is_one_line_with_a_size_smaller_than_what_failed() -> None:
    # The estimate says that it should have fitted; it did not.
    told = str(too_large("cuda", 1080, 1920, 16.0, free=80 * 2**30))
    assert "\n" not in told and "1920x1080" in told and "316 MB" in told
    assert 1200 < int(told.partition("by that, about ")[2].partition("x")[0]) < 1400
    assert "close what else uses the device" in str(too_large("cuda", 1080, 1920, 16.0, free=1000))
    assert "free" not in str(too_large("directml", 1080, 1920, 16.0, free=None))


def test_free_memory_is_what_the_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def smi(words: list[str], **_: Any) -> SimpleNamespace:
        asked.append(words)
        return SimpleNamespace(stdout="2048\n")

    monkeypatch.setattr(subprocess, "run", smi)
    assert free_memory(Provider("CUDAExecutionProvider", "1")) == 2 * 2**30
    assert "--id=1" in asked[0]
    assert free_memory(Provider("DmlExecutionProvider")) is None

    def missing(words: list[str], **_: Any) -> SimpleNamespace:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    assert free_memory(Provider("CUDAExecutionProvider")) is None
    assert free_memory(Provider("CPUExecutionProvider")) != 0
