"""The window, on a screen that is imitated: keys, overlay, split view, and displays that are missing."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.api import Look
from engines.errors import InputError, SinkError
from engines.styles import Style
from realtime import display
from realtime.control import Control
from realtime.frames import Frame, Image, Painted
from realtime.stats import Stats
from realtime.window import Window, composed

PAINTED = np.full((120, 160, 3), (200, 100, 50), np.uint8)
SOURCE = np.full((120, 160, 3), (1, 2, 3), np.uint8)


class FakeScreen:
    """Imitates HighGUI: keeps what is shown, gives the keys that it was told."""

    def __init__(self, keys: str = "") -> None:
        self.keys = [ord(key) for key in keys]
        self.shown: list[Image] = []
        self.opened = True
        self.broken = False

    def open(self, title: str, size: tuple[int, int]) -> None:
        if self.broken:
            raise cv2.error("The function is not implemented")

    def show(self, title: str, image: Image) -> None:
        if self.broken:
            raise cv2.error("The function is not implemented")
        self.shown.append(image)

    def key(self) -> int:
        return self.keys.pop(0) if self.keys else -1

    def is_open(self, title: str) -> bool:
        return self.opened

    def close(self, title: str) -> None:
        raise cv2.error("NULL window")


def style(name: str) -> Style:
    return Style(name, {}, np.zeros((4, 4, 3), np.uint8), "b")


def window(keys: str = "", folder: Path = Path()) -> tuple[Window, FakeScreen, Control]:
    control = Control(Look(style("a"), 0.5, 0.5), styles=("a", "b", "c"), load=style)
    screen = FakeScreen(keys)
    return Window(control, Stats(), (160, 120), snapshots=folder, screen=screen), screen, control


def painted(split: bool = False) -> Painted:
    now = time.perf_counter()
    return Painted(Frame(SOURCE, 0, Fraction(0), now), PAINTED, now, now, split)


def press(keys: str, folder: Path = Path()) -> Control:
    tested, _, control = window(keys, folder)
    for _ in keys:
        assert tested.write(painted()) is True
    return control


def test_paintings_are_shown_in_bgr_and_are_not_drawn_on() -> None:
    tested, screen, _ = window("o")
    tested.write(painted())
    tested.write(painted())
    np.testing.assert_array_equal(screen.shown[-1], PAINTED[..., ::-1])
    assert not np.array_equal(screen.shown[0], PAINTED[..., ::-1])
    assert (PAINTED == (200, 100, 50)).all()


@pytest.mark.parametrize(("keys", "name"), [("n", "b"), ("nn", "c"), ("nnn", "a"), ("p", "c"), ("np", "a")])
def test_keys_walk_through_the_styles(keys: str, name: str) -> None:
    assert press(keys).setting.look.style.name == name


def test_keys_change_numbers_within_their_bounds() -> None:
    assert press("++").setting.look.strength == pytest.approx(0.7)
    assert press("+" * 20).setting.look.strength == 1
    assert press("-" * 20).setting.look.strength == 0
    assert press("]").setting.look.smoothing == pytest.approx(0.6)
    assert press("[" * 20).setting.look.smoothing == 0
    assert press("b").setting.look.stroke == pytest.approx(1.1)
    assert press("b" * 20).setting.look.stroke == 2
    assert press("f" * 20).setting.look.stroke == 0.5
    assert press("www").setting.look.oil == pytest.approx(0.3)
    assert press("wwd").setting.look.oil == pytest.approx(0.1)
    assert press("d").setting.look.oil == 0


def test_a_number_that_the_model_has_not_is_said_and_does_not_end_the_show(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(look: Look) -> None:
        if look.stroke != 1:
            raise InputError("stroke 1 alone")

    drawn: list[str] = []
    monkeypatch.setattr(cv2, "putText", lambda image, text, *told: drawn.append(text))
    control = Control(Look(style("a"), 0.5), check=check)
    tested = Window(control, Stats(), (160, 120), screen=FakeScreen("bf+"))
    for _ in range(3):
        assert tested.write(painted()) is True
    assert "stroke 1 alone" in drawn
    assert (control.setting.look.stroke, control.setting.look.strength) == (1, pytest.approx(0.6))


def test_keys_mirror_and_split() -> None:
    assert press("m").setting.mirror is True
    assert press("mm").setting.mirror is False
    assert press("s").setting.split is True


def test_unknown_keys_do_nothing() -> None:
    now = press("x~7").setting
    assert (now.look.style.name, now.look.strength, now.look.smoothing) == ("a", 0.5, 0.5)
    assert (now.mirror, now.split) == (False, False)


@pytest.mark.parametrize("key", [0xFF51, 0xFF53, 0xFF50, 0xFF57])  # of X11: left, right, home, end
def test_keys_that_are_no_letters_do_nothing(key: int) -> None:
    tested, _, control = window(chr(key))
    before = control.setting
    assert tested.write(painted()) is True
    assert control.setting == before


def test_num_lock_and_shift_do_not_hide_a_letter() -> None:
    assert press(chr(0x100000 | ord("m"))).setting.mirror is True  # as GTK tells it


@pytest.mark.parametrize("key", ["q", "Q", chr(27)])
def test_quit_ends_it(key: str) -> None:
    tested, _, _ = window(key)
    assert tested.write(painted()) is False


def test_a_closed_window_ends_it() -> None:
    tested, screen, _ = window()
    assert tested.idle() is True
    assert tested.write(painted()) is True
    screen.opened = False
    assert tested.idle() is False


def test_a_window_system_that_cannot_tell_is_believed_open() -> None:
    tested, screen, _ = window()
    screen.opened = False
    assert tested.write(painted()) is True
    assert tested.idle() is True


def test_keys_work_while_nothing_comes_and_the_last_painting_stays() -> None:
    tested, screen, control = window("xn")
    tested.write(painted())
    assert tested.idle() is True
    assert control.setting.look.style.name == "b"
    assert len(screen.shown) == 2


def test_a_snapshot_is_the_painting_without_overlay(tmp_path: Path) -> None:
    press("c", tmp_path)
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(cv2.imread(str(file)), PAINTED[..., ::-1])


def test_snapshots_of_one_second_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "brushcast-20260102-030405" + form.partition("%S")[2])
    press("ccc", tmp_path)
    names = [f"brushcast-20260102-030405{more}.png" for more in ("", "-2", "-3")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_snapshot_that_cannot_be_written_does_not_end_the_show(tmp_path: Path) -> None:
    press("c", tmp_path / "none")


def test_split_view_shows_the_source_on_the_left() -> None:
    both = composed(painted(split=True))
    assert (both[:, :79] == SOURCE[:, :79]).all()
    assert (both[:, 81:] == PAINTED[:, 81:]).all()
    assert composed(painted()) is PAINTED


def test_a_window_system_that_fails_is_told() -> None:
    screen = FakeScreen()
    screen.broken = True
    control = Control(Look(style("a")))
    with pytest.raises(SinkError, match=r"the window failed: .*not implemented"):
        Window(control, Stats(), (64, 64), screen=screen)
    tested, other, _ = window()
    other.broken = True
    with pytest.raises(SinkError, match="use --to FILE"):
        tested.write(painted())


def test_leaving_closes_the_window_even_if_the_user_did() -> None:
    tested, _, _ = window()
    with tested:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_a_missing_display_is_told_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(display, "has_windows", lambda: True)
    with pytest.raises(SinkError, match=r"there is no display .*use --to FILE"):
        Window(Control(Look(style("a"))), Stats(), (64, 64))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_a_display_that_refuses_does_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(display, "has_windows", lambda: True)
    reason = display.why_no_display()
    assert reason is not None
    assert "the display :4711 cannot be opened" in reason


def test_an_opencv_without_windows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "has_windows", lambda: False)
    with pytest.raises(SinkError, match="install opencv-python"):
        Window(Control(Look(style("a"))), Stats(), (64, 64))
