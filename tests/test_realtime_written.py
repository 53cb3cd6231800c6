"""No command writes over what it reads, whatever the file is called."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import InputError
from realtime.cli import main
from realtime.commands.written import check_apart


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "own.mp4").write_bytes(b"never to be had again")
    return tmp_path / "own.mp4"


def test_a_file_is_known_by_its_other_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, hard = file.parent / "link.mp4", file.parent / "hard.mp4"
    link.symlink_to(file)
    os.link(file, hard)
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("HOME", str(file.parent))
    for output in (file, link, hard, Path("own.mp4"), Path("folder/../own.mp4")):
        for read in (file, str(link), str(hard), "own.mp4", "./folder/../own.mp4", "~/own.mp4", f"file://{file}"):
            with pytest.raises(InputError, match="is an input itself; give another name"):
                check_apart(output, None, "other.mp4", read)


def test_what_is_apart_passes(file: Path) -> None:
    (file.parent / "there.mp4").write_bytes(b"of before")
    check_apart(file.parent / "new.mp4", file)
    check_apart(file.parent / f"{'long' * 99}.mp4", file)  # which is told where it is written
    check_apart(
        file.parent / "there.mp4", file, None, "synthetic", "rtsp://own.mp4", file.parent, "moss", "text:" + 99 * "sea "
    )


@pytest.mark.parametrize(
    "words",
    [
        ["video", "own.mp4", "link.mp4"],
        ["live", "--input", "own.mp4", "--no-pace", "--to", "null", "--to", "link.mp4"],
        ["image", "own.png", "link.png"],
        ["image", "other.png", "link.png", "--style", "own.png"],
        ["image", "other.png", "link.png", "--style", "moss", "--background", "own.png"],
        ["image", "other.png", "link.png", "--method", "gatys", "--style", "other.png", "--mix", "own.png=0.5"],
        ["compare", "own.png", "-o", "link.png"],
        ["compare", "other.png", "-o", "link.png", "--style", "own.png"],
        ["styles", "--map", "link.png", "--with", "pictures"],
        ["styles", "--walk", "moss", "ember", "--input", "own.mp4", "-o", "link.mp4"],
        ["bench", "--plot", "link.png", "--style", "own.png"],
        ["demo", "--folder", "pictures", "--style", "pictures/brushcast-demo.png"],
    ],
)
def test_no_command_writes_over_what_it_reads(
    tiny_bundle: Bundle,
    tmp_path: Path,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("realtime.commands.demo.why_no_display", lambda: "there is no display")
    Path("pictures").mkdir()
    picture = cv2.imencode(".png", np.full((64, 64, 3), 99, np.uint8))[1].tobytes()
    for name in ("own.png", "own.mp4", "other.png", "pictures/brushcast-demo.png"):
        Path(name).write_bytes(picture)
    os.link("own.png", "pictures/a.png")
    os.link("own.png", "link.png")
    os.link("own.mp4", "link.mp4")
    before = sorted(tmp_path.rglob("*"))
    model = "--models" if words[0] == "compare" else "--model"
    told = [] if "gatys" in words else [model, str(tiny_bundle.folder)]
    assert main([*words, *told]) == 2
    assert "is an input itself" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.read_bytes() == picture for path in before if path.is_file())


def test_a_replayed_session_is_not_written_over(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session, model = tmp_path / "session", ["--model", str(tiny_bundle.folder)]
    words = ["live", "--input", "synthetic", "--size", "64x64", "--seconds", "0.2", "--no-pace", "--to", "null"]
    assert main([*words, "--session", str(session), *model]) == 0
    before = (session / "camera.mp4").read_bytes()
    assert main(["replay", str(session), str(session / "camera.mp4"), *model]) == 2
    assert "is an input itself" in capsys.readouterr().err
    assert (session / "camera.mp4").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["styles", "--map", "closed/map.html"],
        ["styles", "--sheet", "closed/sheet.png"],
        ["styles", "--walk", "moss", "ember", "-o", "closed/walk.mp4"],
        ["bench", "--json", "closed/result.json"],
    ],
)
def test_a_folder_that_nobody_may_look_into_is_told(
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    closed: Callable[[Path], None],
    words: list[str],
) -> None:
    (tmp_path / "closed").mkdir()
    monkeypatch.chdir(tmp_path)
    closed(tmp_path / "closed")
    assert main([*words, "--model", str(tiny_bundle.folder)]) == 2
    assert "the folder closed cannot be written to" in capsys.readouterr().err
