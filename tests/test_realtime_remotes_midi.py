"""MIDI with a back end of our own, registered as mido's own ones are, and mido's real messages."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import mido
import pytest
from mido.ports import BaseInput

from engines.errors import InputError, SinkError
from realtime.control import Control
from realtime.desk import Desk
from realtime.remotes.bindings import USUAL, Bindings
from realtime.remotes.midi import Midi

Until = Callable[[Callable[[], Any]], Any]
NANO = "nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0"


class Input(BaseInput):
    """An input of the back end; `Input.there` are those that are plugged in."""

    there: ClassVar[list[str]] = []
    opened: ClassVar[dict[str, Input]] = {}
    problem: ClassVar[Exception | None] = None

    def _open(self, callback: Callable[[Any], None], **told: Any) -> None:
        if Input.problem is not None:
            raise Input.problem
        self.callback = callback
        Input.opened[self.name] = self

    def _close(self) -> None:
        if Input.opened.get(self.name) is self:
            del Input.opened[self.name]


def get_devices(**told: Any) -> list[dict[str, Any]]:
    if Input.problem is not None:
        raise Input.problem
    return [{"name": name, "is_input": True, "is_output": False} for name in Input.there]


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("played_midi")
    module.Input, module.get_devices = Input, get_devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "played_midi", module)
    monkeypatch.setattr(Input, "there", ["Midi Through:Midi Through Port-0 14:0", NANO, "MPK mini 3 24:0"])
    monkeypatch.setattr(Input, "opened", {})
    monkeypatch.setattr(Input, "problem", None)
    before = mido.backend
    mido.set_backend("played_midi", load=True)
    yield
    mido.set_backend(before)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def midi(small_desk: Desk, tmp_path: Path, told: list[str]) -> Iterator[Midi]:
    with Midi(small_desk, tmp_path, tell=told.append, looks_every_s=0.02) as midi:
        yield midi


def play(kind: str, number: int, value: int = 127, channel: int = 0, name: str = NANO) -> None:
    """A message from a controller, as bytes that the real parser reads."""
    first, length = {
        "cc": (0xB0, 3),
        "note": (0x90, 3),
        "note off": (0x80, 3),
        "program": (0xC0, 2),
        "pitch": (0xE0, 3),
    }[kind]
    Input.opened[name].callback(mido.Message.from_bytes([first + channel, number, value][:length]))


def test_faders_move_numbers_over_their_whole_range(midi: Midi, small_control: Control, until: Until) -> None:
    play("cc", 74, 127)
    play("cc", 1, 0)
    until(lambda: (small_control.setting.look.stroke, small_control.setting.look.strength) == (2.0, 0.0))
    play("cc", 74, 0, channel=15)
    play("cc", 7, 64)
    until(lambda: small_control.setting.look.stroke == 0.5)
    until(lambda: small_control.setting.look.smoothing == pytest.approx(64 / 127))


def test_pads_and_programs_call_presets(midi: Midi, small_desk: Desk, until: Until) -> None:
    for slot, style in ((1, "moss"), (2, "sky"), (9, "stone")):
        small_desk.set({"style": style})
        small_desk.save(slot, style)
    for kind, number, style in (
        ("note", 36, "moss"),
        ("program", 1, "sky"),
        ("note", 44, "stone"),
        ("program", 0, "moss"),
    ):
        play(kind, number)
        until(lambda style=style: small_desk.state()["style"] == style)


def test_pads_turn_switches_over_and_pedals_and_pads_tap(
    midi: Midi, small_desk: Desk, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("note", 45)
    until(lambda: small_desk.state()["mirror"])
    play("note", 45, 0)  # as many keyboards tell that a key is let go
    play("note off", 45)
    play("note", 46)
    until(lambda: small_desk.state()["split"])
    assert small_desk.state()["mirror"]
    play("note", 45)
    until(lambda: not small_desk.state()["mirror"])
    taps: list[float] = []
    tap = small_desk.tap
    monkeypatch.setattr(small_desk, "tap", lambda: taps.append(tap()))
    for value in (127, 100, 0, 20, 64, 127):  # two times down
        play("cc", 64, value)
    play("note", 47)
    until(lambda: len(taps) >= 3)
    play("note", 46)
    until(lambda: not small_desk.state()["split"])
    assert len(taps) == 3


def test_many_messages_are_few_changes_and_the_newest_wins(
    midi: Midi, small_desk: Desk, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[dict[str, Any]] = []
    change = small_desk.set
    monkeypatch.setattr(small_desk, "set", lambda told: (changes.append(told), change(told)))
    for sweep in range(40):
        for value in range(128):
            play("cc", 1, value if sweep % 2 else 127 - value)
            play("cc", 7, value)
    until(lambda: changes and changes[-1].get("strength") == 1.0 and changes[-1].get("smoothing") == 1.0)
    assert len(changes) < 1000  # of 10,240 messages
    assert small_desk.state()["strength"] == small_desk.state()["smoothing"] == 1.0


def test_faders_and_pads_stay_in_their_order(midi: Midi, small_desk: Desk, until: Until) -> None:
    small_desk.set({"strength": 0.25})
    small_desk.save(1, "calm")
    for _ in range(20):
        play("cc", 1, 127)
        play("program", 0)
    play("note", 46)
    until(lambda: small_desk.state()["split"])
    assert small_desk.state()["strength"] == 0.25
    play("program", 0)
    play("cc", 1, 127)
    until(lambda: small_desk.state()["strength"] == 1.0)


def test_what_is_learnt_is_kept(midi: Midi, small_desk: Desk, tmp_path: Path, until: Until) -> None:
    midi.learn("strength")
    assert midi.state()["learning"] == "strength"
    play("note", 50)  # a note cannot
    play("cc", 21, 3, channel=2)
    until(lambda: not midi.state()["learning"])
    assert midi.state()["mapping"]["cc 21 channel 3"] == "strength" and "cc 1" not in midi.state()["mapping"]
    assert midi.state()["heard"] == "cc 21 channel 3"
    assert small_desk.state()["strength"] == 1.0
    play("cc", 21, 0, channel=2)
    until(lambda: small_desk.state()["strength"] == 0.0)
    play("cc", 21, 127, channel=3)  # another one's
    midi.learn("style sky")
    play("note", 36, 90, channel=9)
    until(lambda: not midi.state()["learning"])
    assert midi.state()["mapping"]["note 36"] == "preset 1"  # of other channels
    play("note", 36, 90, channel=9)
    until(lambda: small_desk.state()["style"] == "sky")
    assert small_desk.state()["strength"] == 0.0
    kept = until(lambda: (tmp_path / "midi.json").exists() and json.loads((tmp_path / "midi.json").read_text()))
    until(lambda: json.loads((tmp_path / "midi.json").read_text()) == midi.state()["mapping"])
    assert kept["cc 21 channel 3"] == "strength"


def test_a_controller_s_button_is_learnt_when_it_is_pressed(midi: Midi, until: Until) -> None:
    play("cc", 40, 127)
    midi.learn("preset 3")
    play("cc", 40, 0)
    assert midi.state()["learning"]
    play("cc", 40, 127)
    assert midi.state()["mapping"]["cc 40 channel 1"] == "preset 3"
    assert midi.state()["mapping"]["note 38"] == "preset 3"  # of another kind


def test_a_controller_s_button_switches_as_it_says(midi: Midi, small_desk: Desk, until: Until) -> None:
    midi.learn("mirror")
    play("cc", 41, 127)
    for value in (127, 0, 127):
        play("cc", 41, value)
        until(lambda value=value: small_desk.state()["mirror"] == (value > 0))


def test_learning_can_be_cancelled_and_undone(midi: Midi, tmp_path: Path, small_desk: Desk, until: Until) -> None:
    midi.learn("tap")
    midi.cancel()
    play("note", 99)
    assert "note 99 channel 1" not in midi.state()["mapping"]
    midi.forget("strength")
    assert "strength" not in midi.state()["mapping"].values()
    until((tmp_path / "midi.json").exists)
    assert Bindings(tmp_path / "midi.json").all == midi.state()["mapping"]
    with pytest.raises(InputError, match="nothing moves 'strength'"):
        midi.forget("strength")


def test_what_was_learnt_last_is_kept_at_the_end(small_desk: Desk, tmp_path: Path) -> None:
    with Midi(small_desk, tmp_path) as midi:
        midi.forget("tap")
    assert "tap" not in Bindings(tmp_path / "midi.json").all.values()


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("volume", "'volume' cannot be moved by MIDI; what can is strength"),
        ("preset 0", "preset 1..9|NAME"),
        ("preset", "cannot be moved"),
        ("style", "cannot be moved"),
        ("style nobody", "no style 'nobody'"),
        ("within_s", "cannot be moved"),
        ("", "cannot be moved"),
    ],
)
def test_what_cannot_be_learnt(midi: Midi, target: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        midi.learn(target)
    assert problem in str(error.value)
    assert midi.state()["learning"] == ""


def test_a_problem_is_told_once_and_stops_nothing(midi: Midi, told: list[str], small_desk: Desk, until: Until) -> None:
    for _ in range(3):
        play("program", 4)
    play("note", 45)
    until(lambda: small_desk.state()["mirror"])
    assert told[1:] == ["MIDI: no preset 5; there are: none yet"]


def test_messages_that_move_nothing(midi: Midi, small_desk: Desk, until: Until) -> None:
    before = small_desk.state()
    play("pitch", 0, 3)
    play("cc", 123, 127)  # all notes off
    play("cc", 90)
    play("note", 100)
    Input.opened[NANO].callback(mido.Message("sysex", data=[1, 2]))
    Input.opened[NANO].callback(mido.Message("clock"))
    assert midi.state()["heard"] == "note 100 channel 1"
    play("note", 45)
    until(lambda: small_desk.state()["mirror"])
    assert small_desk.state() == {**before, "mirror": True}


def test_an_input_that_is_unplugged_comes_back(midi: Midi, small_desk: Desk, told: list[str], until: Until) -> None:
    assert told == [f"MIDI: {NANO}"] and midi.state()["connected"]
    Input.there.remove(NANO)
    until(lambda: not midi.state()["connected"])
    assert NANO not in Input.opened
    again = NANO.replace("20:0", "28:0")  # ALSA numbers it anew
    Input.there.append(again)
    until(lambda: midi.state()["connected"])
    play("cc", 1, 0, name=again)
    until(lambda: small_desk.state()["strength"] == 0.0)
    assert told[1:] == [f"{NANO} was unplugged; looking for it", f"{again} is back"]


def test_an_input_is_chosen_by_a_part_of_its_name(small_desk: Desk, tmp_path: Path) -> None:
    with Midi(small_desk, tmp_path, "mpk"):
        assert list(Input.opened) == ["MPK mini 3 24:0"]
    assert not Input.opened
    with pytest.raises(
        SinkError, match=r"no MIDI input is called 'launch'; there are: Midi Through.*, nano.*, MPK mini"
    ):
        Midi(small_desk, tmp_path, "launch")


def test_without_inputs(small_desk: Desk, tmp_path: Path) -> None:
    Input.there.clear()
    with pytest.raises(SinkError, match="no MIDI input was found"):
        Midi(small_desk, tmp_path)


def test_what_the_driver_says_is_told_in_one_line(
    small_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Input, "problem", RuntimeError("ALSA:\nno sequencer"))
    with pytest.raises(SinkError, match=r"MIDI cannot be used here \(ALSA: no sequencer\)"):
        Midi(small_desk, tmp_path)
    monkeypatch.setattr(sys.modules["played_midi"], "get_devices", lambda **told: [{"name": "x", "is_input": True}])
    with pytest.raises(SinkError, match=r"the MIDI input x cannot be opened: ALSA: no sequencer; another program"):
        Midi(small_desk, tmp_path)


def test_without_python_rtmidi_it_says_how_to_get_it(
    small_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.delitem(sys.modules, "mido.backends.rtmidi", raising=False)
    mido.set_backend("mido.backends.rtmidi")
    with pytest.raises(SinkError, match=r'pip install "brushcast\[midi\]"'):
        Midi(small_desk, tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "cannot be read as MIDI bindings; move it away"),
        ("[]", "cannot be read"),
        ('{"cc 1": 3}', "cannot be read"),
        ('{"cc 120": "strength"}', "'cc 120' is no message"),
        ('{"cc 1 channel 17": "strength"}', "channels are 1 to 16"),
        ('{"knob 1": "strength"}', "'knob 1' is no message"),
        ('{"cc 1": "volume"}', "'volume' cannot be moved by MIDI"),
        ('{"note 1": "strength"}', "note 1 cannot move strength"),
    ],
)
def test_bindings_that_cannot_be_read(small_desk: Desk, tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "midi.json").write_text(text)
    with pytest.raises(InputError) as error:
        Midi(small_desk, tmp_path)
    assert problem in str(error.value) and str(tmp_path / "midi.json") in str(error.value)


def test_the_usual_bindings_can_be_read_back(tmp_path: Path) -> None:
    bindings = Bindings(tmp_path / "deep" / "midi.json")
    assert bindings.all == USUAL
    bindings.save()
    assert Bindings(tmp_path / "deep" / "midi.json").all == USUAL
    bindings.all = {}
    bindings.save()
    assert Bindings(tmp_path / "deep" / "midi.json").all == {}


def test_a_folder_that_cannot_be_written_is_told(
    small_desk: Desk, tmp_path: Path, told: list[str], until: Until
) -> None:
    (tmp_path / "file").touch()
    with Midi(small_desk, tmp_path / "file" / "folder", tell=told.append) as midi:
        midi.forget("tap")
        until(lambda: len(told) > 1)
    assert "cannot be written" in told[1] and "tap" not in midi.state()["mapping"].values()


def test_nothing_is_left(small_desk: Desk, tmp_path: Path) -> None:
    before = threading.active_count()
    with Midi(small_desk, tmp_path):
        assert threading.active_count() == before + 1 and Input.opened
    assert threading.active_count() == before and not Input.opened
