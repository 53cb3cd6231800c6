from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.api import Look
from engines.errors import InputError, SinkError
from engines.styles import Style
from realtime import outputs
from realtime.control import Control
from realtime.frames import VideoInfo
from realtime.outputs import Show, open_sinks
from realtime.recording import Recording
from realtime.sinks import NullSink, Together, slate
from realtime.stats import Stats
from realtime.stream import Stream

INFO = VideoInfo("numbers", 96, 64, Fraction(25), Fraction(1, 100))


def show(**more: Any) -> Show:
    style = Style("plain", {}, np.zeros((4, 4, 3), np.uint8), "b")
    told: dict[str, Any] = {"live": True, "paced": True, "control": Control(Look(style)), "stats": Stats(), **more}
    return Show(INFO, **told)


def test_each_name_opens_its_sink_and_a_window_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Window(NullSink):
        def __init__(self, *told: Any) -> None:
            assert told[2] == (96, 64)

    class Camera(NullSink):
        def __init__(self, info: VideoInfo, *, device: str | None) -> None:
            self.device = device

    monkeypatch.setattr(outputs, "Window", Window)
    monkeypatch.setattr(outputs, "VirtualCamera", Camera)
    names = ["vcam:/dev/video7", str(tmp_path / "a.mp4"), "null", "udp://127.0.0.1:9", "window"]
    with Together() as together:
        window, camera, recording, null, stream = open_sinks(names, show(), together)
        assert isinstance(window, Window) and isinstance(camera, Camera) and camera.device == "/dev/video7"
        assert isinstance(recording, Recording) and type(null) is NullSink and isinstance(stream, Stream)


def test_what_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="must end in"), Together() as together:
        open_sinks([str(tmp_path / "a.mp4"), str(tmp_path / "b.txt")], show(), together)
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_given_twice_and_a_stream_without_pace() -> None:
    with pytest.raises(InputError, match="given twice"), Together() as together:
        open_sinks(["null", "null"], show(), together)
    with pytest.raises(InputError, match="leave out --no-pace"), Together() as together:
        open_sinks(["udp://127.0.0.1:9"], show(live=False, paced=False), together)


@pytest.mark.parametrize("size", [(64, 64), (360, 640), (1080, 1920)])
def test_a_slate_has_words_within_its_size(size: tuple[int, int]) -> None:
    image = slate(*size, "Brushcast")
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    bright = (image > 120).any(2)
    assert 0.005 < bright.mean() < 0.3
    assert not bright[:, 0].any() and not bright[:, -1].any() and not bright[0].any() and not bright[-1].any()


def test_one_file_under_two_names_is_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o").mkdir()
    for other in ("./o/../o/a.mp4", str(tmp_path / "o" / "a.mp4")):
        with pytest.raises(InputError, match=r"is the same file as --to o/a\.mp4"), Together() as together:
            open_sinks(["o/a.mp4", other], show(), together)
    assert not list((tmp_path / "o").iterdir())
