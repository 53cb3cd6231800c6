"""A session that is kept and played again: the same styles at the same times, on the frames as they came."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import InputError, SinkError
from engines.ort import OrtEngine
from realtime.cli import main
from realtime.control import Control, Director, Setting
from realtime.files import FileSource
from realtime.frames import Painted
from realtime.loop import run
from realtime.recording import Recording
from realtime.session import Kept, Played
from realtime.sinks import NullSink
from realtime.synthetic import SyntheticSource

SIZE = (128, 96)


class Spy(Director):
    """Keeps what was said for each frame."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.said: dict[float, Setting] = {}

    def at(self, time_s: float) -> Setting:
        self.said[time_s] = self.director.at(time_s)
        return self.said[time_s]


@pytest.fixture
def session(tiny_bundle: Bundle, tmp_path: Path) -> tuple[Path, dict[float, Setting]]:
    """Forty frames: a fade from ember to moss after ten of them, other numbers after thirty."""
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    control = Control(Look(ember, smoothing=0.0), styles=tiny_bundle.styles, load=tiny_bundle.style, fade_s=0.3)
    source = SyntheticSource(SIZE, frames=40)
    folder = tmp_path / "session"

    def play(painted: Painted) -> None:
        if painted.frame.index == 10:
            control.choose(moss)
            control.change(strength=0.5)
        if painted.frame.index == 30:
            control.change(stroke=1.5)

    with Kept(folder, source.info, live=False) as kept, OrtEngine(tiny_bundle, threads=1) as engine:
        spy = Spy(kept.direct(control, control.named))
        run(source, engine, NullSink(), spy, also=(kept,), watched=play)
    return folder, spy.said


def test_what_was_said_is_said_again(session: tuple[Path, dict[float, Setting]], tiny_bundle: Bundle) -> None:
    folder, said = session
    played = Played(folder, tiny_bundle)
    assert len(said) == 40
    for time_s, setting in said.items():
        again = played.at(time_s).look
        assert again.strength == setting.look.strength and again.stroke == setting.look.stroke
        for name, tensor in setting.look.style.tensors.items():
            np.testing.assert_allclose(again.style.tensors[name], tensor, atol=1e-6)
    styles = {setting.look.style.name for setting in said.values()}
    assert len(styles) > 5 and len(list((folder / "styles").iterdir())) == 2  # a fade keeps its two ends alone


def test_the_frames_are_kept_unpainted_and_with_their_times(session: tuple[Path, dict[float, Setting]]) -> None:
    folder, said = session
    source, scene = FileSource(str(folder / "camera.mp4")), SyntheticSource(SIZE, frames=40)
    times = []
    while (frame := source.read()) is not None:
        wanted = scene.read()
        assert wanted is not None
        assert np.abs(frame.image.astype(int) - wanted.image).mean() < 8
        times.append(float(frame.time))
    source.close()
    np.testing.assert_allclose(times, list(said), atol=0.001)


def test_replay_paints_it_again(
    session: tuple[Path, dict[float, Setting]], tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again.mp4"
    told = ["replay", str(session[0]), str(out), "--model", str(tiny_bundle.folder), "--threads", "1", "--json"]
    assert main(told) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 40
    source = FileSource(str(out))
    first = source.read()
    assert first is not None and (source.info.width_px, source.info.height_px) == SIZE
    assert first.time == Fraction(0)
    source.close()


def test_a_folder_that_is_there_and_one_that_is_no_session(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    info = SyntheticSource(SIZE).info
    with pytest.raises(SinkError, match="is there already"):
        Kept(tmp_path / "full", info, live=False)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="holds no session"):
        Played(tmp_path / "full", tiny_bundle)


def test_a_session_without_a_frame_leaves_nothing_and_its_folder_can_be_given_again(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, control = SyntheticSource(SIZE).info, Control(Look(tiny_bundle.style("ember")))

    def full(*_: object, **__: object) -> Recording:
        raise SinkError("the disk is full")

    (tmp_path / "mine").mkdir()
    for folder, there in ((tmp_path / "new", False), (tmp_path / "mine", True)):
        with monkeypatch.context() as patched:
            patched.setattr("realtime.session.Recording", full)
            with pytest.raises(SinkError, match="the disk is full"):
                Kept(folder, info, live=True)
        assert folder.exists() is there
        with pytest.raises(KeyboardInterrupt), Kept(folder, info, live=True) as kept:
            kept.direct(control, tiny_bundle.style).at(0.0)
            raise KeyboardInterrupt
        assert folder.exists() is there and (not there or not list(folder.iterdir()))
    frame = SyntheticSource(SIZE).read()
    assert frame is not None
    with Kept(tmp_path / "new", info, live=True) as kept:
        kept.direct(control, tiny_bundle.style).at(0.0)
        kept.write(Painted(frame, frame.image, 0.0, 0.0))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"camera.mp4", "changes.jsonl", "styles"}


def test_a_session_that_is_damaged_or_not_whole(
    session: tuple[Path, dict[float, Setting]], tiny_bundle: Bundle
) -> None:
    folder, _ = session
    styles = sorted((folder / "styles").iterdir())
    styles[1].unlink()
    with pytest.raises(InputError, match="not whole: moss"):
        Played(folder, tiny_bundle)
    styles[0].write_bytes(b"?")
    with pytest.raises(InputError, match="is damaged"):
        Played(folder, tiny_bundle)
    (folder / "changes.jsonl").write_text("{")
    with pytest.raises(InputError, match="holds no session"):
        Played(folder, tiny_bundle)
