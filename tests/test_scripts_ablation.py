"""Which trainings of the ablation are kept, and which are made anew."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ablation as program
import pytest
import torch

from engines.errors import InputError
from engines.nets import catalogue
from engines.nets.config import StyleKernelConfig
from engines.training import checkpoints


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tiny_style_kernels: StyleKernelConfig) -> list[Sequence[str]]:
    """The trainings that were begun; each leaves a checkpoint of its last step where it was told to."""
    commands: list[Sequence[str]] = []
    net: Any = catalogue.build(tiny_style_kernels, 0)
    optimiser = torch.optim.Adam(p for p in net.parameters() if p.requires_grad)

    def train(command: Sequence[str], check: bool) -> SimpleNamespace:
        assert not check
        commands.append(command)
        out, steps = (command[command.index(option) + 1] for option in ("--out", "--steps"))
        Path(out).mkdir(parents=True, exist_ok=True)
        checkpoints.save(Path(out) / "checkpoint.pt", net, checkpoints.Ema(net), optimiser, int(steps), 1.0, {})
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", train)
    return commands


def asked(folder: Path, data: str = "data", steps: int = 500, training: Sequence[str] = ("--crop", "160")) -> Namespace:
    return Namespace(data=folder / data, out=folder / "out", steps=steps, threads=1, training=list(training))


def test_the_same_training_is_kept(begun: list[Sequence[str]], tmp_path: Path) -> None:
    nets = [program.trained(asked(tmp_path), 0, "", ()) for _ in range(2)]
    assert len(begun) == 1 and begun[0][-2:] == ["--crop", "160"]
    assert not any(net.training for net in nets)


@pytest.mark.parametrize(
    ("other", "more"),
    [
        ({"steps": 300}, ()),
        ({"training": ("--crop", "128")}, ()),
        ({"data": "others"}, ()),
        ({}, ("--remd", "0")),
    ],
)
def test_another_training_does_not_pass_for_the_one_that_is_asked_for(
    other: dict[str, Any], more: Sequence[str], begun: list[Sequence[str]], tmp_path: Path
) -> None:
    program.trained(asked(tmp_path), 0, "", ())
    program.trained(asked(tmp_path, **other), 0, "", more)
    assert len(begun) == 2
    program.trained(asked(tmp_path), 0, "", ())  # which is still there
    assert len(begun) == 2


def test_a_training_that_failed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, check: SimpleNamespace(returncode=2))
    with pytest.raises(InputError, match=r"the training in .* failed"):
        program.trained(asked(tmp_path), 0, "", ())
