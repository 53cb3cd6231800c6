"""brushcast compare and brushcast models: what they write and tell, and one line for what goes wrong."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from commanded import refused

from engines.bundle import Bundle
from realtime.cli import main
from realtime.commands import models
from realtime.files import FileSource
from realtime.synthetic import SyntheticSource


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((90, 120, 3), 99, np.uint8))
    return tmp_path / "photo.png"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Nine frames of 96x64 with a tone beside them, at uneven times and with pixels twice as wide as high."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        picture, tone = file.add_stream("libx264", rate=25), file.add_stream("aac", rate=48_000, layout="mono")
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        picture.codec_context.time_base, picture.codec_context.sample_aspect_ratio = Fraction(1, 100), Fraction(2)
        picture.codec_context.max_b_frames = 0
        source = SyntheticSource((96, 64), frames=9)
        for index in range(9):
            frame = av.VideoFrame.from_ndarray(source.read().image, format="rgb24")
            frame.pts, frame.time_base = 4 * index + index % 2, Fraction(1, 100)
            file.mux(picture.encode(frame))
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48_000, 1920 * index
            file.mux(tone.encode(sound))
        file.mux(picture.encode(None))
        file.mux(tone.encode(None))
    return path


def compare(*words: str | Path | Bundle, models: tuple[Bundle, ...]) -> int:
    """With one round, in one thread."""
    told = ",".join(str(bundle.folder) for bundle in models)
    return main(["compare", *map(str, words), "--models", told, "--rounds", "1", "--threads", "1"])


def test_a_sheet_shows_photo_style_and_all_paintings(
    tiny_bundle: Bundle,
    named_bundle: Bundle,
    baked_bundle: Bundle,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sheet.png"
    bundles = (tiny_bundle, named_bundle, baked_bundle)
    assert compare(photo, "--style", "ember", "-o", out, "--json", models=bundles) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width_px"], told["height_px"], told["left_out"]) == (120, 90, [])
    assert [row["style"] for row in told["painted"]] == ["ember", "ember", "moss"]
    assert [row["own_style"] for row in told["painted"]] == [False, False, True]
    assert all(row["frames_per_second"] > 0 for row in told["painted"])
    page = cv2.imread(str(out))
    assert page.shape[:2] == (told["output_height_px"], told["output_width_px"])
    grey = (page == 99).all(axis=2).sum()
    assert grey == pytest.approx(120 * 90, abs=200)  # the photo, whole
    for colour in ((60, 80, 150), (75, 110, 70)):  # BGR: half photo, half ember; half photo, half moss
        near = (abs(page.astype(int) - colour) <= 2).all(axis=2).sum()
        assert near >= 120 * 90


def test_the_table_tells_what_was_measured(
    tiny_bundle: Bundle, baked_bundle: Bundle, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(photo, "--style", "ember", "-o", tmp_path / "a.png", models=(tiny_bundle, baked_bundle)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["model", "style", "frames/s"]
    assert "moss (its own)" in lines[2]
    assert lines[3].startswith("frames of 120x90, ort on CPUExecutionProvider")
    assert "medians of 1 runs of 4 frames, in turn" in lines[3]
    assert lines[4].startswith(f"wrote {tmp_path / 'a.png'}: ")


def test_who_cannot_paint_the_style_is_left_out_with_a_line(
    tiny_bundle: Bundle, named_bundle: Bundle, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (photo, "--style", "red-fuji", "-o", tmp_path / "a.png", "--json")
    assert compare(*words, models=(tiny_bundle, named_bundle)) == 0
    told = capsys.readouterr()
    assert "left out named: red-fuji is not one of the 2 named styles that it knows" in told.err
    report = json.loads(told.out)
    assert [row["label"] for row in report["painted"]] == ["tiny"]
    assert report["left_out"][0]["label"] == "named"
    assert "no model paints this: named: red-fuji" in refused(capsys, compare(*words, models=(named_bundle,)))


def test_a_clip_becomes_a_split_screen_with_its_times_and_sound(
    tiny_bundle: Bundle, named_bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert compare(clip, "--style", "moss", "-o", out, "--json", models=(tiny_bundle, named_bundle)) == 0
    told = json.loads(capsys.readouterr().out)
    before, after = FileSource(str(clip)), FileSource(str(out))
    assert [frame.time for frame in iter(before.read, None)] == [frame.time for frame in iter(after.read, None)]
    assert (after.info.width_px, after.info.height_px) == (told["output_width_px"], told["output_height_px"])
    assert after.info.pixel_aspect == 1
    before.close()
    after.close()
    with av.open(str(out)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert len(list(file.demux(file.streams.audio[0]))) >= 9
    assert not list(tmp_path.glob(".*"))


def test_only_the_beginning_of_a_clip(tiny_bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    assert compare(clip, "-o", out, "--seconds", "0.1", models=(tiny_bundle,)) == 0
    after = FileSource(str(out))
    assert len(list(iter(after.read, None))) == 3
    after.close()


def test_what_cannot_work_is_told_in_one_line(
    tiny_bundle: Bundle, photo: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((40, 40, 3), np.uint8))
    cases = {
        (photo, "-o", tmp_path / "a.xyz"): "must end in .png",
        (photo, "-o", tmp_path / "a"): "must end in .png",
        (photo, "-o", tmp_path / "none" / "a.png"): "does not exist; make it first",
        (photo, "-o", photo): "is an input itself",
        (photo, "-o", tmp_path / "a.mp4"): "a photo becomes a sheet",
        (clip, "-o", tmp_path / "a.png"): "a clip becomes a video",
        (tmp_path / "none.png", "-o", tmp_path / "a.png"): "does not exist",
        (tmp_path / "none.mp4", "-o", tmp_path / "a.mp4"): "does not exist",
        (tmp_path / f"{'long' * 99}.png", "-o", tmp_path / "a.png"): "give a picture file",
        (tmp_path / f"{'long' * 99}.mp4", "-o", tmp_path / "a.mp4"): f"{'long' * 99}.mp4",
        ("rtsp://anna:secret@camera/1", "-o", tmp_path / "a.png"): "rtsp://camera/1 is no picture",
        (tmp_path / "small.png", "-o", tmp_path / "a.png"): "each side must be 64",
        (photo, "-o", tmp_path / "a.png", "--seconds", "1"): "--seconds means nothing for a photo",
        (photo, "-o", tmp_path / "a.png", "--style", "embr"): "did you mean ember",
        (photo, "-o", tmp_path / "a.png", "--strength", "2"): "strength is 2",
        (photo, "-o", tmp_path / "a.png", "--engine", "otr"): "no engine 'otr'",
    }
    before = sorted(path.name for path in tmp_path.iterdir())
    for words, line in cases.items():
        assert line in refused(capsys, compare(*words, models=(tiny_bundle,))), words
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert "given twice" in refused(capsys, compare(photo, "-o", tmp_path / "a.png", models=(tiny_bundle,) * 2))
    assert "no model" in refused(
        capsys, main(["compare", str(photo), "-o", str(tmp_path / "a.png"), "--models", "lve"])
    )


def test_the_models_are_listed_a_line_each(
    tiny_bundle: Bundle, baked_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = (str(tiny_bundle.folder), str(baked_bundle.folder))
    monkeypatch.setattr(models, "released", lambda: folders)
    assert main(["models"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["model", "method"]
    assert "any picture, 2 named" in first and "mix, fit, background, strokes, memory" in first
    assert "its own: moss" in second
    assert main(["models", "--json"]) == 0
    assert [row["takes"] for row in json.loads(capsys.readouterr().out)] == ["any", "one"]
    monkeypatch.setattr(models, "released", lambda: ())
    assert "no model came with this program" in refused(capsys, main(["models"]))


def test_one_model_is_told_whole(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(tiny_bundle.folder, tmp_path / "copy")
    assert main(["models", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "styles:     ember, moss" in told
    assert told.endswith("\n\n# tiny\n")
    assert main(["models", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"] == "# tiny\n"
    assert "no model 'nope'" in refused(capsys, main(["models", "nope"]))
