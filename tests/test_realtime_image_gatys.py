"""brushcast image --method gatys: what it writes, what it keeps at Ctrl-C, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from engines.bundle import Bundle
from engines.training import features, gatys_picture
from engines.training.features import LAYERS
from realtime.cli import main
from realtime.commands import image_gatys


class Network(torch.nn.Module):
    """One random layer under all names; may be interrupted, as by Ctrl-C."""

    def __init__(self, until: int | None = None) -> None:
        super().__init__()
        self.calls, self.until = 0, until

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.until:
            raise KeyboardInterrupt
        kernel = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(1))
        return dict.fromkeys(LAYERS, torch.nn.functional.conv2d(images, kernel, padding=1).relu())


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """In place of the loss network, whose weights have to be fetched."""
    ours = Network()
    monkeypatch.setattr(features, "load_loss_network", lambda name: ours)
    return ours


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line that paints photo.png in the style of blue.png."""
    random = np.random.default_rng(0)
    for name, size, blue in (("photo.png", (6, 8), 128), ("blue.png", (5, 5), 255)):
        small = random.integers(0, blue, (*size, 3), np.uint8)
        small[..., 0] = np.maximum(small[..., 0], blue - 100)
        large = cv2.resize(small, (size[1] * 20, size[0] * 20), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / name), large)
    return [
        *("image", str(tmp_path / "photo.png"), str(tmp_path / "out.png"), "--method", "gatys"),
        *("--style", str(tmp_path / "blue.png"), "--steps", "8"),
    ]


def refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("brushcast: ")]
    assert code == 2 and len(errors) == 1
    assert not Path(words[2]).exists()
    return errors[0]


def test_a_picture_is_painted(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json", "--total-variation", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width_px"], told["height_px"], told["steps"], told["method"]) == (160, 120, 8, "gatys")
    assert told["styles"] == [{"name": "blue", "share": 1.0}]
    assert told["loss"] == pytest.approx(told["content_loss"] + image_gatys.STYLE_WEIGHT * told["style_loss"], rel=1e-3)
    painted, photo = (cv2.imread(words[place]).astype(int) for place in (2, 1))
    assert painted.shape == photo.shape
    assert painted[..., 0].mean() > photo[..., 0].mean() + 5
    assert main(words) == 0
    assert "160x120" in capsys.readouterr().out


def test_the_loss_network_can_be_chosen(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, network: Network
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(features, "load_loss_network", lambda name: asked.append(name) or network)
    for more in ((), ("--loss-network", "hed")):
        assert main([*words, *more, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["loss_network"] == asked[-1]
    assert asked == ["vgg19", "hed"]


def test_named_works_and_pictures_are_mixed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--mix", "Red-Fuji=2", "--mix", words[1], "--json", "--optimiser", "adam"]
    assert main([*words, *more]) == 0
    shares = {part["name"]: part["share"] for part in json.loads(capsys.readouterr().out)["styles"]}
    assert shares == {"blue": 0.25, "red-fuji": 0.5, "photo": 0.25}


def test_a_large_picture_is_told_to_be_painted_smaller(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--longest-side", "96"]) == 0
    assert "optimised at 96x72, enlarged to 160x120" in capsys.readouterr().err
    assert cv2.imread(words[2]).shape == (120, 160, 3)


def test_it_can_begin_with_what_a_model_paints(
    words: list[str], live_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del words[words.index("--steps") :]
    network = tmp_path / "network.png"
    by_network = ["image", words[1], str(network), "--style", words[-1], "--model", "live", "--engine", "torch"]
    assert main(by_network) == 0
    more = ["--start", "painting", "--model", "live", "--optimiser", "adam", "--total-variation", "0", "--json"]
    snapshots = ["--snapshots", str(tmp_path / "steps"), "--snapshot-every", "1"]
    capsys.readouterr()
    assert main([*words, *more, *snapshots]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["start"], told["steps"]) == ("painting", image_gatys.STEPS_FROM_PAINTING)
    first, painted = (cv2.imread(str(tmp_path / name)) for name in ("steps/00001.png", "out.png"))
    assert np.array_equal(first, cv2.imread(str(network))) and not np.array_equal(first, painted)


def test_snapshots_are_kept(words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "steps" / "here"
    assert main([*words, "--optimiser", "adam", "--snapshots", str(folder), "--snapshot-every", "3"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["00003.png", "00006.png"]
    assert all(cv2.imread(str(path)).shape == (120, 160, 3) for path in folder.iterdir())


def test_ctrl_c_keeps_the_best_so_far(words: list[str], network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    network.until = 7
    assert main(words) == 130
    assert "the best so far is in" in capsys.readouterr().err
    assert cv2.imread(words[2]).shape == (120, 160, 3)


def test_ctrl_c_before_the_first_step_writes_nothing(words: list[str], network: Network) -> None:
    network.until = 1
    assert main(words) == 130
    assert not Path(words[2]).exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--engine", "ort"], "--method gatys has no --engine; it is for --method network"),
        (["--model", "live"], "--method gatys has no --model"),
        (["--start", "painting", "--model", "no-such-model"], "no-such-model"),
        (["--start", "painting", "--engine", "torch"], "--method gatys has no --engine"),
        (["--strength", "1"], "--method gatys has no --strength"),
        (["--background", "moss"], "--method gatys has no --background"),
        (["--allow-cpu-fallback"], "--method gatys has no --allow-cpu-fallback"),
        (["--method", "network"], "--steps is for --method gatys; add that, or leave --steps out"),
        (["--style", "no-such-work"], "no style 'no-such-work'"),
        (["--style", "missing.jpg"], "missing.jpg does not exist"),
        (["--style", "."], ". is a folder; --method gatys needs a picture"),
        (["--mix", "red-fuji=0"], "the weight of 'red-fuji' is 0; it must be a number above 0"),
        (["--provider", "quantum"], "no torch device 'quantum'"),
        (["--threads", "0"], "threads is 0"),
        (["--style-weight", "-1"], "style-weight is -1"),
        (["--style-layers", "relu9_9"], "no layer 'relu9_9'"),
        (["--keep-colours", "2"], "keep-colours is 2"),
        (["--longest-side", "99999"], "longest-side is 99999"),
        (["--optimiser", "sgd"], "invalid choice: 'sgd'"),
        (["--steps", "0"], "'0' is no count"),
    ],
)
def test_bad_input_is_one_line(
    more: list[str], said: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, [*words, *more])


def test_no_style_is_no_guess(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--method gatys needs a --style" in refused(capsys, words[:5])


def test_a_snapshot_folder_that_is_a_file_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be made" in refused(capsys, [*words, "--snapshots", words[1]])


def test_too_little_memory_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatys_picture, "bytes_there", lambda device: 2**20)
    assert "give a smaller --longest-side" in refused(capsys, words)


@pytest.mark.parametrize("package", ["torch", "h5py"])
def test_a_package_that_is_missing_is_told_with_its_extra(
    package: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        if name == "engines.training.features":
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return import_module(name)

    monkeypatch.setattr(image_gatys, "import_module", missing)
    assert f'{package} is not installed; run: pip install "brushcast[train]"' in refused(capsys, words)


def test_the_command_itself_needs_no_torch() -> None:
    code = "import sys, realtime.commands.image; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
