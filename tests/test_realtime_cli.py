"""The command: exit codes, JSON, interruptions, and a quick start without torch."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from commanded import paint, png, refused

from engines.bundle import Bundle, seal
from engines.pictures import load_picture
from realtime.cli import COMMANDS, main
from realtime.commands import demo, doctor
from realtime.display import ADVICE
from realtime.files import FileSource
from realtime.frames import Painted
from realtime.recording import Recording

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("no_devices")


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


def test_styles_name_the_released_networks_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    fuji = next(line for line in lines if line.startswith("red-fuji "))
    assert fuji.endswith("[tuned-red-fuji]")
    assert lines[-1].startswith("In brackets: models (--model NAME)")
    assert main(["styles", "--json"]) == 0
    told = {style["name"]: style["own_networks"] for style in json.loads(capsys.readouterr().out)}
    assert told["red-fuji"] == ["tuned-red-fuji"]
    assert told["young-hare"] == []
    assert main(["styles", "--model", "tuned-red-fuji"]) == 0  # it is that network itself
    assert "[" not in capsys.readouterr().out


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
