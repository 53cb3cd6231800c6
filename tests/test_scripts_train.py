"""The training program itself, on pictures, networks and time that are all small."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import train as program

from engines.errors import InputError
from engines.nets import catalogue, style_kernel, vgg
from engines.nets.adain import AdainConfig
from engines.nets.cin import CinConfig
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.ghiasi import GhiasiConfig
from engines.nets.johnson import JohnsonConfig
from engines.nets.reconet import ReconetConfig
from engines.nets.vgg import Vgg16, Vgg19
from engines.training import checkpoints, clips, data, features, objective, pretrained, targets, views, warping, wheels
from engines.training.features import LossNetwork
from engines.training.recipes import RECIPES

TINY_LINEAGE = {
    "johnson": JohnsonConfig(widths=(4, 6), blocks=1),
    "cin": CinConfig(widths=(4, 6), blocks=1),
    "adain": AdainConfig(widths=(8, 4)),
    "ghiasi": GhiasiConfig(widths=(4, 6), blocks=1, hidden=8, bottleneck=4),
    "reconet": ReconetConfig(widths=(4, 6), blocks=1),
}
WARM_UP = 96
SHEET_SHAPE = (3 * 96, 3 * 96, 3)  # two photos, two styles, and themselves: larger ones take longer than the steps


class Clock:
    """A second passes with every step: the program looks twice."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now


class Training:
    """The program with small networks, a small data set and a clock of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.out = folder / "runs" / "live"
        self.starts: list[dict[str, Any]] = []  # the checkpoint after each start
        self.first_files: set[str] = set()

    def start(self, *options: str) -> None:
        self.run("live", "--warm-up", str(WARM_UP), "--contrast", "0.1", "--grid", "0.1", *options)

    def run(self, method: str, *options: str) -> None:
        self.patch.setattr(program, "time", Clock())
        told = [method, "--data", str(self.folder), "--out", str(self.out), "--device", "cpu"]
        told += ["--batch", "2", "--crop", "64", "--sheet-minutes", "60"]
        self.patch.setattr("sys.argv", ["train.py", *told, *options])
        program.main()
        if (self.out / "checkpoint.pt").exists():
            self.starts.append(checkpoints.load(self.out / "checkpoint.pt"))
            self.first_files = self.first_files or {p.name for p in self.out.iterdir()}

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "log.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


def write_pictures(folder: Path, n: int, seed: int) -> None:
    """With detail: of styles that have none, paintings get none, and no grid can stand out of it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(n):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_CUBIC)
        grain = random.integers(0, 256, smooth.shape, dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"own_{i}.png"), cv2.addWeighted(smooth, 0.8, grain, 0.2, 0))


@pytest.fixture(scope="module")
def narrow(tiny_style_kernels: StyleKernelConfig) -> Iterator[pytest.MonkeyPatch]:
    """Small networks that see small styles, and one thread: what is small is slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "BLOCKS", tuple((4,) * len(widths) for widths in vgg.BLOCKS))
        patch.setitem(CONFIGS, "live", tiny_style_kernels)
        for name, config in TINY_LINEAGE.items():
            patch.setitem(catalogue.LINEAGE, name, config)
        patch.setattr(clips, "SIDE_PX", 96)
        patch.setattr(style_kernel, "STYLE_SIDE_PX", 64)
        patch.setattr(data, "SIDE_PX", 96)
        patch.setattr(program, "SHEET_PHOTOS", 2)
        patch.setattr(program, "SHEET_STYLES", 2)
        yield patch
    torch.set_num_threads(threads)


def small_loss_network(name: str = "hed") -> LossNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LossNetwork({"hed": Vgg16, "vgg19": Vgg19}[name]())


def training(folder: Path, patch: pytest.MonkeyPatch) -> Training:
    patch.setattr(features, "load_loss_network", small_loss_network)
    write_pictures(folder / "content", 5, seed=0)
    write_pictures(folder / "style", 3, seed=1)
    return Training(folder, patch)


@pytest.fixture(scope="module")
def trained(narrow: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A run over its warm-up and a few steps with all losses, in three starts."""
    run = training(tmp_path_factory.mktemp("train"), narrow)
    run.start("--minutes", "0.1")
    run.start("--minutes", "1.7", "--extend")  # 102 seconds more
    run.start("--minutes", "1")  # it has had its time
    return run


@pytest.fixture
def fresh(narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    return training(tmp_path, monkeypatch)


def test_a_run_shorter_than_a_row_of_its_log_leaves_a_checkpoint_and_a_sheet(trained: Training) -> None:
    step = trained.starts[0]["step"]
    assert 4 <= step <= 6
    assert trained.first_files == {"checkpoint.pt", "checkpoint.optimiser.pt", f"sheet-{step:06d}.png"}


def test_extend_goes_on_from_the_step_it_had(trained: Training, tiny_style_kernels: StyleKernelConfig) -> None:
    before, after, _ = trained.starts
    assert before["step"] + 100 <= after["step"] <= before["step"] + 102
    assert after["seconds"] == pytest.approx(before["seconds"] + 102, abs=2)
    assert after["config"] == tiny_style_kernels
    moments = next(iter(after["optimiser"]["state"].values()))
    assert int(moments["step"]) == after["step"]
    assert after["info"]["loss_network"] == "hed"


def test_the_log_has_a_row_every_fifty_steps_and_a_plot(trained: Training) -> None:
    rows = trained.rows()
    begun = trained.starts[0]["step"]  # the first start was too short for a row
    assert [int(row["step"]) - begun for row in rows] == [50, 100]
    assert list(rows[0]) == ["step", "seconds", *RECIPES["live"].weights]
    assert float(rows[0]["identity"]) > 0 and float(rows[0]["style"]) == 0
    told = {name: float(rows[1][name]) for name in RECIPES["live"].weights}
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
    fresh.patch.setattr(program, "keep", lambda _args, net, *_: kept.append(net.state_dict()))
    for weight in ("1", "20"):
        fresh.start("--minutes", "0.07", "--warm-up", "1", "--adversarial", weight)
    weak, strong = kept
    assert all(v.isfinite().all() for v in weak.values())
    assert any(not torch.equal(weak[k], strong[k]) for k in weak)  # the critic is heard


def test_parts_are_trained_alone(fresh: Training, tiny_style_kernels: StyleKernelConfig) -> None:
    fresh.patch.setitem(CONFIGS, "live", replace(tiny_style_kernels, standardised=True))
    fresh.run("live", "--warm-up", "0", "--only", "style_encoder.code", "style_encoder.hint", "--steps", "1")
    before = fresh.starts[0]["net"]
    fresh.run("live", "--warm-up", "0", "--only", "style_encoder.code", "style_encoder.hint", "--steps", "3")
    after = fresh.starts[1]["net"]
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("style_encoder.code.", "style_encoder.hint.")) for name in changed)
    assert bool((after["style_encoder.spread"] != 1).any())
    with pytest.raises(InputError, match="trained other parts"):
        fresh.run("live", "--only", "decoder", "--steps", "4")
    fresh.out = fresh.folder / "runs" / "none"
    with pytest.raises(InputError, match="--only encode_r names nothing that learns; live has vgg, decoder, "):
        fresh.run("live", "--only", "encode_r", "--steps", "1")


def test_a_run_does_not_go_on_without_its_optimiser(fresh: Training) -> None:
    fresh.run("live", "--warm-up", "0", "--steps", "1")
    (fresh.out / "checkpoint.optimiser.pt").unlink()
    with pytest.raises(InputError, match=r"checkpoint\.optimiser\.pt is missing"):
        fresh.run("live", "--warm-up", "0", "--steps", "2")


def test_the_critic_goes_on_where_it_was(fresh: Training) -> None:
    options = "--warm-up", "0", "--adversarial", "1", "--seed", "5"
    for steps in ("2", "2", "3"):  # the second start has nothing left to do
        fresh.run("live", *options, "--steps", steps)
    first, again, on = (kept["critic"] for kept in fresh.starts)
    assert [int(one["optimiser"]["state"][0]["step"]) for one in (first, again, on)] == [2, 2, 3]
    assert all(torch.equal(first["net"][name], value) for name, value in again["net"].items())
    assert any(not torch.equal(first["net"][name], value) for name, value in on["net"].items())


def test_rows_after_the_last_checkpoint_are_made_again(fresh: Training) -> None:
    fresh.run("live", "--warm-up", "200", "--steps", "2")
    log = fresh.out / "log.csv"
    lines = "1,0.5,0.3,0.2", "2,0.9,0.3,0.2,0.1", "2,1.0,0.3,0.2", "50,9.0,0.3,0.2", "52,9.9,0."
    log.write_text("\n".join(["step,seconds,identity,former", *lines]), "utf-8")
    fresh.run("live", "--warm-up", "200", "--steps", "53", "--own-palette", "1")
    rows = fresh.rows()
    assert [int(row["step"]) for row in rows] == [1, 2, 52]
    assert set(rows[0]) == {"step", "seconds", "former", *RECIPES["live"].weights}
    assert all(None not in row and None not in row.values() for row in rows)
    assert [(float(row["identity"]) > 0, float(row["former"])) for row in rows] == [(True, 0.2)] * 2 + [(True, 0)]
    assert [float(row["own_palette"]) for row in rows[:2]] == [0, 0] and not fresh.out.joinpath("log.part").exists()


@pytest.mark.parametrize(("told", "steps"), [((), 100), (("--warm-up", "300"), 300), (("--warm-up", "0"), 0)])
def test_weights_to_start_from_shorten_the_warm_up_unless_it_is_told(
    told: tuple[str, ...], steps: int, fresh: Training
) -> None:
    fresh.run("live", "--steps", "1")
    assert fresh.starts[0]["info"]["warm_up"] == RECIPES["live"].warm_up
    weights, fresh.out = fresh.out / "checkpoint.pt", fresh.out.with_name("next")
    fresh.run("live", "--start-from", str(weights), "--steps", "1", *told)
    assert fresh.starts[1]["info"]["warm_up"] == steps


def test_parts_have_rates_of_their_own(fresh: Training) -> None:
    rates = "--rates", "decoder=0.25", "decoder.up1=0", "style_encoder=2"
    fresh.run("live", "--warm-up", "0", *rates, "--steps", "1")
    before = fresh.starts[0]["net"]
    fresh.run("live", "--warm-up", "0", *rates, "--steps", "3")
    after = fresh.starts[1]
    assert torch.equal(after["net"]["decoder.up1.weight"], before["decoder.up1.weight"])
    assert not torch.equal(after["net"]["decoder.up2.weight"], before["decoder.up2.weight"])
    told = {group["factor"]: group["lr"] for group in after["optimiser"]["param_groups"]}
    assert set(told) == {0.0, 0.25, 1.0, 2.0}
    assert told[2.0] == pytest.approx(8 * told[0.25])
    with pytest.raises(InputError, match=r"begun with other --rates \(decoder=0.25 decoder.up1=0 style_encoder=2\)"):
        fresh.run("live", "--warm-up", "0", "--rates", "decoder=0.5", "--steps", "4")


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ("decoder", "that is not PART=FACTOR"),
        ("decoder=-1", "that is not PART=FACTOR"),
        ("=1", "that is not PART=FACTOR"),
        ("encode_r=1", "nothing that learns has such a name"),
    ],
)
def test_rates_that_cannot_be_are_refused(fresh: Training, told: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        fresh.run("live", "--rates", told, "--steps", "1")


@pytest.mark.slow
def test_the_losses_may_see_with_another_network_than_the_trained_one(fresh: Training) -> None:
    fresh.run("live", "--warm-up", "0", "--steps", "1")
    seen = fresh.starts[0]["net"]
    fresh.out = fresh.out.with_name("other")
    fresh.run("live", "--warm-up", "0", "--steps", "1", "--loss-network", "vgg19")
    frozen = {name for name in seen if name.startswith("vgg.")}
    assert frozen
    assert all(torch.equal(seen[name], fresh.starts[1]["net"][name]) for name in frozen)
    assert fresh.starts[1]["info"]["loss_network"] == "vgg19"
    fresh.out = fresh.out.with_name("narrow")
    fresh.run("live", "--warm-up", "0", "--steps", "1", "--loss-precision", "bf16")
    kept = {path.name.partition("-")[2] for path in (fresh.folder / "runs" / "packed").glob("targets-*")}
    # What the losses compare with is of one or the other.
    assert {"-".join(name.split("-")[:3]) for name in kept} == {
        f"hed-fp32-{targets.EDITION}", f"vgg19-fp32-{targets.EDITION}", f"hed-bf16-{targets.EDITION}"
    }  # fmt: skip


@pytest.mark.parametrize(("method", "steps"), [("adain", 6), ("live", 1)])
def test_a_short_run_may_draw_few_styles(method: str, steps: int, fresh: Training) -> None:
    fresh.patch.setattr(program, "FIRST_BATCH", 1)  # of whichever styles: random layers are scaled by it
    fresh.run(method, "--warm-up", "0", "--steps", str(steps), "--most-styles", "1")
    have = [np.load(path).sum() for path in (fresh.folder / "runs" / "packed").glob("*-style-3-*/styles/have.npy")]
    assert have == [1]
    with pytest.raises(InputError, match="--most-styles 0: give a number from 1"):
        fresh.run("adain", "--steps", "7", "--most-styles", "0")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "changed"), [("live", True), ("cin", False)])
def test_what_is_drawn_anew_is_not_kept(method: str, changed: bool, fresh: Training) -> None:
    drawn: list[torch.Tensor] = []
    of_styles = views.of_styles
    fresh.patch.setattr(views, "of_styles", lambda images: drawn.append(images) or of_styles(images))
    options = () if method == "live" else ("--style-pictures", str(fresh.folder / "style"))
    fresh.run(method, "--warm-up", "1", "--steps", "50", "--fresh", "--contrast", "1", *options)
    (kept,) = fresh.starts
    assert kept["step"] == 50 and kept["info"]["fresh"] is True
    told = {name: float(value) for name, value in fresh.rows()[0].items()}
    assert all(told[name] > 0 for name in ("content", "style", "gram", "contrast"))
    assert {path.suffix for path in (fresh.folder / "runs" / "packed").iterdir() if path.is_dir()} == set()
    assert len(drawn) == (50 if changed else 0)  # a style that is known by name keeps its colours


def test_a_crop_that_pictures_have_no_room_for_is_refused(fresh: Training) -> None:
    with pytest.raises(InputError, match="--crop 65: pictures are 96 px, 32 of them for motion; give at most 64"):
        fresh.run("live", "--steps", "1", "--fresh", "--crop", "65")


def test_a_crop_that_no_grid_can_be_measured_in_is_refused_before_anything_is_written(fresh: Training) -> None:
    with pytest.raises(InputError, match="--crop 40: --grid measures crops of a multiple of 16 px; give 32 or 48"):
        fresh.run("live", "--steps", "1", "--crop", "40", "--grid", "0.1")
    assert not fresh.out.exists()
    fresh.run("live", "--warm-up", "0", "--steps", "1", "--crop", "40", "--grid", "0")  # nothing is measured


def test_sheets_are_written_on_the_way(fresh: Training) -> None:
    steps: list[int] = []
    fresh.patch.setattr(program, "keep", lambda _a, _n, _e, _o, step, *_: steps.append(step))
    fresh.start("--minutes", "0.2", "--sheet-minutes", "0.05")
    assert len(steps) >= 4 and steps == sorted(steps)


def test_the_same_seed_trains_the_same_network(fresh: Training) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    fresh.patch.setattr(program, "keep", lambda _args, net, *_: kept.append(net.state_dict()))
    for seed in ("3", "3", "4"):
        # What a contrast compares with are the styles that were seen so far: more in every run over the same folder.
        fresh.start("--minutes", "0.05", "--warm-up", "1", "--seed", seed, "--contrast", "0")
    first, second, other = kept
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_a_folder_without_pictures_is_refused(fresh: Training, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no pictures"):
        fresh.start("--data", str(tmp_path / "none"))


def test_two_moments_are_bound_by_their_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warping, "sensor_noise", lambda image: image)
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


def write_clip(folder: Path) -> None:
    folder.mkdir()
    wide = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 30, 3), dtype=np.uint8), (240, 96))
    writer = cv2.VideoWriter(str(folder / "own.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (96, 96))
    for i in range(4):
        writer.write(np.ascontiguousarray(wide[:, 2 * i : 2 * i + 96]))
    writer.release()


@pytest.fixture
def lineage(fresh: Training) -> Training:
    """A run of any method; what is published for the style prediction network is not fetched."""
    fresh.patch.setattr(wheels.WheelMember, "path", lambda _member: Path("none"))
    fresh.patch.setattr(pretrained, "load_lite0", lambda _net, _path: None)
    write_clip(fresh.folder / "clips")
    return fresh


@pytest.mark.parametrize("method", [name for name in RECIPES if name not in CONFIGS])
def test_every_method_trains_in_the_same_loop(method: str, lineage: Training) -> None:
    recipe = RECIPES[method]
    options = ["--style-pictures", str(lineage.folder / "style" / "own_1.png")] if recipe.styles == "one" else []
    options += ["--style-pictures", str(lineage.folder / "style")] if recipe.styles == "many" else []
    options += ["--clips", str(lineage.folder / "clips")] if "output_temporal" in recipe.weights else []
    rows: list[dict[str, float]] = []
    lineage.patch.setattr(program, "write_row", lambda _path, row: rows.append(row))
    lineage.run(method, "--minutes", "0.88", "--warm-up", "2", *options)
    (kept,) = lineage.starts
    assert 50 <= kept["step"] <= 54 and kept["kind"] == recipe.network
    told = {name: value for name, value in rows[0].items() if name not in {"step", "seconds"}}
    assert set(told) == set(recipe.weights) | {"identity"}
    assert all(np.isfinite(value) and value > 0 for value in told.values())
    assert len(kept["info"]["style_names"]) == {"any": 0, "one": 1, "many": 3}[recipe.styles]
    columns = {"any": 2, "one": 1, "many": 2}[recipe.styles]
    sheet = cv2.imread(str(lineage.out / f"sheet-{kept['step']:06d}.png"))
    assert sheet is not None and sheet.shape == (3 * 96, (1 + columns) * 96, 3)

    # The checkpoint rebuilds its own network, whatever the method.
    net = checkpoints.load_network(lineage.out / "checkpoint.pt")
    frame = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        painted = net(frame, net.encode_seen(net.see_style(frame) | {"index": torch.tensor([0])}))
    assert painted.shape == frame.shape and painted.isfinite().all()


def test_a_run_does_not_go_on_with_another_style(lineage: Training) -> None:
    style = lineage.folder / "style"
    lineage.run("johnson", "--minutes", "0.05", "--style-pictures", str(style / "own_0.png"))
    lineage.run("johnson", "--minutes", "0.08", "--style-pictures", str(style / "own_0.png"))
    assert lineage.starts[1]["step"] > lineage.starts[0]["step"]
    with pytest.raises(InputError, match="of other styles; give another --out"):
        lineage.run("johnson", "--minutes", "0.1", "--style-pictures", str(style / "own_1.png"))
    with pytest.raises(InputError, match="of another network"):
        lineage.run("adain", "--minutes", "0.1")


@pytest.mark.slow
def test_a_teachers_finished_painting_is_copied_in_the_warm_up(fresh: Training) -> None:
    fresh.run("live", "--warm-up", "4", "--steps", "3", "--rate", "0.02")
    weights, faded = fresh.out / "checkpoint.pt", fresh.folder / "faded.pt"
    content = torch.load(weights, weights_only=True)
    for part in ("ema", "away"):
        content[part]["decoder.up1.weight"] *= 0.2  # the finish brings this contrast back, unseen
    torch.save(content, faded)
    asked: list[str] = []
    fresh.patch.setattr(program.Bundle, "load", asked.append)
    fresh.patch.setattr(program, "load_network", lambda _: checkpoints.load_network(weights))
    picture = torch.from_numpy(cv2.imread(str(fresh.folder / "style" / "own_0.png"))).permute(2, 0, 1)[None] / 255

    def away_and_contrast(checkpoint: Path) -> tuple[float, float]:
        teacher, net = checkpoints.load_network(weights), checkpoints.load_network(checkpoint)
        with torch.no_grad():
            wanted = teacher(picture, teacher.encode_style(picture))
            own = net.unfinished(picture, net.encode_style(picture))
        return float((own - wanted).abs().mean()), float(own.std())

    first_away, first_contrast = away_and_contrast(faded)
    fresh.out = fresh.folder / "runs" / "pupil"
    told = ("--start-from", str(faded), "--teacher", "master")
    fresh.run("live", *told, "--warm-up", "60", "--steps", "60", "--rate", "0.02", "--grid", "0")
    away, contrast = away_and_contrast(fresh.out / "checkpoint.pt")
    assert asked == ["master"]
    assert away < 0.9 * first_away and contrast > 2 * first_contrast


@pytest.mark.parametrize(
    ("rate", "options"), [("0.001", ("--identity", "0")), ("1e30", ())], ids=["nothing to learn", "no numbers"]
)
def test_a_network_that_has_died_ends_the_training(rate: str, options: tuple[str, ...], fresh: Training) -> None:
    told = re.escape(f"--rate below {float(rate):g} or another --seed")
    with pytest.raises(InputError, match=rf"no gradient in 50 steps .* {told}"):
        fresh.run("live", "--warm-up", "300", "--steps", "300", "--rate", rate, *options)


def test_each_step_is_of_bounded_size_at_its_own_rate_and_drawn_anew(fresh: Training) -> None:
    steps: list[tuple[float, float]] = []  # the gradient's norm and the rate
    drawn: set[int] = set()  # the seed by which batches are drawn
    told = iter(range(100))
    warm_up, draw = objective.warm_up, data.PictureSet.draw

    class Seen(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            gradients = [p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None]
            steps.append((torch.stack(gradients).norm().item(), self.param_groups[0]["lr"]))
            return super().step(closure)

    def steep(*of: Any) -> objective.Terms:
        factor = float("nan") if next(told) == 7 else 1e6
        return {name: factor * value for name, value in warm_up(*of).items()}

    def draws(pictures: data.PictureSet, n: int) -> torch.Tensor:
        drawn.add(torch.initial_seed())
        return draw(pictures, n)

    fresh.patch.setattr(torch.optim, "Adam", Seen)
    fresh.patch.setattr(objective, "warm_up", steep)
    fresh.patch.setattr(data.PictureSet, "draw", draws)
    for last in ("20", "40"):
        fresh.run("live", "--warm-up", "100", "--steps", last, "--rate", "0.01", "--seed", "5")
    norms, rates = zip(*steps, strict=True)
    assert len(steps) == 39  # a batch of no numbers is left out
    assert all(norm == pytest.approx(5, rel=1e-3) for norm in norms)
    assert all(bool(value.isfinite().all()) for value in fresh.starts[1]["net"].values())
    assert rates[0] == pytest.approx(0.01 / 50)  # it begins slowly, and ends so
    assert max(rates) > 5 * rates[0] and rates[-1] < 0.025 * 0.01
    assert drawn == {5, 5 + 20}  # going on, it does not see the same again


@pytest.mark.slow  # without AVX-512 BF16 it is done in software
def test_narrow_arithmetic_trains_nearly_the_same(fresh: Training) -> None:
    rows = []
    for precision in ("fp32", "bf16"):
        fresh.out = fresh.folder / "runs" / precision
        fresh.start("--warm-up", "2", "--steps", "50", "--precision", precision)
        rows.append({name: float(value) for name, value in fresh.rows()[0].items()})
    full, narrow = rows
    assert full.keys() == narrow.keys() and full["content"] != narrow["content"]
    assert narrow["content"] == pytest.approx(full["content"], rel=0.1)
    assert narrow["palette"] == pytest.approx(full["palette"], rel=0.2)


def test_a_part_is_left_out_for_so_many_steps(fresh: Training) -> None:
    fresh.run("live", "--warm-up", "1", "--without", "gs", "--steps", "3")
    (kept,) = fresh.starts
    assert kept["step"] == 3 and kept["info"]["without"] == "gs"
    fresh.run("live", "--warm-up", "1", "--without", "gs", "--steps", "3")
    assert fresh.starts[1]["step"] == 3  # it has had its steps
    with pytest.raises(InputError, match="of another network"):
        fresh.run("live", "--warm-up", "1", "--steps", "5")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("johnson",), "learns one style, not 0"),
        (("live", "--feature-temporal", "1"), "not for live"),
        (("adain", "--adversarial", "1"), "not for adain"),
        (("adain", "--own-palette", "1"), "has no finish"),
        (("adain", "--coarse", "1"), "moves no colours"),
        (("adain", "--style-pictures", "cafe-terrace"), "learns from DATA/style"),
        (("live", "--clips", "none"), "has no clips"),
        (("adain", "--without", "sae"), "only style-kernel networks"),
    ],
)
def test_what_a_method_does_not_have_is_told(options: tuple[str, ...], said: str, lineage: Training) -> None:
    with pytest.raises(InputError, match=said):
        lineage.run(*options)
    assert not lineage.starts


def test_a_loss_of_another_method_can_be_asked_for(lineage: Training) -> None:
    lineage.run("ghiasi", "--minutes", "0.05", "--warm-up", "1", "--temporal", "50", "--palette", "2")
    (kept,) = lineage.starts
    assert kept["info"]["temporal"] == 50 and kept["info"]["palette"] == 2
    assert kept["info"]["content"] == RECIPES["ghiasi"].weights["content"]
