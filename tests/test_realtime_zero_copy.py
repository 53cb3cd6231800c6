"""Frames that never leave the device. There is no GPU here: software frames go through the same interfaces (DLPack)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import EngineError, InputError, SourceError
from engines.surface import Surface
from realtime import zero_copy
from realtime.cli import main
from realtime.control import Control
from realtime.frames import Colour
from realtime.loop import run
from realtime.zero_copy import Hardware, SurfaceRecording, SurfaceSource, surfaces_of

SIZE = (128, 96)
FRAMES = 4
SOFTWARE = Hardware(
    None,
    lambda luma, chroma: av.VideoFrame.from_dlpack((luma, chroma), format="nv12"),
    "libx264",
    "nv12",
    {"preset": "ultrafast", "crf": "10"},
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A short clip with the tags of BT.709 and limited range."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
        for index in range(FRAMES):
            planes = [128 + 90 * np.sin((columns + 3 * index) / 17 + k) * np.cos(rows / 13 - k) for k in range(3)]
            frame = av.VideoFrame.from_ndarray(np.stack(planes, 2).astype(np.uint8), "rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


class Nv12Source(SurfaceSource):
    """Decodes on the CPU, to NV12, as a GPU would have it."""

    def _decode(self) -> Any:
        for frame in super()._decode():
            made = frame.reformat(format="nv12")
            made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
            made.colorspace, made.color_range = frame.colorspace, frame.color_range
            yield made


def test_surfaces_go_through_the_whole_loop(live_bundle: Bundle, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from engines.torch_engine import TorchEngine  # noqa: PLC0415 (after the skip)

    look = Look(live_bundle.style("red-fuji"), smoothing=0.0)
    painted = tmp_path / "painted.mp4"
    with TorchEngine(live_bundle) as engine:
        source = Nv12Source(str(video), SOFTWARE)
        assert source.info.colour == Colour(1, 1, source.info.colour.primaries, source.info.colour.transfer)
        with SurfaceRecording(painted, source.info, SOFTWARE, audio_from=str(video)) as recording:
            report = run(source, engine.surfaces(), recording, Control(look))
        assert report.frames == FRAMES
        with av.open(str(video)) as before, av.open(str(painted)) as after:
            pairs = list(zip(before.decode(video=0), after.decode(video=0), strict=True))
        for seen, made in pairs:
            assert (made.width, made.height) == SIZE and made.time == seen.time
            wanted = engine.stylise(seen.to_ndarray(format="rgb24"), look).astype(float)
            # The way to NV12 and back, and the encoder's.
            assert np.abs(made.to_ndarray(format="rgb24") - wanted).mean() < 6


def test_a_surface_that_is_none_is_refused(live_bundle: Bundle) -> None:
    torch = pytest.importorskip("torch")
    from engines.torch_engine import TorchEngine  # noqa: PLC0415 (after the skip)

    look = Look(live_bundle.style("red-fuji"), smoothing=0.0)
    with TorchEngine(live_bundle) as engine:
        surfaces = engine.surfaces()
        with pytest.raises(InputError, match="it must be NV12"):
            surfaces.stylise(Surface(torch.zeros(64, 64, dtype=torch.uint8), torch.zeros(64, 64)), look)
        with pytest.raises(EngineError, match="smoothing 0"):
            surfaces.stylise(Surface(None, None), Look(look.style))
    with pytest.raises(EngineError, match="closed"):
        surfaces.stylise(Surface(None, None), look)


def test_what_has_to_come_to_the_cpu_is_refused(tiny_bundle: Bundle) -> None:
    engine: Any = SimpleNamespace(name="ort", provider="CPUExecutionProvider")
    style = tiny_bundle.style("moss")
    with pytest.raises(InputError, match="--smoothing 0"):
        surfaces_of(engine, Look(style))
    with pytest.raises(InputError, match="one style"):
        surfaces_of(engine, Look(style, smoothing=0.0, background=style))
    with pytest.raises(EngineError, match="--engine torch --provider cuda; here is ort on CPU"):
        surfaces_of(engine, Look(style, smoothing=0.0))


def test_frames_of_another_format_are_refused(video: Path) -> None:
    with pytest.raises(SourceError, match="its frames are yuv420p, not nv12; leave --zero-copy out"):
        SurfaceSource(str(video), SOFTWARE)


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU here")
def test_without_a_gpu_the_hardware_is_told(video: Path) -> None:
    with pytest.raises(SourceError, match="cannot be decoded by this machine's hardware") as caught:
        SurfaceSource(str(video), zero_copy.nvidia(0))
    assert "\n" not in str(caught.value)


def test_an_old_pyav_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_copy.av, "__version__", "17.0.1")
    with pytest.raises(EngineError, match=r"needs PyAV 18.1, here is 17.0.1"):
        zero_copy.nvidia(0)


@pytest.mark.parametrize("words", [["--smoothing", "0"], []])
def test_the_command_refuses_in_one_line_and_leaves_nothing(
    tiny_bundle: Bundle, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    painted = tmp_path / "painted.mp4"
    told = ["video", str(video), str(painted), "--zero-copy", "--model", str(tiny_bundle.folder), *words]
    assert main(told) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--zero-copy needs" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]
