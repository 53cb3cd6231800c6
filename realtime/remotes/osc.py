"""OSC over UDP, by python-osc (extra `osc`).

    /brushcast/NAME VALUE               a control of `realtime.desk`, in its own range: nothing is scaled. Numbers as
                                        float or int, switches as 0 and 1 or F and T, styles and choices by name
    /brushcast/style NAME|N [WITHIN_S]  N: the n-th style, from 1
    /brushcast/mix NAME WEIGHT ...      up to four pairs
    /brushcast/unit/NAME PART           a number by its place in its range, 0..1, as most faders send it
    /brushcast/preset N|NAME [WITHIN_S]
    /brushcast/preset/save N NAME
    /brushcast/tap                      the beat is now; a 0, which buttons send when they are let go, is none
    /brushcast/state [PORT]             answered with /brushcast/NAME VALUE... for all that is in force; PORT: of the
                                        same host, for those who listen elsewhere than they send from

Controls of one bundle are one change: all of it or nothing; its time tag is not waited for. What cannot be is answered
with /brushcast/error TEXT and changes nothing. OSC knows no passwords: who reaches the port can play.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import math
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from engines.errors import BrushcastError, InputError, SinkError
from realtime.desk import KNOWN, SWITCHES, Desk
from realtime.remotes import OSC_HOST
from realtime.remotes.scaling import from_travel

ROOT = "/brushcast/"
UNIT, STATE, ERROR = "unit/", "state", "error"
MOST_BYTES = 65_535
MOST_TOLD = 300  # letters of an error: it may quote what was sent
_LOOKS_EVERY_S = 0.05  # whether it is to end
_NO_MESSAGE = "this is no OSC message or bundle"

Message = tuple[str, list[Any]]  # address, values


class Osc:
    """Listens on host:port and plays what comes on the desk, in a thread of its own.

    port: 0 takes any that is free (`port` tells it). tell: called with a line, where it listens, and another one if
    others than this machine can reach it. Raises SinkError: the port is taken, or the host is not this machine.
    """

    def __init__(
        self, desk: Desk, port: int, host: str = OSC_HOST, *, tell: Callable[[str], object] = lambda line: None
    ) -> None:
        self._desk = desk
        try:
            self._server = _Server(host, port, self._answers)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SinkError(f"OSC cannot listen on {host}:{port} ({reason}); choose another with --osc") from error
        logging.getLogger().addFilter(_is_ours)
        bound, self.port = self._server.socket.getsockname()[:2]
        tell(f"OSC: {host}:{self.port}")
        if not ipaddress.ip_address(bound).is_loopback:
            tell(f"OSC knows no passwords: whoever reaches port {self.port} of this machine can play on the desk")
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOKS_EVERY_S,), name="osc", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answers(self, packet: bytes, sender_port: int) -> Iterator[tuple[int, bytes]]:
        """Play a packet. Yields what is to be answered, each with the port of the sender's host that it goes to."""
        try:
            yield from self._played(_messages(packet), sender_port)
        except BrushcastError as error:
            yield sender_port, _message(ROOT + ERROR, [str(error)[:MOST_TOLD]])

    def _played(self, messages: Sequence[Message], sender_port: int) -> Iterator[tuple[int, bytes]]:
        change: dict[str, Any] = {}
        for address, values in messages:
            name = address.removeprefix(ROOT)
            if name in KNOWN or name.startswith(UNIT):
                change |= self._change(name, values)
                continue
            self._apply(change)
            change = {}
            if name == STATE:
                port = _port(values) if values else sender_port
                for key, value in self._desk.state().items():
                    yield port, _message(ROOT + key, _flat(value))
            elif name != ERROR:  # of another Brushcast: two of them must not answer each other for ever
                self._do(name, values)
        self._apply(change)

    def _apply(self, change: dict[str, Any]) -> None:
        if change:
            self._desk.set(change)

    def _change(self, name: str, values: list[Any]) -> dict[str, Any]:
        """What `Desk.set` takes, for one control."""
        if name.startswith(UNIT):
            name = name.removeprefix(UNIT)
            return {name: from_travel(name, _only(name, values))}
        if name == "style":
            style, *within_s = _some(name, values, 1, 2)
            return {name: self._nth(style), **({"within_s": within_s[0]} if within_s else {})}
        if name == "mix":
            if len(values) % 2 or not all(isinstance(style, str) for style in values[::2]):
                raise InputError("a mix is told as NAME WEIGHT NAME WEIGHT ...")
            return {name: dict(zip(values[::2], values[1::2], strict=True))}
        value = _only(name, values)
        return {name: bool(value) if name in SWITCHES and value in (0, 1) else value}

    def _nth(self, style: Any) -> Any:
        """The name of the n-th style, if `style` is a number."""
        number = _whole(style)
        if number is None:
            return style
        styles = self._desk.styles()
        if not 1 <= number <= len(styles):
            raise InputError(f"no style has the number {number}; there are 1 to {len(styles)}")
        return styles[number - 1]["name"]

    def _do(self, name: str, values: list[Any]) -> None:
        """What is no control."""
        if name == "preset":
            which, *within_s = _some(name, values, 1, 2)
            self._desk.recall(which if isinstance(which, str) else _key(which), *within_s)
        elif name == "preset/save":
            slot, title = _some(name, values, 2, 2)
            self._desk.save(_key(slot), str(title))
        elif name == "tap":
            if not values or values[0] != 0:
                self._desk.tap()
        else:
            raise InputError(
                f"nothing is called {name}; below {ROOT} there are {', '.join(KNOWN)}, {UNIT}NAME, preset, "
                f"preset/save, tap, {STATE}"
            )


class _Server(socketserver.UDPServer):
    """Hands every packet over and sends what is answered."""

    max_packet_size = MOST_BYTES

    def __init__(self, host: str, port: int, answers: Callable[[bytes, int], Iterator[tuple[int, bytes]]]) -> None:
        self._answers = answers
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        # Most programs mean IPv4 by "localhost".
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        self.address_family = family
        super().__init__(address, socketserver.BaseRequestHandler)  # type: ignore[arg-type]

    def finish_request(self, request: Any, client_address: Any) -> None:
        packet, channel = request
        host, sender_port, *rest = client_address
        for port, answer in self._answers(packet, sender_port):
            with contextlib.suppress(OSError):  # who cannot be reached is not told
                channel.sendto(answer, (host, port, *rest))


def _messages(packet: bytes) -> list[Message]:
    """Raises InputError: it is no OSC."""
    try:
        messages = [(timed.message.address, timed.message.params) for timed in OscPacket(packet).messages]
    except Exception as error:  # whatever a stranger's bytes do to the parser
        raise InputError(_NO_MESSAGE) from error
    if not messages:  # it takes some broken bundles for empty ones
        raise InputError(_NO_MESSAGE)
    return messages


def _is_ours(record: logging.LogRecord) -> bool:
    """The parser logs what it does not understand, through the root logger: a stranger could fill the terminal."""
    return "pythonosc" not in record.pathname


def _message(address: str, values: Sequence[Any]) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def _flat(value: Any) -> list[Any]:
    """A value of the desk's state as texts and numbers, which every program reads."""
    if isinstance(value, dict):  # a mix, the presets
        return [one for pair in value.items() for one in pair]
    if isinstance(value, list):
        return value
    return [int(value) if isinstance(value, bool) else value]


def _some(name: str, values: list[Any], least: int, most: int) -> list[Any]:
    if not least <= len(values) <= most:
        wanted = f"{least}" if least == most else f"{least} or {most}"
        raise InputError(f"{name} came with {len(values)} values; it takes {wanted}")
    return values


def _only(name: str, values: list[Any]) -> Any:
    return _some(name, values, 1, 1)[0]


def _whole(value: Any) -> int | None:
    """A number without a fraction, which some programs send as float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def _key(value: Any) -> int:
    if (key := _whole(value)) is None:
        raise InputError(f"{value!r} is no preset; it must be a key from 1 to 9, or a name")
    return key


def _port(values: list[Any]) -> int:
    port = _whole(_only(STATE, values))
    if port is None or not 0 < port < 2**16:
        raise InputError(f"no port is called {values[0]!r}; it must be a number from 1 to 65535")
    return port
