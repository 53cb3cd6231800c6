"""The retouching program: the checkpoint it writes, what it tells, and its errors."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import retouch as program
import torch

from engines.bundle import Bundle
from engines.torch_eager import load_network
from engines.training import checkpoints

MODEL = "johnson-cafe-terrace"  # the smallest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retouch")
    random = np.random.default_rng(0)
    (folder / "content").mkdir()
    for number in range(4):
        coarse = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (384, 384), interpolation=cv2.INTER_CUBIC)
        assert cv2.imwrite(str(folder / "content" / f"own_{number}.png"), picture)
    return folder


@pytest.fixture(scope="module")
def retouched(folder: Path) -> Path:
    out = folder / "new" / "checkpoint.pt"
    told = [MODEL, "--data", str(folder), "--out", str(out), "--samples", "4", "--scale", "net.up2=1.25"]
    assert program.main(told) == 0
    return out


def test_only_the_last_layer_and_what_was_scaled_are_others(retouched: Path) -> None:
    before, after = load_network(Bundle.load(MODEL)).state_dict(), checkpoints.load_network(retouched).state_dict()
    changed = {name for name in before if not torch.allclose(before[name], after[name], rtol=1e-3, atol=1e-5)}
    assert changed == {"net.up1.weight", "net.up2.weight"}
    assert torch.allclose(after["net.up2.weight"], 1.25 * before["net.up2.weight"], rtol=1e-3, atol=1e-5)


def test_the_checkpoint_tells_the_training_of_the_bundle(retouched: Path) -> None:
    training = Bundle.load(MODEL).manifest["training"]
    told = checkpoints.load(retouched)
    assert (told["step"], told["info"]["method"]) == (training["step"], training["method"])


def test_it_tells_how_sharp_the_phases_were_and_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([MODEL, "--data", str(folder), "--out", str(folder / "told.pt"), "--samples", "3"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("seen", "others"))]
    assert [row.split()[:2] for row in rows] == [[kind, c] for kind in ("seen", "others") for c in "RGB"]
    assert all(row.endswith("->  1.000 1.000 1.000 1.000") for row in rows[:3])
    assert not any("1.000 1.000 1.000 1.000  ->" in row for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scale", "decoder.skip=1.1"], "names no weights; there are net.blocks.0.first"),
        (["--scale", "net.up2=much"], "is no PART=FACTOR"),
        (["--mix", "0.5"], "is no CHECKPOINT=SHARE"),
        (["--mix", "checkpoint.pt=1.5"], "with a share from 0 to 1"),
        (["--samples", "0"], "samples and threads must be at least 1"),
        (["--data", "no-such-folder"], "has no pictures"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = folder / "none.pt"
    assert program.main([MODEL, "--data", str(folder), "--out", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_phases_can_be_kept_and_need_no_pictures_then(tmp_path: Path) -> None:
    out = tmp_path / "scaled.pt"
    assert program.main([MODEL, "--out", str(out), "--keep-phases", "--scale", "net.up2=0.5"]) == 0
    before, after = load_network(Bundle.load(MODEL)).state_dict(), checkpoints.load_network(out).state_dict()
    assert {name for name in before if not torch.allclose(before[name], after[name], atol=1e-5)} == {"net.up2.weight"}


def test_without_pictures_the_phases_are_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([MODEL, "--out", str(tmp_path / "none.pt")]) == 2
    assert "give --data" in capsys.readouterr().err


def test_weights_are_mixed_with_a_checkpoints(tmp_path: Path) -> None:
    other, out = tmp_path / "other.pt", tmp_path / "mixed.pt"
    assert program.main([MODEL, "--out", str(other), "--keep-phases", "--scale", "net=3"]) == 0
    assert program.main([MODEL, "--out", str(out), "--keep-phases", "--mix", f"{other}=0.25"]) == 0
    before, after = load_network(Bundle.load(MODEL)).state_dict(), checkpoints.load_network(out).state_dict()
    for name, value in before.items():
        wanted = value * (1.5 if name.endswith(".weight") else 1.0)
        assert torch.allclose(after[name], wanted, rtol=2e-3, atol=1e-4), name


def test_weights_of_another_network_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.pt"
    assert program.main(["cin", "--out", str(other), "--keep-phases"]) == 0
    assert program.main([MODEL, "--out", str(tmp_path / "none.pt"), "--keep-phases", "--mix", f"{other}=0.5"]) == 2
    assert "is of another network" in capsys.readouterr().err


def test_tables_of_other_styles_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same, other = tmp_path / "same.pt", tmp_path / "other.pt"
    assert program.main(["cin", "--out", str(same), "--keep-phases"]) == 0
    assert program.main(["cin", "--out", str(other), "--keep-phases", "--mix", f"{same}=0.5"]) == 0
    kept = torch.load(same, weights_only=True)
    kept["info"]["style_names"].reverse()
    torch.save(kept, same)
    capsys.readouterr()
    assert program.main(["cin", "--out", str(other), "--keep-phases", "--mix", f"{same}=0.5"]) == 2
    assert "learned other styles" in capsys.readouterr().err
