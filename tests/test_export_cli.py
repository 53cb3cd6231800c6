from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from engines.api import Look
from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.nets import vgg
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import build
from engines.nets.vgg import Vgg16
from engines.registry import open_engine
from engines.training import features, tune
from engines.training.features import LossNetwork
from export import tuned
from export.cli import COMMANDS, main
from export.frames import moving, pictures

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


@pytest.fixture(scope="module")
def small(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "small"
    assert main(["onnx", str(checkpoint), "-o", str(out)]) == 0
    return Bundle.load(out)


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
    assert main(["onnx", str(checkpoint), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "parity with PyTorch" in told and "NaN/Inf" in told
    assert "ms a frame of 640x360 here (median; CPUExecutionProvider" in told
    assert "weights.safetensors" in told
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    bundle = Bundle.load(out)
    assert bundle.manifest["training"] == {"step": 7, "seconds": 1.5}
    assert bundle.manifest["parity"]

    baked = tmp_path / "baked"
    assert main(["onnx", str(out), "-o", str(baked), "--style", str(picture)]) == 0
    again = tmp_path / "again"
    assert main(["onnx", str(out), "-o", str(again)]) == 0
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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("size", [None, "192x128"])
def test_narrow_bundles_keep_the_id_and_paint_near(
    small: Bundle, tmp_path: Path, precision: str, size: str | None, picture: Path
) -> None:
    out = tmp_path / "narrow"
    more = [] if size is None else ["--size", size]
    assert main(["onnx", str(small.folder), "-o", str(out), "--precision", precision, *more]) == 0
    narrow = Bundle.load(out)
    assert (narrow.id, narrow.precision, str(narrow.sizes)) == (small.id, precision, str(size))
    props = {entry.key: entry.value for entry in onnx.load_model(narrow.frame_graph).metadata_props}
    assert props["brushcast.id"] == small.id and props["brushcast.precision"] == precision
    style = resolve_style(str(picture), small)
    # What a network that has learned nothing paints is nearly flat: tones and detail of a picture of noise would make
    # many steps of every single one. So what is painted is compared before them.
    painted = {name: value for name, value in style.tensors.items() if name not in ("tones", "bands", "spectrum")}
    look = Look(replace(style, tensors=painted))
    frame = moving(pictures()[0], 128, 192, 0)
    with open_engine("ort", small) as full, open_engine("ort", narrow) as ours:
        off = np.abs(full.stylise(frame, look).astype(int) - ours.stylise(frame, look))
        assert off.mean() < 0.25 and off.max() <= 2


@pytest.mark.slow
def test_openvino_is_compared_and_written_beside(
    small: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    assert main(["openvino", str(small.folder), "-o", str(tmp_path / "ov")]) == 0
    told = capsys.readouterr().out
    assert "OpenVINO against ONNX Runtime" in told and "ratio" in told
    files = Bundle.load(tmp_path / "ov").manifest["files"]
    assert {f"openvino/{name}.{kind}" for name in ("guide", "frame", "regions") for kind in ("xml", "bin")} <= set(
        files
    )


def test_the_overview_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["live", "-o", "x"], "the format comes first: brushcast-export onnx live -o x"),
        (["onx", "live"], "did you mean onnx?"),
        (["coreml", "live", "-o", "x"], "the format coreml is missing: "),
        (["tflite", "live", "-o", "x"], "the format tflite is missing: "),
        (["onnx", "live"], "the following arguments are required: -o/--out"),
        (["onnx", "live", "-o", "x", "--size", "12"], "size is '12'"),
        (["onnx", "live", "-o", "x", "--precision", "fp8"], "invalid choice: 'fp8'"),
        (["onnx", "live", "-o", "x", "--calibration", "."], "--calibration is for --precision int8"),
        (["onnx", "live", "-o", "x", "--precision", "int8", "--calibration", "no/where"], "no/where is no folder"),
        (["onnx", "lively", "-o", "x"], "lively does not exist"),
        (
            ["onnx", "live", "-o", "x", "--style", "red-fuji", "--card", "CARD.md", "--pictures", "a.png"],
            "--style takes no --card, --pictures; leave that out",
        ),
        (["onnx", "cin", "-o", "x", "--pictures", "a.png"], "a bundle, which has its styles, takes no --pictures"),
    ],
)
def test_one_line_for_every_mistake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_no_wheel_has_is_told_as_such(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in ("engines.bundle", "export.first"):
        monkeypatch.setattr(f"{module}.RELEASED", tmp_path)
    assert main(["onnx", "studio", "-o", "x"]) == 2
    assert "the model studio is too large for an installed package" in capsys.readouterr().err


def test_sources_that_cannot_be_exported(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Path(shutil.copy(tiny_bundle.frame_graph, tmp_path / "frame.onnx"))
    assert main(["onnx", str(graph), "-o", str(tmp_path / "out")]) == 2
    assert "is one graph of a bundle; give the bundle's folder" in capsys.readouterr().err
    altered = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "altered"))
    with (altered / "frame.onnx").open("ab") as file:
        file.write(b"more")
    assert main(["onnx", str(altered), "-o", str(tmp_path / "out")]) == 2
    assert "does not match its SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
    assert main(["onnx", str(path), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_network_that_takes_any_picture_has_none_to_learn_names_from(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["onnx", str(checkpoint), "-o", str(tmp_path / "out"), "--pictures", "a.png"]) == 2
    assert "a network that any picture tells a style takes no --pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_", COMMANDS)
def test_the_help_tells_what_is_done_where_nothing_is_told(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([format_, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    command = import_module(COMMANDS[format_])
    assert f"of the arithmetic (default: {command.PRECISION})" in told and f"(default: {command.SIZES})" in told


def test_weights_that_are_not_finite(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = torch.load(checkpoint, weights_only=True)
    told["ema"]["sae.query.weight"][0] = float("nan")
    torch.save(told, tmp_path / "bad.pt")
    assert main(["onnx", str(tmp_path / "bad.pt"), "-o", str(tmp_path / "out")]) == 2
    assert "sae.query.weight is not finite" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_left_alone(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    assert main(["onnx", str(checkpoint), "-o", str(tmp_path)]) == 2
    assert "exists and is no bundle" in capsys.readouterr().err
    assert (tmp_path / "diary.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_made(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main(["onnx", str(checkpoint), "-o", str(tmp_path / "file" / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_checkpoint_has_no_named_styles(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["onnx", str(checkpoint), "-o", str(tmp_path / "out"), "--style", "moss"]) == 2
    assert "a checkpoint has no named styles" in capsys.readouterr().err


@pytest.fixture
def quick_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as small, torch.random.fork_rng():
        torch.manual_seed(0)
        small.setattr(vgg, "BLOCKS", tuple((4,) * len(widths) for widths in vgg.BLOCKS))
        network = LossNetwork(Vgg16())
        for weight in network.parameters():
            weight.abs_()  # of so few channels all could be dead
    monkeypatch.setattr(features, "load_loss_network", lambda name: deepcopy(network))
    monkeypatch.setattr(tuned, "TOLD_EVERY", 2)
    monkeypatch.setattr(tune, "WAY", replace(tune.WAY, crop_px=96))


@pytest.mark.usefixtures("quick_tuning")
def test_a_network_is_tuned_to_the_style_that_is_baked(
    small: Bundle, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(picture, photos)
    own = picture.rename(tmp_path / "red-fuji.png")  # a work has that name, too
    before = {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()}
    out = tmp_path / "mine"
    told = ["--style", str(own), "--tune", "2", "--photos", str(photos), "-o", str(out)]
    assert main(["onnx", str(small.folder), *told]) == 0
    assert "tuned 2 of 2 steps: style" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in small.folder.rglob("*") if path.is_file()} == before
    mine = Bundle.load(out)
    assert (mine.form, mine.name, mine.styles, mine.style("red-fuji").painter) == ("baked", "mine", ("red-fuji",), "")
    assert mine.manifest["training"]["tuned_from"] == small.id and mine.manifest["training"]["tuned_steps"] == 2
    assert mine.manifest["network"]["config"]["texture"] == tune.TEXTURE and not mine.halos
    frame = moving(pictures()[0], 96, 128, 0)
    with open_engine("ort", mine, threads=1) as engine:
        tuned_painting = engine.stylise(frame, Look(mine.style("red-fuji")))
    with open_engine("ort", small, threads=1) as engine:
        painting = engine.stylise(frame, Look(resolve_style(str(own), small)))
    assert (tuned_painting != painting).any()


def test_a_work_is_told_from_a_picture(picture: Path) -> None:
    name, image, work = tuned.picture_of("red-fuji")
    assert name == "red-fuji" and work is not None and work.painter == "Katsushika Hokusai"
    assert image.ndim == 3 and tuned.picture_of(str(picture))[::2] == ("waves", None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tune",), "--tune is for one style; give it with --style"),
        (("--photos", "x"), "what is not tuned (--tune) takes no --photos; leave that out"),
        (("--tune", "0", "--style", "red-fuji"), "'0' is no number of steps; give a whole number from 1"),
        (("--tune", "5", "--style", "red-fiji"), "did you mean red-fuji?"),
        (("--tune", "5", "--style", "nowhere/waves.png"), "nowhere/waves.png is no file; give a picture, or the name"),
        (("--tune", "5", "--style", "red-fuji", "--device", "abacus"), "--device abacus: "),
        (("--tune", "5", "--style", "red-fuji", "--photos", "nowhere"), "nowhere is no folder; give one with pictures"),
    ],
)
@pytest.mark.usefixtures("quick_tuning")
def test_what_cannot_be_tuned(
    options: tuple[str, ...], said: str, small: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["onnx", str(small.folder), "-o", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.usefixtures("quick_tuning")
def test_tuning_needs_the_picture_and_style_kernels(
    small: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style = tmp_path / "a.safetensors"
    style.write_bytes(b"")
    assert main(["onnx", str(small.folder), "-o", str(tmp_path / "out"), "--tune", "1", "--style", str(style)]) == 2
    assert "tuning needs the picture itself" in capsys.readouterr().err
    told = ["--tune", "1", "--style", "red-fuji", "-o", str(tmp_path / "out")]
    assert main(["onnx", "johnson-cafe-terrace", *told]) == 2
    assert "--tune is for networks of style kernels" in capsys.readouterr().err


def test_a_folder_that_cannot_be_replaced_is_told_before_any_tuning(
    small: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    for out in (tmp_path, tmp_path / "diary.txt" / "out"):
        assert main(["onnx", str(small.folder), "-o", str(out), "--tune", "1", "--style", "red-fuji"]) == 2
        told = capsys.readouterr()
        assert ("exists and is no bundle" in told.err or "cannot be written" in told.err) and "tuning" not in told.out


def test_a_checkpoint_of_another_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"config": SMALL.as_dict(), "ema": {"old.weight": torch.zeros(2)}}, tmp_path / "old.pt")
    assert main(["onnx", str(tmp_path / "old.pt"), "-o", str(tmp_path / "out")]) == 2
    assert "does not fit this version's network" in capsys.readouterr().err
