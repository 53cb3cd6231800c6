"""What is told of the machine."""

from __future__ import annotations

import sys

import pytest

from realtime.machine import installed, machine, machine_load, memory_meter, peak_memory_mb


def test_the_machine_has_a_name_and_cores() -> None:
    told = machine()
    assert told.cpu
    assert told.cores >= 1
    assert told.system
    assert told == machine()
    load = machine_load()
    assert load is None or load >= 0


def test_only_installed_packages_have_versions() -> None:
    assert list(installed(["no-such-package", "numpy"])) == ["numpy"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells no peak")
def test_memory_is_told_in_megabytes() -> None:
    pytest.importorskip("psutil")
    before = memory_meter()()
    held = bytearray(b"x" * 2**26)
    after = memory_meter()()
    peak = peak_memory_mb()
    assert 50 < after - before < 90
    assert peak is not None
    assert peak >= 64
    assert len(held) == 2**26
