from __future__ import annotations

import sys
from typing import Any

import pytest

from engines.bundle import Bundle
from engines.providers import PROVIDERS
from engines.registry import ENGINES
from realtime.commands import back_ends
from realtime.commands.back_ends import engine_findings, provider_findings


def test_every_engine_is_told_of_with_what_runs_or_why_not(tiny_bundle: Bundle) -> None:
    found = {finding.topic: finding for finding in engine_findings(tiny_bundle, ("triton://127.0.0.1:1", "ort"))}
    assert list(found) == [f"engine {name}" for name in (*ENGINES, "triton://127.0.0.1:1")]
    for name in ("ort", "identity"):
        assert (found[f"engine {name}"].text, found[f"engine {name}"].mark) == ("runs", "ok")
    server = found["engine triton://127.0.0.1:1"]
    assert server.text.startswith("does not run: ") and "\n" not in server.text
    assert server.mark == "--" and server.good  # what nobody asked for spoils nothing


def test_every_provider_is_told_of(devices: Any) -> None:
    devices.absent.add("CUDAExecutionProvider")
    found = {finding.topic: finding for finding in provider_findings()}
    assert list(found) == [f"provider {name}" for name in PROVIDERS]
    assert "did not start" in found.pop("provider cuda").text
    assert {finding.text for finding in found.values()} == {"runs"}


def test_a_broken_installation_is_told_in_a_line(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, bundle: Bundle) -> str | None:
        raise AttributeError("module has no attribute 'x'\nand more")

    monkeypatch.setattr(back_ends, "why_not", broken)
    finding = engine_findings(tiny_bundle)[0]
    assert finding.text == "does not run: AttributeError: module has no attribute 'x'"


def test_without_onnx_runtime_there_are_no_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engines.providers")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert provider_findings() == []
