"""What can be changed while it runs: swapped in whole, faded, and refused without a trace."""

from __future__ import annotations

import numpy as np
import pytest

from engines.api import Look
from engines.errors import InputError, StyleError
from engines.styles import Style, mix, parts_of
from realtime.control import Control


def style(name: str, value: float, bundle_id: str = "b") -> Style:
    return Style(name, {"mean": np.full(3, value, np.float32)}, np.zeros((4, 4, 3), np.uint8), bundle_id)


A, B, C = style("a", 0), style("b", 1), style("c", 2)


def control(fade_s: float = 0.0) -> Control:
    known = {"a": A, "b": B, "c": C}
    return Control(Look(A), styles=("a", "b", "c"), load=lambda name: known[name], fade_s=fade_s)


def test_the_same_object_is_given_as_long_as_nothing_changes() -> None:
    tested = control()
    assert tested.at(0) is tested.at(1)


def test_changes_come_in_whole() -> None:
    tested = control()
    tested.change(strength=0.5, smoothing=0.2, stroke=1.5, mirror=True, split=True)
    now = tested.at(0)
    assert (now.look.strength, now.look.smoothing, now.look.stroke) == (0.5, 0.2, 1.5)
    assert (now.mirror, now.split) == (True, True)


def test_a_bad_number_changes_nothing() -> None:
    tested = control()
    with pytest.raises(InputError, match="strength is 7"):
        tested.change(strength=7, mirror=True)
    assert tested.at(0).mirror is False
    assert tested.at(0).look.strength == 1


def test_what_the_model_cannot_paint_changes_nothing() -> None:
    def check(look: Look) -> None:
        if look.stroke != 1:
            raise InputError("stroke 1 alone")

    told = Control(Look(style("a", 0.0)), check=check)
    before = told.setting
    with pytest.raises(InputError, match="stroke 1 alone"):
        told.change(stroke=2.0, strength=0.5)
    assert told.setting == before
    with pytest.raises(InputError, match="stroke 1 alone"):
        Control(Look(style("a", 0.0), stroke=2.0), check=check)


def test_a_style_without_fade_is_there_at_once() -> None:
    tested = control()
    assert tested.choose("b").name == "b"
    assert tested.at(0).look.style is B


def test_a_fade_is_linear_in_presentation_time_from_the_first_frame_after_the_change() -> None:
    tested = control(fade_s=2.0)
    tested.choose("b")
    means = [float(tested.at(10 + t).look.style.tensors["mean"][0]) for t in (0, 0.5, 1.0, 1.5, 2.0, 5.0)]
    assert means == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert tested.at(20).look.style is B
    assert tested.at(20) is tested.at(21)


def test_a_change_in_the_middle_of_a_fade_goes_on_from_what_is_seen() -> None:
    tested = control(fade_s=1.0)
    tested.choose("b")
    tested.at(0)
    tested.at(0.5)
    tested.choose("c")
    means = [float(tested.at(1 + t).look.style.tensors["mean"][0]) for t in (0, 0.5, 1)]
    assert means == pytest.approx([0.5, 1.25, 2])


def test_strength_can_change_during_a_fade() -> None:
    tested = control(fade_s=1.0)
    tested.choose("b")
    tested.at(0)
    tested.change(strength=0.3)
    now = tested.at(0.5).look
    assert now.strength == 0.3
    assert float(now.style.tensors["mean"][0]) == pytest.approx(0.5)


def test_a_clock_that_jumps_back_does_not_break_a_fade() -> None:
    tested = control(fade_s=1.0)
    tested.choose("b")
    tested.at(100)
    assert float(tested.at(3).look.style.tensors["mean"][0]) == pytest.approx(0)
    assert float(tested.at(4).look.style.tensors["mean"][0]) == pytest.approx(1)


def test_stepping_goes_round_and_the_goal_is_told() -> None:
    tested = control(fade_s=1.0)
    assert [tested.step_style(1).name for _ in range(4)] == ["b", "c", "a", "b"]
    assert tested.step_style(-1).name == "a"
    assert tested.step_style(-1).name == "c"
    assert tested.setting.look.style is C


def test_a_style_that_is_removed_is_known_for_what_was_recorded_with_it() -> None:
    tested = control()
    tested.remove("b")
    assert tested.names == ["a", "c"] and tested.step_style(1) is C and tested.named("b") is B


def test_pictures_that_it_begins_with_can_be_chosen_again() -> None:
    known = {"a": A, "b": B}
    look = Look(style("mine", 0), background=style("behind", 1))
    tested = Control(look, styles=("a", "b"), load=known.__getitem__)
    assert tested.names == ["a", "b", "mine", "behind"]
    assert [tested.step_style(1).name for _ in range(2)] == ["behind", "a"]
    assert tested.choose("mine") is look.style


def test_stepping_from_a_mix() -> None:
    tested = control()
    tested.choose(mix((A, B), (1, 1)))
    assert tested.step_style(1).name == "a"


def test_a_style_of_another_bundle_is_refused_and_nothing_changes() -> None:
    tested = control()
    with pytest.raises(StyleError, match="bundle"):
        tested.choose(style("x", 0, bundle_id="other"))
    assert tested.at(0).look.style is A


def test_what_is_played_by_hand_takes_no_fade_and_new_styles_can_be_chosen() -> None:
    first, second = style("first", 0.0), style("second", 1.0)
    control = Control(Look(first), styles=["first"], load={"first": first}.__getitem__, fade_s=2.0)
    control.choose(second, fade_s=0.0)
    assert control.at(0.0).look.style is second
    control.add(second)
    assert control.names == ["first", "second"] and control.named("second") is second
    control.choose("first")
    control.at(5.0)
    assert control.at(6.0).look.style.name not in ("first", "second")
    control.choose(first, fade_s=0.0)
    assert control.at(6.1).look.style is first


def test_a_fade_may_have_a_length_of_its_own() -> None:
    tested = control(fade_s=4.0)
    tested.choose(B, fade_s=1.0)
    tested.at(0.0)
    assert tested.at(1.0).look.style is B
    tested.choose(A, fade_s=0.0)
    assert tested.at(1.1).look.style is A and tested.fade_s == 4.0


def test_a_background_fades_in_from_the_style_and_out_to_it() -> None:
    tested = control(fade_s=2.0)
    tested.choose_background(None)
    assert tested.at(0.0).look.background is None
    tested.choose_background(B)
    assert tested.setting.look.background is B
    assert tested.at(1.0).look.background is A
    mixed = tested.at(2.0).look
    assert mixed.background is not None and parts_of(mixed.background) == {"a": 0.5, "b": 0.5} and mixed.style is A
    assert tested.at(3.0).look.background is B and tested.at(4.0) is tested.at(5.0)
    tested.choose_background(None)
    assert tested.setting.look.background is None
    tested.at(6.0)
    halfway = tested.at(7.0).look.background
    assert halfway is not None and parts_of(halfway) == {"b": 0.5, "a": 0.5}
    assert tested.at(8.0).look.background is None


def test_a_background_that_leaves_while_the_style_changes_does_not_jump() -> None:
    tested = control(fade_s=2.0)
    tested.choose_background(B)
    tested.at(0.0)
    tested.at(2.0)
    tested.choose_background(None)
    tested.at(3.0)
    tested.at(4.0)
    tested.choose(C)  # from A, when the background is half the way from B to A
    seen = []
    for tick in range(50, 75):
        look = tested.at(tick / 10).look
        behind = look.style if look.background is None else look.background
        seen.append((float(look.style.tensors["mean"][0]), float(behind.tensors["mean"][0])))
    assert seen[0] == pytest.approx((0, 0.5)) and seen[-1] == (2, 2)
    assert np.abs(np.diff(np.array(seen), axis=0)).max() < 0.11  # 2 in two seconds, in steps of a tenth
    assert tested.at(8.0).look.background is None and tested.at(8.0) is tested.at(9.0)


def test_a_background_leaves_in_its_own_time() -> None:
    tested = control(fade_s=2.0)
    tested.choose_background(B, 0.0)
    tested.choose(C, 4.0)
    tested.at(0.0)
    tested.choose_background(None, 1.0)  # it is there before the style is
    tested.at(0.5)
    assert tested.at(2.0).look.background is C and tested.at(4.0).look.background is None
    tested.choose_background(B, 0.0)
    tested.choose_background(None, 2.0)
    tested.at(5.0)
    tested.at(6.0)
    tested.choose(A, 0.0)  # as a hand on the pad does
    look = tested.at(6.0).look
    assert look.style is A and look.background is not None
    assert float(look.background.tensors["mean"][0]) == pytest.approx(1.5)
    assert tested.at(7.0).look.background is None


def test_a_background_of_another_bundle_is_refused() -> None:
    tested = control()
    with pytest.raises(StyleError, match="bundle"):
        tested.choose_background(style("x", 0, bundle_id="other"))
    assert tested.at(0).look.background is None and tested.setting.look.background is None
