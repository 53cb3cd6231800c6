"""What the command refuses: each with one line that says what was wrong, exit code 2, and nothing lost."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from commanded import paint, png, refused, write_video

from engines.bundle import Bundle
from engines.errors import SourceError
from engines.styles import save_style
from realtime.cameras import CameraSource
from realtime.cli import main
from realtime.commands import live, painting
from realtime.files import FileSource
from realtime.frames import Frame, Painted, VideoInfo
from realtime.recording import Recording

pytestmark = pytest.mark.usefixtures("no_devices")


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
