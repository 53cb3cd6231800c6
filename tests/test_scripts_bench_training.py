from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest

from engines.nets import vgg
from engines.nets.vgg import Vgg16
from engines.training.features import LossNetwork


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("bench_training")
    monkeypatch.setattr(vgg, "BLOCKS", ((4,), (4,), (4,), (256, 256), (4,)))
    monkeypatch.setattr(module, "load_loss_network", lambda _: LossNetwork(Vgg16()))
    return module


def test_both_ways_are_timed_and_compared(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--batch", "1", "--crop", "32", "--rounds", "1"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("vgg19, 1 x 32x32")
    assert [re.split(r" +oneDNN", row)[0] for row in rows] == ["features", "features and gradient"]
    for row in rows:
        assert re.search(r"oneDNN +\d+ ms +Winograd +\d+ ms +\d+\.\d\d times as fast$", row)


@pytest.mark.parametrize("told", [["--batch", "0"], ["--crop", "16"], ["--rounds", "0"]])
def test_numbers_that_cannot_be(told: list[str], program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(told) == 2
    assert "must be at least" in capsys.readouterr().err
