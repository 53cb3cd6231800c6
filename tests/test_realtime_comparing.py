"""Who paints which style, in whose place, and how times are taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.api import Look
from engines.bundle import Bundle
from engines.description import describe
from engines.errors import EngineError, InputError, StyleError
from engines.identity import IdentityEngine
from engines.styles import save_style
from realtime.comparing import (
    Asked,
    Contestant,
    UnpaintableError,
    asked_style,
    first_paintings,
    labels_of,
    measured,
    panned,
    shown_style,
    style_for,
)


class Painter(IdentityEngine):
    """Copies its frames, tells what was asked of it, and can be broken."""

    def __init__(self, bundle: Bundle, calls: list[str], label: str, *, broken: bool = False) -> None:
        super().__init__(bundle)
        self._calls, self._label, self._broken = calls, label, broken

    def stylise(self, image: np.ndarray, look: Look, mask: np.ndarray | None = None) -> np.ndarray:
        if self._broken:
            raise EngineError("it has had enough")
        self._calls.append(self._label)
        return super().stylise(image, look, mask)


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    path = tmp_path / "blue sky.png"
    cv2.imwrite(str(path), np.full((80, 64, 3), (250, 0, 0), np.uint8))
    return path


def contestants(bundle: Bundle, calls: list[str], names: str, broken: str = "") -> list[Contestant]:
    look, told = Look(bundle.style("moss")), describe(bundle)
    return [
        Contestant(name, told, Painter(bundle, calls, name, broken=name in broken), look, own=False) for name in names
    ]


def test_named_styles_are_the_models_own(tiny_bundle: Bundle, named_bundle: Bundle, baked_bundle: Bundle) -> None:
    asked = asked_style("EMBER", [tiny_bundle, named_bundle, baked_bundle])
    assert (asked.name, asked.word, asked.picture) == ("ember", "ember", None)
    for bundle in (tiny_bundle, named_bundle):
        style, own = style_for(bundle, asked)
        assert (style.name, style.bundle_id, own) == ("ember", bundle.id, False)
    style, own = style_for(baked_bundle, asked)
    assert (style.name, own) == ("moss", True)
    assert style_for(baked_bundle, asked_style("moss", [baked_bundle]))[1] is False


def test_an_artwork_is_a_style_where_its_name_is_none(tiny_bundle: Bundle, named_bundle: Bundle) -> None:
    asked = asked_style("red-fuji", [tiny_bundle, named_bundle])
    assert asked.picture is not None
    style, own = style_for(tiny_bundle, asked, threads=1)
    assert (style.name, own) == ("red-fuji", False)
    with pytest.raises(UnpaintableError, match="red-fuji is not one of the 2 named styles that it knows"):
        style_for(named_bundle, asked)


def test_any_picture_is_a_style_for_those_that_take_any(
    tiny_bundle: Bundle, named_bundle: Bundle, baked_bundle: Bundle, blue: Path
) -> None:
    asked = asked_style(str(blue), [tiny_bundle])
    assert asked.word == "blue sky"
    told: list[str] = []
    style, own = style_for(tiny_bundle, asked, threads=1, tell=told.append)
    assert style.tensors["mean"] == pytest.approx([0, 0, 250 / 255], abs=1e-3)
    assert not own and len(told) == 1
    with pytest.raises(UnpaintableError, match="blue sky is not one of"):
        style_for(named_bundle, asked)
    assert style_for(baked_bundle, asked)[1] is True


def test_a_style_file_is_for_the_model_that_made_it(tiny_bundle: Bundle, named_bundle: Bundle, tmp_path: Path) -> None:
    save_style(tiny_bundle.style("moss"), path := tmp_path / "mine.safetensors")
    asked = asked_style(str(path), [tiny_bundle, named_bundle])
    assert style_for(tiny_bundle, asked)[0].name == "moss"
    with pytest.raises(UnpaintableError, match="was made by another model"):
        style_for(named_bundle, asked)


def test_without_a_wish_it_is_the_first_named_style(tiny_bundle: Bundle, baked_bundle: Bundle) -> None:
    assert asked_style(None, [baked_bundle, tiny_bundle]).name == "ember"


def test_a_style_that_nobody_knows_is_told_once(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for text, words in {
        "mos": "did you mean moss",
        "none/there.png": "does not exist",
        "stormy sea " * 30: "no style",
        str(tmp_path / "bad.png"): "is not a picture",
        str(tmp_path / "none.safetensors"): "none.safetensors",
    }.items():
        with pytest.raises(StyleError, match=words):
            asked_style(text, [tiny_bundle])


def test_the_shown_style_is_its_picture_or_a_thumbnail_of_who_paints_it(tiny_bundle: Bundle, blue: Path) -> None:
    here = contestants(tiny_bundle, [], "ab")
    asked = asked_style(str(blue), [tiny_bundle])
    assert shown_style(asked, here).shape == (80, 64, 3)
    own = Contestant("c", here[0].told, here[0].engine, Look(tiny_bundle.style("ember")), own=True)
    shown = shown_style(Asked("moss", "moss"), [own, *here])
    np.testing.assert_array_equal(shown, tiny_bundle.style("moss").thumbnail)


def test_every_model_has_a_label_of_its_own(tiny_bundle: Bundle, named_bundle: Bundle, tmp_path: Path) -> None:
    assert labels_of(["x", "y"], [tiny_bundle, named_bundle]) == ["tiny", "named"]
    copy = Bundle.load(shutil.copytree(tiny_bundle.folder, tmp_path / "copy"))
    assert labels_of(["x", "y"], [tiny_bundle, copy]) == ["tiny", "copy"]
    other = Bundle.load(shutil.copytree(tiny_bundle.folder, tmp_path / "more" / "copy"))
    assert labels_of(["x", "y"], [copy, other]) == ["x", "y"]
    with pytest.raises(InputError, match="y is given twice"):
        labels_of(["x", "y"], [tiny_bundle, tiny_bundle])


def test_all_take_turns_and_the_median_counts(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    both = contestants(tiny_bundle, calls, "ab")
    images = panned(np.zeros((64, 70, 3), np.uint8), 2)
    # When each run begins and ends; of the two that warm up only the beginning is asked for.
    runs = [(0.0, 0.2), (0.0, 0.4), (0.0, 0.4), (0.0, 8.0), (0.0, 0.6), (0.0, 0.6)]
    ticks = iter([0.0, 0.0, *(moment for run in runs for moment in run)])
    monkeypatch.setattr("realtime.comparing.time.perf_counter", lambda: next(ticks))
    done: list[int] = []
    figures = measured(both, images, 3, done.append)
    assert "".join(calls) == "aabb" * 4
    assert sum(done) == 16
    assert [one.ms for one in figures] == [pytest.approx(200), pytest.approx(300)]
    assert figures[0].rate == pytest.approx(5)
    told = figures[1].as_json()
    assert (told["label"], told["style"], told["own_style"]) == ("b", "moss", False)
    assert told["frames_per_second"] == pytest.approx(3.333)


def test_who_cannot_paint_a_frame_is_left_out(tiny_bundle: Bundle) -> None:
    painted, left_out = first_paintings(
        contestants(tiny_bundle, [], "abc", broken="b"), np.zeros((64, 64, 3), np.uint8)
    )
    assert [one.label for one, _ in painted] == ["a", "c"]
    assert [(one.label, one.why) for one in left_out] == [("b", "it has had enough")]


def test_a_photo_is_panned_without_losing_any_of_it() -> None:
    photo = np.random.default_rng(1).integers(0, 255, (64, 80, 3), np.uint8)
    first, second, *_ = panned(photo)
    np.testing.assert_array_equal(first, photo)
    np.testing.assert_array_equal(second[:, 2:], photo[:, :-2])


def test_no_picture_is_advised_where_no_model_takes_one() -> None:
    with pytest.raises(StyleError, match=r"no style 'nobody'; known: [^()]*$"):
        asked_style("nobody", [Bundle.load("johnson-cafe-terrace")])
