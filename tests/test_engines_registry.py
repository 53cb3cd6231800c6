from __future__ import annotations

import sys

import pytest

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.registry import missing_package, open_engine


def test_an_unknown_engine_tells_near_names(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="no engine 'orrt'; did you mean ort"):
        open_engine("orrt", tiny_bundle)


def test_an_unknown_provider_tells_near_names(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="no provider 'cudda'; did you mean cuda"):
        open_engine("ort", tiny_bundle, provider="cudda")


@pytest.mark.parametrize("threads", [0, -3, 257, 100_000])
@pytest.mark.parametrize("engine", ["identity", "ort"])
def test_threads_are_counted_from_one_to_what_a_machine_can_start(
    tiny_bundle: Bundle, engine: str, threads: int
) -> None:
    with pytest.raises(EngineError, match=f"threads is {threads}; it must be at least 1, and 256 at most"):
        open_engine(engine, tiny_bundle, threads=threads)


@pytest.mark.parametrize(("engine", "package", "extra"), [("ort", "onnxruntime", "cpu"), ("torch", "torch", "export")])
def test_a_missing_package_is_told_with_its_pip_line(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, engine: str, package: str, extra: str
) -> None:
    for module in [name for name in sys.modules if name.startswith(("engines.ort", "engines.torch"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=rf'{package} is not installed; run: pip install "brushcast\[{extra}\]"'):
        open_engine(engine, tiny_bundle)


def test_a_fault_of_ours_is_not_told_as_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError):
        missing_package(ModuleNotFoundError("no", name="engines.nowhere"), "cpu")
