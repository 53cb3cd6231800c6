"""The training program itself, on pictures, networks and time that are all small."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engines.errors import InputError
from engines.nets import style_kernel, vgg
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.vgg import Vgg16
from engines.training import checkpoints, data, warping
from engines.training.features import LossNetwork

TINY = StyleKernelConfig(
    widths=(4, 4, 8),
    style_width=8,
    encoder_blocks=0,
    decoder_blocks=1,
    style_blocks=0,
    key_width=4,
    code_width=8,
    hidden_width=8,
    grid=4,
    groups4=4,
    groups8=4,
)
WARM_UP = 96
SHEET_SHAPE = (7 * 96, 9 * 96, 3)  # six photos, eight styles, and themselves


class Clock:
    """A second passes with every step: the program looks twice."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now


class Training:
    """The program with small networks, a small data set and a clock of its own."""

    def __init__(self, program: ModuleType, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.program, self.folder, self.patch = program, folder, patch
        self.out = folder / "runs" / "live"
        self.starts: list[dict[str, Any]] = []  # the checkpoint after each start
        self.first_files: set[str] = set()

    def start(self, *options: str) -> None:
        self.patch.setattr(self.program, "time", Clock())
        told = ["live", "--data", str(self.folder), "--out", str(self.out), "--device", "cpu"]
        told += ["--batch", "2", "--crop", "64", "--warm-up", str(WARM_UP), "--sheet-minutes", "60"]
        told += ["--contrast", "0.1", "--grid", "0.1"]
        self.patch.setattr("sys.argv", ["train.py", *told, *options])
        self.program.main()
        if (self.out / "checkpoint.pt").exists():
            self.starts.append(checkpoints.load(self.out / "checkpoint.pt"))
            self.first_files = self.first_files or {p.name for p in self.out.iterdir()}

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "log.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


def write_pictures(folder: Path, n: int, seed: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(n):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"own_{i}.png"), cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "scripts" / "train.py"
    spec = spec_from_file_location("train", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def narrow() -> Iterator[pytest.MonkeyPatch]:
    """Small networks that see small styles, and one thread: what is small is slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "BLOCKS", tuple((4,) * len(widths) for widths in vgg.BLOCKS))
        patch.setitem(CONFIGS, "live", TINY)
        patch.setattr(style_kernel, "STYLE_SIDE_PX", 64)
        patch.setattr(data, "SIDE_PX", 96)
        yield patch
    torch.set_num_threads(threads)


def small_loss_network(name: str = "hed") -> LossNetwork:
    assert name == "hed"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LossNetwork(Vgg16())


def training(program: ModuleType, folder: Path, patch: pytest.MonkeyPatch) -> Training:
    patch.setattr(program, "load_loss_network", small_loss_network)
    write_pictures(folder / "content", 5, seed=0)
    write_pictures(folder / "style", 3, seed=1)
    return Training(program, folder, patch)


@pytest.fixture(scope="module")
def trained(program: ModuleType, narrow: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A run over its warm-up and a few steps with all losses, in three starts."""
    run = training(program, tmp_path_factory.mktemp("train"), narrow)
    run.start("--minutes", "0.1")
    run.start("--minutes", "1.7", "--extend")  # 102 seconds more
    run.start("--minutes", "1")  # it has had its time
    return run


@pytest.fixture
def fresh(program: ModuleType, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    return training(program, tmp_path, monkeypatch)


def test_a_run_shorter_than_a_row_of_its_log_leaves_a_checkpoint_and_a_sheet(trained: Training) -> None:
    step = trained.starts[0]["step"]
    assert 4 <= step <= 6
    assert trained.first_files == {"checkpoint.pt", f"sheet-{step:06d}.png"}


def test_extend_goes_on_from_the_step_it_had(trained: Training) -> None:
    before, after, _ = trained.starts
    assert before["step"] + 100 <= after["step"] <= before["step"] + 102
    assert after["seconds"] == pytest.approx(before["seconds"] + 102, abs=2)
    assert after["config"] == TINY
    moments = next(iter(after["optimiser"]["state"].values()))
    assert int(moments["step"]) == after["step"]
    assert after["info"]["loss_network"] == "hed"


def test_the_log_has_a_row_every_fifty_steps_and_a_plot(trained: Training) -> None:
    rows = trained.rows()
    begun = trained.starts[0]["step"]  # the first start was too short for a row
    assert [int(row["step"]) - begun for row in rows] == [50, 100]
    assert list(rows[0]) == ["step", "seconds", *trained.program.WEIGHTS]
    assert float(rows[0]["identity"]) > 0 and float(rows[0]["style"]) == 0
    told = {name: float(rows[1][name]) for name in trained.program.WEIGHTS}
    assert told.pop("adversarial") == 0
    assert all(np.isfinite(value) and value > 0 for value in told.values())
    # The network has learned to give a picture back.
    assert float(rows[1]["identity"]) < float(rows[0]["identity"])
    assert cv2.imread(str(trained.out / "log.png")) is not None


def test_the_sheet_shows_every_photo_in_every_style(trained: Training) -> None:
    sheet = cv2.imread(str(trained.out / f"sheet-{trained.starts[1]['step']:06d}.png"))
    assert sheet is not None and sheet.shape == SHEET_SHAPE


def test_without_extend_a_run_that_had_its_time_makes_no_step(trained: Training) -> None:
    _, extended, again = trained.starts
    assert again["step"] == extended["step"]
    assert all(torch.equal(again["net"][k], extended["net"][k]) for k in again["net"])


def test_the_averaged_network_paints(trained: Training) -> None:
    net = checkpoints.load_network(trained.out / "checkpoint.pt")
    picture = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        painted = net(picture, net.encode_style(picture))
    assert painted.shape == picture.shape and painted.isfinite().all()


def test_the_adversarial_option_trains(fresh: Training) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    fresh.patch.setattr(fresh.program, "keep", lambda _args, net, *_: kept.append(net.state_dict()))
    for weight in ("1", "20"):
        fresh.start("--minutes", "0.07", "--warm-up", "1", "--adversarial", weight)
    weak, strong = kept
    assert all(v.isfinite().all() for v in weak.values())
    assert any(not torch.equal(weak[k], strong[k]) for k in weak)  # the critic is heard


def test_sheets_are_written_on_the_way(fresh: Training) -> None:
    steps: list[int] = []
    fresh.patch.setattr(fresh.program, "keep", lambda _a, _n, _e, _o, step, *_: steps.append(step))
    fresh.start("--minutes", "0.2", "--sheet-minutes", "0.05")
    assert len(steps) >= 4 and steps == sorted(steps)


def test_the_same_seed_trains_the_same_network(fresh: Training) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    fresh.patch.setattr(fresh.program, "keep", lambda _args, net, *_: kept.append(net.state_dict()))
    for seed in ("3", "3", "4"):
        # What a contrast compares with are the styles that were seen so far: more in every run over the same folder.
        fresh.start("--minutes", "0.05", "--warm-up", "1", "--seed", seed, "--contrast", "0")
    first, second, other = kept
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_a_folder_without_pictures_is_refused(fresh: Training, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no pictures"):
        fresh.start("--data", str(tmp_path / "none"))


def test_two_moments_are_bound_by_their_grid(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warping, "sensor_noise", lambda image: image)
    torch.manual_seed(0)
    coarse = 0.2 + 0.6 * torch.rand(12, 3, 8, 8)  # bicubic values beyond 0..1 are cut off
    large = torch.nn.functional.interpolate(coarse, size=(96, 96), mode="bicubic").clamp(0, 1)
    now, after, grid, valid = program.two_moments(large, 64)
    assert now.shape == after.shape == (12, 3, 64, 64)
    assert grid.shape == (12, 64, 64, 2) and valid.shape == (12, 1, 64, 64)
    assert torch.equal(now, large[:, :, 16:-16, 16:-16])
    moved = warping.warp(now, grid, "bicubic")
    # Two pixels at the rim are fetched with neighbours from outside the crop.
    trusted = (valid * warping.inside(grid * 64 / 60)).expand_as(after) > 0
    assert valid.mean() > 0.8
    assert (moved - after)[trusted].abs().max() < 1e-3
    assert (now - after)[trusted].abs().max() > 0.1
