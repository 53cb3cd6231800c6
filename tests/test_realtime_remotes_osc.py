"""OSC over real UDP on this machine: every address, what cannot be, packets of strangers, the port."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from engines.errors import SinkError
from realtime.control import Control
from realtime.desk import NUMBERS, Desk
from realtime.remotes.osc import Osc

Until = Callable[[Callable[[], Any]], Any]


class Player:
    """A program that sends OSC to a port, and hears what is answered."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5)
        self._socket.connect(("127.0.0.1", port))

    def send(self, address: str, *values: Any) -> None:
        self._socket.send(message(address, *values).dgram)

    def send_bundle(self, *messages: tuple[Any, ...]) -> None:
        bundle = OscBundleBuilder(IMMEDIATELY)
        for told in messages:
            bundle.add_content(message(*told))
        self._socket.send(bundle.build().dgram)

    def send_bytes(self, data: bytes) -> None:
        self._socket.send(data)

    def hear(self) -> tuple[str, list[Any]]:
        ((_, told),) = OscPacket(self._socket.recv(65_535)).messages
        return told.address, told.params

    def state(self) -> dict[str, list[Any]]:
        """What is in force. Packets stay in order, so what was sent before has been played."""
        self.send("/brushcast/state")
        told = {}
        while "painter" not in told:
            address, values = self.hear()
            assert address.startswith("/brushcast/") and address != "/brushcast/error", values
            told[address.removeprefix("/brushcast/")] = values
        return told

    def error(self) -> str:
        address, (text,) = self.hear()
        assert address == "/brushcast/error"
        return str(text)

    def close(self) -> None:
        self._socket.close()


def message(address: str, *values: Any) -> Any:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


@pytest.fixture
def player(small_desk: Desk) -> Iterator[Player]:
    with Osc(small_desk, 0) as osc:
        player = Player(osc.port)
        try:
            yield player
        finally:
            player.close()


def test_every_control_has_an_address(player: Player) -> None:
    for address, value in {
        "strength": 0.5,
        "smoothing": 0,
        "stroke": 1.5,
        "kernel_interval": 2.0,
        "keep_colours": 1,
        "oil": 0.5,
        "fade_s": 3.0,
        "bpm": 90,
        "style": "moss",
        "background": "sky",
        "drive": "tempo",
        "drive_of": "mix",
        "drive_to": "stone",
        "drive_depth": 0.25,
        "mirror": 1.0,
        "split": True,
    }.items():
        if address == "drive_of":
            player.send("/brushcast/drive_to", "stone")
        player.send(f"/brushcast/{address}", value)
        assert player.state()[address] == [value]


def test_the_state_is_numbers_and_texts(player: Player) -> None:
    told = player.state()
    assert told["style"] == ["ember"] and told["strength"] == [1.0] and told["background"] == [""]
    assert told["mirror"] == [0] and told["mix"] == [] and told["frames"] == [0]
    assert told["styles"] == ["ember", "moss", "sky", "stone"] and told["presets"] == []
    assert {type(value) for values in told.values() for value in values} <= {int, float, str}


def test_the_state_goes_to_another_port_of_the_sender_if_it_is_told_one(player: Player) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(5)
        player.send("/brushcast/state", other.getsockname()[1])
        assert OscPacket(other.recv(65_535)).messages[0].message.address == "/brushcast/style"


def test_styles_by_number_and_with_a_fade(player: Player, small_control: Control) -> None:
    player.send("/brushcast/style", 3)
    assert player.state()["style"] == ["sky"]
    player.send("/brushcast/style", 1.0, 2.0)
    player.state()
    small_control.at(0.0)
    assert small_control.at(1.0).look.style.tensors["mean"][0] == pytest.approx(115)  # half-way from 30 to 200


def test_a_mix_is_told_in_pairs(player: Player) -> None:
    player.send("/brushcast/mix", "ember", 3, "sky", 1.0)
    assert player.state()["mix"] == ["ember", 0.75, "sky", 0.25]


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "within_s"])
def test_units_are_places_in_a_range(player: Player, name: str) -> None:
    least, most = NUMBERS[name]
    for part in (1.0, 0, 0.5):
        player.send(f"/brushcast/unit/{name}", part)
        (value,) = player.state()[name]
        assert value == pytest.approx(least + part * (most - least), abs=0.5 if name == "kernel_interval" else 1e-6)


def test_presets_are_kept_and_called_by_key_and_name(player: Player, small_control: Control) -> None:
    player.send("/brushcast/preset/save", 1, "Evening")
    player.send("/brushcast/style", "sky")
    player.send("/brushcast/preset/save", 2.0, "noon")
    player.send("/brushcast/preset", 1.0)
    assert player.state()["style"] == ["ember"]
    player.send("/brushcast/preset", "NOON", 4)
    player.state()
    small_control.at(0.0)
    assert small_control.at(2.0).look.style.tensors["mean"][0] == pytest.approx(115)


def test_taps_tell_the_tempo_and_a_button_let_go_is_no_tap(
    player: Player, small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taps = []
    tap = small_desk.tap
    monkeypatch.setattr(small_desk, "tap", lambda: taps.append(tap()))
    player.send("/brushcast/tap")
    player.send("/brushcast/tap", 1.0)
    player.send("/brushcast/tap", 0.0)
    player.state()
    assert len(taps) == 2


def test_controls_of_a_bundle_are_one_change(player: Player) -> None:
    player.send_bundle(("/brushcast/style", "moss"), ("/brushcast/within_s", 0.0), ("/brushcast/strength", 0.5))
    told = player.state()
    assert told["style"] == ["moss"] and told["strength"] == [0.5]
    player.send_bundle(("/brushcast/style", "sky"), ("/brushcast/strength", 7))
    assert "strength is 7" in player.error()
    assert player.state()["style"] == ["moss"]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (("/brushcast/volume", 11), "nothing is called volume; below /brushcast/ there are style, mix,"),
        (("/elsewhere", 1), "nothing is called /elsewhere"),
        (("/brushcast/strength", 2.0), "strength is 2.0; it must be a number from 0 to 1"),
        (("/brushcast/strength", float("nan")), "it must be a number"),
        (("/brushcast/strength", "much"), "strength is 'much'"),
        (("/brushcast/strength", b"\0\1\2\3"), "it must be a number"),
        (("/brushcast/strength",), "strength came with 0 values; it takes 1"),
        (("/brushcast/strength", 0.1, 0.2), "strength came with 2 values; it takes 1"),
        (("/brushcast/mirror", 0.5), "it must be true or false"),
        (("/brushcast/style", "nobody"), "no style 'nobody'"),
        (("/brushcast/style", 5), "no style has the number 5; there are 1 to 4"),
        (("/brushcast/style", 1.5), "no style 1.5"),
        (("/brushcast/style", "moss", "soon"), "within_s is 'soon'"),
        (("/brushcast/kernel_interval", 2.5), "kernel_interval is 2.5; it must be a whole number"),
        (("/brushcast/style", [1]), "no style [1]"),
        (("/brushcast/mix", "ember"), "a mix is told as NAME WEIGHT"),
        (("/brushcast/mix", [1], 1), "a mix is told as NAME WEIGHT"),
        (("/brushcast/mix", "ember", 0), "not all 0"),
        (("/brushcast/mix",), "1 to 4"),
        (("/brushcast/drive", "wind"), "it must be one of off, tempo, sound"),
        (("/brushcast/drive", "sound"), "nothing listens"),
        (("/brushcast/within_s", 2), "within_s goes with a style"),
        (("/brushcast/unit/strength", 1.01), "must be a number from 0 to 1"),
        (("/brushcast/unit/strength", True), "must be a number from 0 to 1"),
        (("/brushcast/unit/style", 0.5), "'style' is no number"),
        (("/brushcast/preset", 4), "no preset 4; there are: none yet"),
        (("/brushcast/preset", "dawn"), "no preset 'dawn'"),
        (("/brushcast/preset", 1.5), "1.5 is no preset"),
        (("/brushcast/preset/save", 10, "x"), "the keys are 1 to 9"),
        (("/brushcast/preset/save", 1, ""), "a preset needs a name"),
        (("/brushcast/preset/save", 1), "it takes 2"),
        (("/brushcast/state", 0), "no port is called 0"),
    ],
)
def test_what_cannot_be_is_answered_and_changes_nothing(
    player: Player, small_control: Control, told: tuple[Any, ...], problem: str
) -> None:
    before = small_control.setting
    player.send(*told)
    text = player.error()
    assert problem in text and "\n" not in text and len(text) <= 300
    assert small_control.setting == before


def test_packets_of_strangers_stop_nothing_and_fill_no_terminal(
    player: Player, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)
    good = message("/brushcast/style", "moss").dgram
    for data in (b"", b"GET / HTTP/1.1", b"/", b"/a\0\0\0,", b"#bundle\0", good[:-3], b"#bundle\0" * 4):
        player.send_bytes(data)
        assert player.error()
    for _ in range(300):
        broken = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.choice(b"\0\xff/,[]sfTb")
        player.send_bytes(bytes(broken[: chance.randint(1, len(broken))]))
        player.send("/brushcast/next, please")
        while "next, please" not in player.error():
            pass
    assert player.state()["strength"] == [1.0]
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_errors_are_not_answered_with_errors(player: Player) -> None:
    player.send("/brushcast/error", "something else went wrong")
    assert player.state()["style"] == ["ember"]  # the first that is heard


def test_a_port_that_is_taken_and_a_host_of_somebody_else(small_desk: Desk) -> None:
    with (
        Osc(small_desk, 0) as first,
        pytest.raises(SinkError, match=rf"OSC cannot listen on 127.0.0.1:{first.port} .*--osc"),
    ):
        Osc(small_desk, first.port)
    for host in ("203.0.113.7", "no such host.invalid", "a..b"):
        with pytest.raises(SinkError, match="OSC cannot listen"):
            Osc(small_desk, 0, host)


def test_it_says_where_it_listens_and_warns_where_others_can_reach_it(small_desk: Desk) -> None:
    told: list[str] = []
    with Osc(small_desk, 0, tell=told.append) as osc:
        assert told == [f"OSC: 127.0.0.1:{osc.port}"]
    told.clear()
    with Osc(small_desk, 0, "0.0.0.0", tell=told.append) as osc:
        assert len(told) == 2 and "no passwords" in told[1] and str(osc.port) in told[1]


def test_nothing_is_left(small_desk: Desk) -> None:
    before = threading.active_count()
    with Osc(small_desk, 0) as osc:
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", osc.port))
