"""The command: exit codes, one-line errors for every bad input, JSON, and a quick start without torch."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import tomllib
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from engines.bundle import Bundle, seal
from engines.errors import SourceError
from engines.pictures import load_picture
from engines.styles import save_style
from realtime.cameras import CameraSource
from realtime.cli import COMMANDS, main
from realtime.commands import demo, doctor, live, painting
from realtime.display import ADVICE
from realtime.files import FileSource
from realtime.frames import Frame, Painted, VideoInfo
from realtime.recording import Recording
from realtime.synthetic import SyntheticSource

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests behave alike on machines with and without cameras and displays."""
    monkeypatch.setattr("realtime.cameras.list_cameras", lambda: [])
    monkeypatch.setattr(doctor, "list_cameras", lambda: [])
    for module in ("realtime.window", "realtime.commands.demo", "realtime.commands.doctor"):
        monkeypatch.setattr(f"{module}.why_no_display", lambda: "there is no display; use --to FILE.mp4")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4")


def write_video(path: Path, frames: int = 6, size: tuple[int, int] = (64, 64)) -> Path:
    with Recording(path, VideoInfo("test", *size, Fraction(30), Fraction(1, 30))) as recording:
        source = SyntheticSource(size, frames=frames)
        while (frame := source.read()) is not None:
            recording.write(Painted(frame, frame.image, 0, 0))
    return path


def png(width: int, height: int, *, real: bool = True) -> bytes:
    """A PNG; without `real` only its header claims the size."""
    if real:
        return bytes(cv2.imencode(".png", np.full((height, width, 3), 99, np.uint8))[1])

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def paint(bundle: Bundle, *words: str | Path) -> int:
    """Run a painting command with the tiny bundle."""
    return main([*map(str, words), "--model", str(bundle.folder)])


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The error line; asserts that there is exactly one, and the exit code 2."""
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("brushcast: ")]
    assert len(errors) == 1, lines
    assert lines[-1] == errors[0]
    assert not any("Traceback" in line for line in lines)
    return errors[0]


# What the commands do.


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("brushcast ")
    assert all(name in told for name in COMMANDS)


def test_an_image_is_painted(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.png").write_bytes(png(97, 65))
    assert paint(tiny_bundle, "image", tmp_path / "in.png", tmp_path / "out.png", "--style", "moss", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width_px"], told["height_px"]) == (97, 65)
    red, green, _ = cv2.imread(str(tmp_path / "out.png"))[30, 40][::-1].astype(int)
    assert green > red  # moss is green


def test_a_clear_image_stays_clear(tiny_bundle: Bundle, tmp_path: Path) -> None:
    clear = np.full((64, 80, 4), (255, 0, 255, 0), np.uint8)
    clear[20:, :] = (90, 90, 90, 255)
    cv2.imwrite(str(tmp_path / "in.png"), clear)
    assert paint(tiny_bundle, "image", tmp_path / "in.png", tmp_path / "out.png") == 0
    painted = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(painted[:, :, 3], clear[:, :, 3])
    assert paint(tiny_bundle, "image", tmp_path / "in.png", tmp_path / "out.jpg") == 0
    assert cv2.imread(str(tmp_path / "out.jpg"), cv2.IMREAD_UNCHANGED).shape == (64, 80, 3)


@pytest.mark.parametrize(("option", "value"), [("--smoothing", "0.9"), ("--kernel-interval", "2")])
def test_a_single_picture_has_nothing_that_follows(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    code = paint(tiny_bundle, "image", tmp_path / "in.png", tmp_path / "out.png", option, value)
    assert f"{option} is for pictures that follow each other" in refused(capsys, code)


@pytest.mark.parametrize(("command", "offered"), [("image", False), ("video", True)])
def test_help_offers_what_is_not_refused(command: str, offered: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = capsys.readouterr().out
    assert "--stroke" in told
    assert [option in told for option in ("--smoothing", "--kernel-interval")] == [offered, offered]


@pytest.mark.parametrize("command", [("image",), ("compare", "-o")])
def test_a_photo_too_small_is_told_the_size_that_it_needs(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (tmp_path / "in.png").write_bytes(png(64, 63))
    name, *more = command
    words = [name, str(tmp_path / "in.png"), *more, str(tmp_path / "out.png")]
    model = ["--model" if name == "image" else "--models", str(tiny_bundle.folder)]
    assert "64x63; each side must be 64 to 16384 pixels" in refused(capsys, main([*words, *model]))


def test_a_picture_is_a_style(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.png").write_bytes(png(64, 64))
    (tmp_path / "blue.png").write_bytes(bytes(cv2.imencode(".png", np.full((64, 64, 3), (250, 0, 0), np.uint8))[1]))
    words = ("image", tmp_path / "in.png", tmp_path / "out.png", "--style", tmp_path / "blue.png")
    assert paint(tiny_bundle, *words) == 0
    assert "encoded blue.png as a style in" in capsys.readouterr().err
    assert paint(tiny_bundle, *words) == 0
    assert "encoded" not in capsys.readouterr().err  # kept
    blue, _, red = cv2.imread(str(tmp_path / "out.png"))[30, 40].astype(int)
    assert blue > red


def test_a_video_is_painted_frame_by_frame(
    tiny_bundle: Bundle, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(tiny_bundle, "video", video, tmp_path / "out.mp4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 6
    assert told["dropped"] == 0
    assert {"read", "paint", "write", "total"} <= set(told["stages"])
    before, after = FileSource(str(video)), FileSource(str(tmp_path / "out.mp4"))
    assert [frame.time for frame in iter(before.read, None)] == [frame.time for frame in iter(after.read, None)]
    before.close()
    after.close()


@pytest.mark.skipif(
    not hasattr(av.video.stream.VideoStream, "set_display_rotation"), reason="this PyAV cannot write a display matrix"
)
def test_a_turned_video_looks_upright_in_the_painted_file(tiny_bundle: Bundle, tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48] = 255
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(-90)
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    words = ("video", tmp_path / "in.mp4", tmp_path / "out.mp4", "--engine", "identity")
    assert paint(tiny_bundle, *words) == 0
    source = FileSource(str(tmp_path / "out.mp4"))
    painted = source.read()
    source.close()
    assert painted is not None
    assert painted.image.shape == (96, 64, 3)
    np.testing.assert_allclose(painted.image[::95, 32, 0].astype(int), (255, 0), atol=8)


@pytest.mark.parametrize("pace", [[], ["--no-pace"]])
def test_live_plays_a_file(
    tiny_bundle: Bundle, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], pace: list[str]
) -> None:
    words = ("live", "--input", video, "--to", tmp_path / "out.mp4", "--json", *pace)
    assert paint(tiny_bundle, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (tmp_path / "out.mp4").is_file()
    assert told["frames"] == 6 if pace else 1 <= told["frames"] <= 6


def test_live_paints_the_synthetic_scene(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("live", "--input", "synthetic", "--to", "null", "--size", "64x64", "--seconds", "0.3")
    assert paint(tiny_bundle, *words) == 0
    assert "painted the synthetic scene" in capsys.readouterr().out
    assert paint(tiny_bundle, *words, "--no-pace", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 9


def test_a_rate_that_cannot_be_held_is_told_and_the_result_is_told_alone(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("live", "--input", "synthetic", "--to", "null", "--size", "640x360", "--hold-fps", "1000", "--no-pace")
    assert paint(tiny_bundle, *words, "--seconds", "1", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["frames"] > 8
    assert "holding 1000 frames/s: a frame took" in told.err


def test_a_model_for_one_size_cannot_hold_a_rate(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "one-size"))
    sizes = {name: [640, 360] for name in ("least", "usual", "most")}
    one_size = seal(folder, {**tiny_bundle.manifest, "sizes": sizes})
    words = ("live", "--input", "synthetic", "--to", "null", "--size", "640x360", "--seconds", "0.2")
    assert paint(one_size, *words) == 0
    assert paint(one_size, *words, "--hold-fps", "30") == 2
    assert "is for 640x360 alone, and --hold-fps changes strokes and sizes" in capsys.readouterr().err
    assert paint(one_size, *words, "--stroke", "2") == 2


def test_styles_are_listed(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(tiny_bundle, "styles") == 0
    assert "ember" in capsys.readouterr().out
    assert paint(tiny_bundle, "styles", "--json", "--sheet", tmp_path / "sheet.png") == 0
    told = json.loads(capsys.readouterr().out)
    assert [style["name"] for style in told] == ["ember", "moss"]
    assert {"name", "title", "painter", "year", "source"} <= set(told[0])
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] > 256


def test_the_demo_needs_nothing(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(tiny_bundle, "demo", "--size", "64x64", "--seconds", "4", "--folder", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [demo.FILM, demo.SHEET]
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("demo: ")
    assert "frames/s" in last
    source = FileSource(str(tmp_path / demo.FILM))
    images = [frame.image for frame in iter(source.read, None)]
    source.close()
    assert len(images) == 96
    # It goes from one style to the next: ember is red, moss is green.
    assert images[10][..., 0].mean() > images[10][..., 1].mean()
    assert images[60][..., 1].mean() > images[60][..., 0].mean()


def test_the_demo_gives_no_advice_that_it_cannot_take(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "why_no_display", lambda: f"there is no display; {ADVICE}")
    assert paint(tiny_bundle, "demo", "--size", "64x64", "--seconds", "0.1", "--folder", tmp_path) == 0
    told = capsys.readouterr().err
    assert "no window: there is no display; a film and a sheet of styles are written" in told
    assert "--to" not in told


def test_doctor_reads_back_what_runs(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(tiny_bundle, "doctor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    topics = {finding["topic"]: finding for finding in told["findings"]}
    assert "CPUExecutionProvider" in topics["painting with ort"]["text"]
    assert topics["engine ort"]["text"] == topics["provider cpu"]["text"] == "runs"
    assert "numpy" in told["packages"]
    assert paint(tiny_bundle, "doctor", "--provider", "nonsense") == 1
    assert "!!  painting with ort: " in capsys.readouterr().out


def test_a_model_for_one_size_is_tried_and_shown_in_that(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, size = tmp_path / "small", [96, 64]
    shutil.copytree(tiny_bundle.folder, folder)
    small = seal(folder, {**tiny_bundle.manifest, "sizes": {"least": size, "usual": size, "most": size}})
    assert paint(small, "doctor") == 0
    assert "96x64 in" in capsys.readouterr().out
    assert paint(small, "styles", "--sheet", str(tmp_path / "sheet.png")) == 0
    assert load_picture(tmp_path / "sheet.png").shape[1] > 96
    assert paint(small, "bench", "--frames", "1", "--rounds", "1", "--warm-up", "1", "--json", "-") == 0
    assert '"size": "96x64"' in capsys.readouterr().out


def test_letters_that_the_terminal_has_not(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, written = tmp_path / "\u6d77", io.BytesIO()
    shutil.copytree(tiny_bundle.folder, folder)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["models", str(folder)]) == 0
    assert b"\\u6d77" in written.getvalue()


def test_doctor_finds_two_runtimes_and_none(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "installed", lambda names: {"onnxruntime": "1.31", "onnxruntime-gpu": "1.31"})
    assert paint(tiny_bundle, "doctor") == 1
    told = capsys.readouterr().out
    assert "are both installed" in told
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu" in told
    assert 'pip install "brushcast[export]"' in told
    monkeypatch.setattr(doctor, "installed", lambda names: {})
    assert paint(tiny_bundle, "doctor") == 1
    assert 'pip install "brushcast[cpu]"' in capsys.readouterr().out


def test_doctor_tells_of_every_extra_that_brings_something_to_use(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"cpu", "gpu", "tensorrt", "dev"}  # told by other findings, or for us
    monkeypatch.setattr(doctor, "installed", lambda names: {"onnxruntime-gpu": "1.31"})
    paint(tiny_bundle, "doctor")
    assert "--  extra text: fastembed missing\n    pip install fastembed-gpu\n" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "installed", lambda names: {"onnxruntime-gpu": "1.31", "fastembed-gpu": "0.9"})
    paint(tiny_bundle, "doctor")
    assert "ok  extra text: installed" in capsys.readouterr().out


# What is refused, each with one line and exit code 2.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--strength", "7"], "strength is 7; it must be a number from 0 to 1"),
        (["--engine", "identity", "--allow-cpu-fallback"], "the identity engine has no fall-back to the CPU"),
        (["--strength", "nan"], "strength is nan"),
        (["--smoothing", "-1"], "smoothing is -1"),
        (["--stroke", "3"], "stroke is 3; it must be a number from 0.5 to 2"),
        (["--render-scale", "0.1"], "render-scale is 0.1; it must be a number from 0.25 to 16"),
        (["--hold-fps", "0"], "'0' is no rate; it must be a number from 1 to 1000 frames per second"),
        (["--style", "mos"], "did you mean moss"),
        (["--engine", "orth"], "did you mean ort"),
        (["--web-token", "evening-show"], "--web-token is for the page; add --to web"),
        (["--web-token", "short", "--to", "web"], "'short' is no token; it must be 8 to 128 letters and digits"),
        (["--provider", "cuba"], "cuba"),
        (["--model", "lives"], "lives"),
        (["--threads", "0"], "threads is 0"),
        (["--engine", "identity", "--provider", "cuda"], "the identity engine computes nothing"),
        (["--encoder", "libx264"], "--encoder is for streams"),
        (["--encoder", "nonsense", "--to", "udp://127.0.0.1:9"], "no encoder 'nonsense'"),
        (["--bitrate", "-5"], "--bitrate is for streams"),
        (["--bitrate", "-5", "--to", "udp://127.0.0.1:9"], "it must be above 0"),
        (["--microphone"], "--microphone is for streams"),
        (["--web-host", "127.0.0.1"], "--web-host is for the page; add --to web"),
        (["--web-port", "8080"], "--web-port is for the page; add --to web"),
        (["--web-port", "99999", "--to", "web"], "'99999' is no port; it must be a whole number from 0 to 65535"),
        (["--split"], "--split is for the window and the page"),
        (["--no-audio"], "--no-audio is for files and streams"),
        (["--no-audio", "--to", "udp://127.0.0.1:9"], "--no-audio is for a file that is played"),
        (["--loop"], "--loop is for files"),
        (["--loop", "--camera", "0"], "--loop is for files"),
        (["--no-pace", "--camera", "0"], "--no-pace is for files and the synthetic scene"),
        (["--strength", "much"], "invalid float value"),
        (["--size", "640"], "it must be WIDTHxHEIGHT"),
        (["--size", "2x2"], "each side must be"),
        (["--seconds", "-3"], "it must be a number of seconds above 0"),
        (["--camera", "0", "--input", "a.mp4"], "not allowed with"),
    ],
)
def test_bad_options(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    model = [] if "--model" in words else ["--model", str(tiny_bundle.folder)]
    source = [] if "--camera" in words else ["--input", "synthetic"]
    try:
        code = main(["live", *source, "--to", "null", *model, *words])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert told in refused(capsys, code)


def test_a_live_stream_has_no_end_and_a_pace_of_its_own(
    tiny_bundle: Bundle, video: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class LiveSource(FileSource):
        def __init__(self, where: str, **told: Any) -> None:
            super().__init__(str(video), **told)
            self.live = True

    monkeypatch.setattr(live, "FileSource", LiveSource)
    for option in ("--loop", "--no-pace"):
        code = paint(tiny_bundle, "live", "--input", "tcp://127.0.0.1:9", "--to", "null", option)
        assert f"{option} is for files" in refused(capsys, code)


def test_bad_videos(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello " * 500)
    (tmp_path / "picture.png").write_bytes(png(64, 64))
    whole = write_video(tmp_path / "whole.mp4", 60).read_bytes()
    (tmp_path / "there.mp4").write_bytes(whole)
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    write_video(tmp_path / "tiny.mp4", size=(32, 32))
    for name, words in {
        "missing.mp4": "does not exist",
        "empty.mp4": "is empty",
        "text.mp4": "cannot be read as a video",
        "picture.png": "is a picture, not a video",
        "cut.mp4": "truncated",
        "tiny.mp4": "each side must be 64",
    }.items():
        code = paint(tiny_bundle, "video", tmp_path / name, tmp_path / "out.mp4")
        assert words in refused(capsys, code)
        assert not (tmp_path / "out.mp4").exists()
        assert not list(tmp_path.glob(".*"))
        code = paint(tiny_bundle, "live", "--input", tmp_path / name, "--to", "null", "--no-pace")
        assert words in refused(capsys, code)
        # What is there already stays, whatever is wrong with the input.
        code = paint(tiny_bundle, "video", tmp_path / name, tmp_path / "there.mp4")
        assert words in refused(capsys, code)
        assert (tmp_path / "there.mp4").read_bytes() == whole


def test_bad_pictures(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in {
        "empty.png": b"",
        "text.png": b"hello " * 100,
        "cut.png": png(200, 200)[:200],
        "1x1.png": png(1, 1),
        "20000.png": png(20_000, 20_000, real=False),
        "bomb.png": png(16_000, 16_000, real=False),
        "missing.png": None,
    }.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        code = paint(tiny_bundle, "image", tmp_path / name, tmp_path / "out.png")
        assert name in refused(capsys, code)
        (tmp_path / "good.png").write_bytes(png(64, 64))
        code = paint(tiny_bundle, "image", tmp_path / "good.png", tmp_path / "out.png", "--style", tmp_path / name)
        assert name in refused(capsys, code)
        assert not (tmp_path / "out.png").exists()


def test_bad_style_files(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tiny_bundle.style("ember")
    save_style(replace(good, bundle_id="0123456789abcdef"), tmp_path / "other.safetensors")
    tensors = {name: np.full_like(tensor, np.nan) for name, tensor in good.tensors.items()}
    save_style(replace(good, tensors=tensors), tmp_path / "nan.safetensors")
    save_style(good, tmp_path / "changed.safetensors")
    data = bytearray((tmp_path / "changed.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "changed.safetensors").write_bytes(data)
    (tmp_path / "cut.safetensors").write_bytes(data[:100])
    for name, words in {
        "other.safetensors": "was made by bundle 0123456789abcdef",
        "nan.safetensors": "NaN",
        "changed.safetensors": "SHA-256",
        "cut.safetensors": "cannot be read as a style file",
        "none.safetensors": "does not exist",
    }.items():
        options = ("--input", "synthetic", "--to", "null", "--style", tmp_path / name)
        assert words in refused(capsys, paint(tiny_bundle, "live", *options))


def test_a_corrupt_bundle(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny_bundle.folder, tmp_path / "bad")
    with (tmp_path / "bad" / "frame.onnx").open("ab") as file:
        file.write(b"x")
    code = main(["styles", "--model", str(tmp_path / "bad")])
    assert "frame.onnx" in refused(capsys, code)
    (tmp_path / "bad" / "bundle.json").write_text("{")
    assert "bundle.json" in refused(capsys, main(["styles", "--model", str(tmp_path / "bad")]))


def test_bad_outputs(
    tiny_bundle: Bundle,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in.png").write_bytes(png(64, 64))
    for out, words in {
        tmp_path / "none" / "out.mp4": "does not exist",
        tmp_path / "out.xyz": "must end in",
        video: "is an input itself",
    }.items():
        assert words in refused(capsys, paint(tiny_bundle, "video", video, out))
    for out, words in {tmp_path / "none" / "out.png": "does not exist", tmp_path / "out.xyz": "must end in"}.items():
        assert words in refused(capsys, paint(tiny_bundle, "image", tmp_path / "in.png", out))
    # Before the work: what would not fit into the file would be lost after it.
    with monkeypatch.context() as patched:
        patched.setattr(painting, "open_asked", lambda *told: pytest.fail("the engine was opened"))
        for words_ in (("image", tmp_path / "in.png", tmp_path / "out.xyz"), ("styles", "--sheet", tmp_path / "s.xyz")):
            code = paint(tiny_bundle, *words_)
            assert "must end in" in refused(capsys, code)
    if Path("/proc/self").is_dir():  # a folder that not even root can write to
        assert "cannot be written" in refused(capsys, paint(tiny_bundle, "video", video, "/proc/self/out.mp4"))
        assert "cannot be written" in refused(
            capsys, paint(tiny_bundle, "image", tmp_path / "in.png", "/proc/self/o.png")
        )


def test_a_full_disk(
    tiny_bundle: Bundle,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        def __init__(self, inner: object) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        def mux(self, packets: object) -> None:
            raise OSError(28, "No space left on device")

    real = Recording.__init__

    def patched(self: Recording, *args: object, **more: object) -> None:
        real(self, *args, **{**more, "open_container": lambda *a, **k: Full(av.open(*a, **k))})  # type: ignore[arg-type]

    monkeypatch.setattr(Recording, "__init__", patched)
    code = paint(tiny_bundle, "video", video, tmp_path / "out.mp4")
    assert "No space left on device" in refused(capsys, code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_no_camera_and_no_display(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no camera was found" in refused(capsys, paint(tiny_bundle, "live", "--to", "null"))
    code = paint(tiny_bundle, "live", "--to", "null", "--camera", "Best Cam")
    assert "no camera is called 'Best Cam'" in refused(capsys, code)
    code = paint(tiny_bundle, "live", "--input", "synthetic")
    assert "no window can be opened" in refused(capsys, code)


def test_a_camera_taken_away_for_good_leaves_what_was_recorded_of_it(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unplugged(CameraSource):
        live = True
        opened = 0

        def __init__(self, index: int, *, size: tuple[int, int] | None = None) -> None:
            type(self).opened += 1
            self._left = 5
            self._name = "camera 0"
            if self.opened > 1:
                raise SourceError("camera 0 cannot be opened")
            self.info = VideoInfo("camera 0", 64, 64, Fraction(30), Fraction(1, 30))

        def read(self) -> Frame | None:
            if self._left == 0:
                end_s = time.monotonic() + 20
                while len(recorded) < 2 and time.monotonic() < end_s:
                    time.sleep(0.01)
                raise SourceError("camera 0 gives no picture")
            self._left -= 1
            return Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(0), time.perf_counter())

        def close(self) -> None: ...

    monkeypatch.setattr(live, "find_camera", lambda text: 0)
    monkeypatch.setattr(live, "CameraSource", Unplugged)
    monkeypatch.setattr(live, "PATIENCE_S", 0.1)
    recorded: set[int] = set()
    real = Recording.write

    def write(self: Recording, painted: Painted) -> bool:
        wanted = real(self, painted)
        recorded.add(id(self))
        return wanted

    monkeypatch.setattr(Recording, "write", write)
    code = paint(tiny_bundle, "live", "--to", tmp_path / "show.mp4", "--session", tmp_path / "kept")
    assert "camera 0 was lost and did not come back" in refused(capsys, code)
    for path in (tmp_path / "show.mp4", tmp_path / "kept" / "camera.mp4"):
        source = FileSource(str(path))
        assert len(list(iter(source.read, None))) >= 1
        source.close()
    assert paint(tiny_bundle, "replay", tmp_path / "kept", tmp_path / "again.mp4") == 0


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["paint"], []):
        with pytest.raises(SystemExit) as ended:
            main(words)
        refused(capsys, int(str(ended.value.code)))


# The process itself.


@pytest.mark.parametrize("command", [("video",), ("compare", "-o")])
def test_ctrl_c_leaves_the_video_of_before(
    tiny_bundle: Bundle,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    name, *more = command
    write, written = Recording.write, []

    def third_interrupts(recording: Recording, painted: Painted) -> bool:
        written.append(painted)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write(recording, painted)

    monkeypatch.setattr(Recording, "write", third_interrupts)
    model = ["--model" if name == "video" else "--models", str(tiny_bundle.folder)]
    assert main([name, str(video), *more, str(out), *model]) == 130
    assert out.read_bytes() == b"precious"
    assert f"{out} is left as it was" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_importing_the_commands_imports_no_torch_and_starting_imports_little() -> None:
    program = (
        "import sys, importlib, realtime.cli\n"
        "assert not {'numpy', 'cv2', 'av', 'onnxruntime'} & set(sys.modules), 'the start is slow'\n"
        "for name in realtime.cli.COMMANDS: importlib.import_module('realtime.commands.' + name)\n"
        "assert 'torch' not in sys.modules and 'onnxruntime' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_module_is_the_command() -> None:
    words = [sys.executable, "-m", "realtime", "--version"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("brushcast ")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Windows are of another kind")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_with_a_playable_file_and_no_traceback(
    tiny_bundle: Bundle, tmp_path: Path, name: str, code: int
) -> None:
    words = ["live", "--input", "synthetic", "--size", "64x64", "--to", str(tmp_path / "a.mp4")]
    # A shell's background job hands an ignored SIGINT down to its children, and Python then leaves it ignored; nohup an
    # ignored SIGHUP, and so do we.
    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "realtime", *words, "--model", str(tiny_bundle.folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    finally:
        signal.signal(number, before)
    end = time.monotonic() + 30
    while time.monotonic() < end and not list(tmp_path.glob(".*")):
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in told
    source = FileSource(str(tmp_path / "a.mp4"))
    assert len(list(iter(source.read, None))) >= 1
    source.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
