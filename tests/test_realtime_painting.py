"""What commands that paint open: a style for each name, whatever the pictures are called."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.styles import Style, save_style
from realtime.cli import main
from realtime.commands import painting
from realtime.presets import Presets


def asked(bundle: Bundle, *words: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    painting.add_painting(parser)
    return parser.parse_args([*map(str, words), "--model", str(bundle.folder), "--threads", "1"])


def write(path: Path, value: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((32, 32, 3), value, np.uint8))
    return path


def mean(style: Style) -> float:
    return float(style.tensors["mean"].mean())


def test_a_picture_that_is_called_as_a_named_style_does_not_hide_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    own = write(tmp_path / "moss.png", 255)
    with painting.opened(asked(tiny_bundle, "--style", own)) as painter:
        control = painter.control
        assert (control.setting.look.style.name, control.setting.look.style.title) == ("moss 2", "moss 2")
        assert control.names == ["ember", "moss", "moss 2"]
        assert mean(control.named("moss 2")) == 1
        assert mean(control.named("moss")) == mean(tiny_bundle.style("moss"))


def test_pictures_of_one_name_are_told_apart(tiny_bundle: Bundle, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a" / "cat.png", 255), write(tmp_path / "b" / "cat.png", 51)
    with painting.opened(asked(tiny_bundle, "--style", first, "--background", second)) as painter:
        look, control = painter.control.setting.look, painter.control
        assert look.background is not None
        assert (look.style.name, look.background.name) == ("cat", "cat 2")
        assert (mean(control.named("cat")), mean(control.named("cat 2"))) == pytest.approx((1, 0.2), abs=1e-3)
        kept = [look.style]
    with painting.opened(asked(tiny_bundle, "--style", second), kept=kept) as painter:
        assert painter.control.setting.look.style.name == "cat 2"


def test_what_is_the_same_keeps_its_name(tiny_bundle: Bundle, tmp_path: Path) -> None:
    save_style(tiny_bundle.style("moss"), tmp_path / "copy.safetensors")
    words = ("--style", tmp_path / "copy.safetensors", "--background", "moss")
    with painting.opened(asked(tiny_bundle, *words)) as painter:
        look = painter.control.setting.look
        assert look.background is not None and look.style.name == look.background.name == "moss"
    picture = write(tmp_path / "cat.png", 51)
    with painting.opened(asked(tiny_bundle, "--style", picture, "--background", picture)) as painter:
        assert painter.control.names == ["ember", "moss", "cat"]
        kept = replace(painter.control.named("cat"), name="cat 2")
        other = tiny_bundle.style("ember")
    # Of two that were kept it is the one that it was.
    with painting.opened(asked(tiny_bundle, "--style", picture), kept=[replace(other, name="cat"), kept]) as painter:
        assert painter.control.setting.look.style.name == "cat 2"


def test_a_style_told_in_words_is_kept_with_a_session(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Greys:
        name = "greys"

        def of_text(self, words: str) -> NDArray[np.float32]:
            return np.array([0.6, 0.8], np.float32)

        def of_picture(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.array([0.6, 0.8], np.float32)

    monkeypatch.setattr("engines.words.open_text_encoder", lambda threads, tell: Greys())
    library = write(tmp_path / "library" / "a.png", 255).parent
    write(library / "b.png", 51)
    words = ["live", "--input", "synthetic", "--size", "64x64", "--seconds", "0.1", "--no-pace", "--to", "null"]
    more = ["--style", "text:grey sea", "--text-library", str(library), "--session", str(tmp_path / "session")]
    assert main([*words, *more, "--presets", str(tmp_path), "--model", str(tiny_bundle.folder)]) == 0
    assert '"styles": {"grey sea": 1.0}' in (tmp_path / "session" / "changes.jsonl").read_text()


def test_live_leaves_a_preset_its_own_picture(tiny_bundle: Bundle, tmp_path: Path) -> None:
    picture, folder = write(tmp_path / "cat.png", 255), tmp_path / "presets"
    kept = replace(tiny_bundle.style("ember"), name="cat")
    Presets(folder).save(1, "mine", {"style": "cat"}, [kept])
    words = ["live", "--input", "synthetic", "--size", "64x64", "--seconds", "0.1", "--no-pace", "--to", "null"]
    more = ["--session", str(tmp_path / "session"), "--style", str(picture), "--presets", str(folder)]
    assert main([*words, *more, "--model", str(tiny_bundle.folder)]) == 0
    assert '"styles": {"cat 2": 1.0}' in (tmp_path / "session" / "changes.jsonl").read_text()
    assert [mean(style) for style in Presets(folder).styles()] == [mean(kept)]
