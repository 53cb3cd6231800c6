from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.api import Look
from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import build
from engines.registry import open_engine
from export.cli import main

SMALL = StyleKernelConfig(
    widths=(4, 8, 16),
    style_levels=2,
    style_width=16,
    encoder_blocks=0,
    decoder_blocks=0,
    style_blocks=0,
    key_width=8,
    code_width=16,
    hidden_width=16,
    grid=4,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = build(SMALL, seed=1)
    path = tmp_path_factory.mktemp("runs") / "last.pt"
    told = {"config": SMALL.as_dict(), "net": net.state_dict(), "ema": net.state_dict(), "step": 7, "seconds": 1.5}
    torch.save(told, path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "waves.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8))
    return path


@pytest.mark.slow
def test_a_checkpoint_becomes_a_bundle_that_both_engines_paint_alike(
    checkpoint: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    assert main([str(checkpoint), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "parity with PyTorch" in told
    assert "weights.safetensors" in told
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    bundle = Bundle.load(out)
    assert bundle.manifest["training"] == {"step": 7, "seconds": 1.5}
    assert bundle.manifest["parity"]

    baked = tmp_path / "baked"
    assert main([str(out), "-o", str(baked), "--style", str(picture)]) == 0
    again = tmp_path / "again"
    assert main([str(out), "-o", str(again)]) == 0
    assert Bundle.load(again).id == bundle.id

    look = Look(resolve_style(str(picture), bundle), 0.9, 0.6)
    frames = [np.random.default_rng(k).integers(0, 256, (70, 91, 3)).astype(np.uint8) for k in range(2)]
    frames.append(frames[1])
    baked_look = Look(Bundle.load(baked).style("waves"), 0.9, 0.6)
    with (
        open_engine("ort", bundle) as ort,
        open_engine("torch", bundle) as eager,
        open_engine("ort", Bundle.load(baked)) as constant,
    ):
        for frame in frames:
            painted = ort.stylise(frame, look).astype(int)
            # Each has its own memory, whose differences of a step come back in the next frame.
            assert np.abs(painted - eager.stylise(frame, look)).max() <= 3
            assert np.abs(painted - constant.stylise(frame, baked_look)).max() <= 3


@pytest.mark.parametrize(
    ("data", "told"),
    [(None, "does not exist"), (b"", "is not a checkpoint"), (b"PK\x03\x04", "is not a checkpoint")],
)
def test_files_that_are_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, told: str
) -> None:
    path = tmp_path / "last.pt"
    if data is not None:
        path.write_bytes(data)
    assert main([str(path), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = torch.load(checkpoint, weights_only=True)
    told["ema"]["sae.query.weight"][0] = float("nan")
    torch.save(told, tmp_path / "bad.pt")
    assert main([str(tmp_path / "bad.pt"), "-o", str(tmp_path / "out")]) == 2
    assert "sae.query.weight is not finite" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_left_alone(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    assert main([str(checkpoint), "-o", str(tmp_path)]) == 2
    assert "exists and is no bundle" in capsys.readouterr().err
    assert (tmp_path / "diary.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_made(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main([str(checkpoint), "-o", str(tmp_path / "file" / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_checkpoint_has_no_named_styles(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(checkpoint), "-o", str(tmp_path / "out"), "--style", "moss"]) == 2
    assert "a checkpoint has no named styles" in capsys.readouterr().err


def test_a_checkpoint_of_another_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"config": SMALL.as_dict(), "ema": {"old.weight": torch.zeros(2)}}, tmp_path / "old.pt")
    assert main([str(tmp_path / "old.pt"), "-o", str(tmp_path / "out")]) == 2
    assert "does not fit this version's network" in capsys.readouterr().err
