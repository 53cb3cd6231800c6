"""The web sink over real connections on this machine: the calls, the guard, viewers, and the desk in a browser."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.errors import InputError, SinkError
from engines.styles import Style
from realtime.control import Control
from realtime.desk import Bench, Desk
from realtime.drive import Driven, Tempo
from realtime.frames import Frame, Painted, VideoInfo
from realtime.presets import Presets
from realtime.stats import Stats
from realtime.web import server
from realtime.web.guard import Guard, is_loopback, reachable
from realtime.web.server import WebSink

INFO = VideoInfo("numbers", 160, 96, Fraction(25), Fraction(1, 100))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def style(name: str, value: int = 80) -> Style:
    tensors = {"mean": np.full(3, value, np.float32)}
    return Style(name, tensors, np.full((12, 16, 3), value, np.uint8), "b", title=f"<b>{name}</b>")


def encode(picture: NDArray[np.uint8], name: str) -> Style:
    return style(name, int(picture.mean()))


@pytest.fixture
def control() -> Control:
    known = {name: style(name, value) for name, value in {"ember": 200, "moss": 90, "sky": 30, "stone": 120}.items()}
    return Control(Look(known["ember"]), styles=list(known), load=known.__getitem__)


@pytest.fixture
def desk(control: Control, tmp_path: Path) -> Desk:
    presets = Presets(tmp_path / "presets")
    return Desk(
        Bench(control, Driven(control, Tempo()), Stats(), encode, presets, "(a painter)", frozenset(control.names))
    )


@pytest.fixture
def sink(desk: Desk) -> Iterator[WebSink]:
    with WebSink(INFO, desk, port=0) as sink:
        yield sink


def painted(value: int, *, split: bool = False) -> Painted:
    image = np.full((96, 160, 3), value, np.uint8)
    return Painted(Frame(255 - image, 0, Fraction(0), time.perf_counter()), image, 0.0, 0.0, split)


def port_of(sink: WebSink) -> int:
    return int(sink.address.split(":")[2].split("/")[0])


def ask(
    sink: WebSink, path: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(sink), timeout=10)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def told(sink: WebSink, **change: Any) -> tuple[int, dict[str, Any]]:
    status, body, _ = ask(sink, "/api/set", json.dumps(change).encode())
    return status, json.loads(body)


def picture_of(data: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).mean())


def png(value: int, size: tuple[int, int] = (40, 50)) -> bytes:
    return cv2.imencode(".png", np.full((*size, 3), value, np.uint8))[1].tobytes()


def no_threads_left() -> bool:
    end_s = time.monotonic() + 5
    while time.monotonic() < end_s:
        if not any(thread.name == "web" for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def test_the_newest_painting_is_served_a_slate_at_first_and_the_source_never(sink: WebSink) -> None:
    status, data, headers = ask(sink, "/painting.jpg")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and picture_of(data) < 70
    sink.write(painted(90, split=True))
    assert abs(picture_of(ask(sink, "/painting.jpg")[1]) - 90) < 3


def test_every_change_is_a_call(sink: WebSink, control: Control) -> None:
    status, state = told(sink, style="moss", fade_s=2, strength=0.5, smoothing=0.3, stroke=1.5, mirror=True)
    assert status == 200
    assert (state["style"], state["strength"], state["stroke"], state["mirror"]) == ("moss", 0.5, 1.5, True)
    assert state["fade_s"] == control.fade_s == 2
    assert control.setting.look.smoothing == 0.3 and control.setting.mirror
    assert json.loads(ask(sink, "/api/state")[1]) == state
    names = [entry["name"] for entry in json.loads(ask(sink, "/api/styles")[1])]
    assert names == ["ember", "moss", "sky", "stone"]
    assert abs(picture_of(ask(sink, "/api/styles/sky/picture.jpg")[1]) - 30) < 3


def test_a_mix_is_of_kernels_and_takes_no_fade(sink: WebSink, control: Control) -> None:
    status, state = told(sink, mix={"ember": 3, "sky": 1})
    assert status == 200 and state["mix"] == {"ember": 0.75, "sky": 0.25}
    np.testing.assert_allclose(control.at(0.0).look.style.tensors["mean"], 0.75 * 200 + 0.25 * 30)
    assert told(sink, style="moss")[1]["mix"] == {}


def test_any_picture_becomes_a_style_and_is_chosen(sink: WebSink, control: Control) -> None:
    status, body, _ = ask(sink, "/api/styles?name=my%20cat", png(140))
    assert status == 200 and json.loads(body) == {"style": "my cat"}
    assert control.setting.look.style.name == "my cat" and "my cat" in control.names
    assert json.loads(ask(sink, "/api/styles?name=my%20cat", png(10))[1]) == {"style": "my cat 2"}
    assert told(sink, style="my cat")[0] == 200


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"strength": 2}, "strength is 2; it must be a number from 0 to 1"),
        ({"strength": True}, "strength is True"),
        ({"strength": "1"}, "it must be a number"),
        ({"kernel_interval": 0}, "from 1 to 8"),
        ({"mirror": 1}, "must be true or false"),
        ({"style": "../../etc/passwd"}, "no style"),
        ({"style": 3}, "no style 3"),
        ({"mix": {"ember": 0}}, "not all 0"),
        ({"mix": {"ember": -1}}, "from 0"),
        ({"mix": {}}, "1 to 4"),
        ({"mix": {"nobody": 1}}, "no style 'nobody'"),
        ({"style": "ember", "mix": {"moss": 1}}, "either a style or a mix"),
        ({"volume": 11}, "nothing is called 'volume'"),
        ({}, "a change must be a JSON object"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    sink: WebSink, control: Control, change: dict[str, Any], problem: str
) -> None:
    before = control.setting
    status, answer = told(sink, **{"smoothing": 0.1, **change} if change else {})
    assert status == 400 and problem in answer["error"]
    assert control.setting == before


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("path", "body", "headers", "problem"),
    [
        ("/api/set", b'{"mix": {"ember": 1' + b"0" * 400 + b"}}", {}, "from 0 to 1e+06"),
        ("/api/set", DEEP, {}, "must be a JSON object"),
        ("/api/set", b"\xff\xfe", {}, "JSON in UTF-8"),
        ("/api/set", b'{"strength": 0.5}', {"Content-Type": "text/plain; charset=foo"}, "JSON in UTF-8"),
        ("/api/midi", DEEP, {}, "no MIDI input"),
        ("/api/webrtc", DEEP[: 2**16], {}, "must be a JSON object"),
        ("/api/presets/" + 5000 * "9", b"", {}, "no preset has the key '9999"),
        ("/api/recall/" + 5000 * "9", b"", {}, "no preset is called '9999"),
    ],
)
def test_whatever_a_stranger_sends_is_answered_in_one_line(
    sink: WebSink, control: Control, path: str, body: bytes, headers: dict[str, str], problem: str
) -> None:
    before = control.setting
    status, answer, _ = ask(sink, path, body, "POST", **headers)
    error = json.loads(answer)["error"]
    assert status == 400 and problem in error and "\n" not in error and len(error) < 500
    assert control.setting == before


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/api/recall/2?within_s=abc", "within_s is 'abc'; it must be a number of seconds"),
        ("/api/recall/2?within_s=", "within_s is ''"),
        ("/api/recall/2?within_s=true", "within_s is 'true'"),
        ("/api/recall/2?within_s=61", "from 0 to 60"),
        ("/api/recall/2?with_s=3", "nothing is called 'with_s' here; known: within_s"),
        ("/api/presets/3?nam=x", "nothing is called 'nam' here; known: name"),
        ("/api/styles?title=x", "nothing is called 'title' here; known: name"),
        ("/api/webrtc?off=preview", "nothing is called 'off' here; known: of"),
    ],
)
def test_what_a_call_would_ignore_is_refused(sink: WebSink, desk: Desk, path: str, problem: str) -> None:
    desk.save(2, "evening")
    desk.set({"style": "moss"})
    status, body, _ = ask(sink, path, b"")
    assert status == 400 and problem in json.loads(body)["error"]
    assert desk.state()["style"] == "moss" and list(desk.presets()) == ["2"]


def test_a_preset_is_not_saved_over_one_that_was_not_seen(sink: WebSink, desk: Desk) -> None:
    assert ask(sink, "/api/presets/4?name=first&instead_of=", b"")[0] == 200
    status, body, _ = ask(sink, "/api/presets/4?name=second&instead_of=", b"")
    assert status == 400 and "key 4 was given to first in the meantime" in json.loads(body)["error"]
    assert ask(sink, "/api/presets/4?name=second&instead_of=first", b"")[0] == 200
    assert ask(sink, "/api/presets/4?name=third", b"")[0] == 200 and desk.presets() == {"4": "third"}


def test_a_name_of_digits_is_a_name(sink: WebSink, desk: Desk) -> None:
    ask(sink, "/api/presets/4?name=2024", b"")
    desk.set({"style": "moss"})
    assert ask(sink, "/api/recall/2024?within_s=0", b"")[0] == 200 and desk.state()["style"] == "ember"
    assert ask(sink, "/api/recall/4", b"")[0] == 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"GIF89a", "not a picture"),
        (b"<svg onload=alert(1)>", "not a picture"),
        (b"", "not a picture"),
        (png(1, (4, 4)), "each side must be"),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00",
            "each side must be",
        ),
    ],
)
def test_an_upload_that_is_no_picture(sink: WebSink, control: Control, data: bytes, problem: str) -> None:
    status, body, _ = ask(sink, "/api/styles?name=x", data)
    assert status == 400 and problem in json.loads(body)["error"]
    assert control.names == ["ember", "moss", "sky", "stone"]


def test_an_upload_that_is_too_large(sink: WebSink) -> None:
    status, body, _ = ask(sink, "/api/styles?name=holiday", bytes(25 * 2**20))
    assert status == 413 and "error" in json.loads(body)
    assert "holiday has more than 24 MB; make it smaller" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/x", "/pages/desk.html", "/api/styles/%2e%2e/picture.jpg"]
)
def test_no_file_outside_its_own_is_served(sink: WebSink, path: str) -> None:
    status, body, _ = ask(sink, path)
    assert status in (400, 404) and b"brushcast" not in body.lower()


def test_names_and_pages_of_others_are_refused(sink: WebSink, control: Control) -> None:
    assert ask(sink, "/api/state", Host="evil.example")[0] == 403
    assert ask(sink, "/api/set", b'{"strength": 0.1}', Origin="http://evil.example")[0] == 403
    assert ask(sink, "/api/ws", Origin="http://evil.example", Upgrade="websocket", Connection="Upgrade")[0] == 403
    # What is half of an address is no name of ours either.
    assert ask(sink, "/api/state", Host="[::1")[0] == ask(sink, "/api/state", Origin="http://[bad")[0] == 403
    own = f"http://127.0.0.1:{port_of(sink)}"
    assert ask(sink, "/api/set", b'{"strength": 0.4}', Origin=own)[0] == 200
    assert control.setting.look.strength == 0.4


def test_headers_keep_others_out_of_the_page(sink: WebSink) -> None:
    for path in ("/", "/view", "/desk.js", "/api/state", "/nothing"):
        headers = ask(sink, path)[2]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(sink, "/painting.jpg")[2]["Cross-Origin-Resource-Policy"] == "same-origin"


def test_beyond_loopback_a_token_is_needed(desk: Desk, control: Control) -> None:
    with WebSink(INFO, desk, host="0.0.0.0", port=0) as sink:
        token = sink.address.split("token=")[1]
        assert len(token) > 20
        for path in ("/", "/painting.jpg", "/api/state"):
            assert ask(sink, path)[0] == 401
        assert ask(sink, "/api/set", b'{"strength": 0.1}', Cookie="brushcast_token=wrong")[0] == 401
        assert control.setting.look.strength == 1
        status, _, headers = ask(sink, f"/?token={token}")
        assert status == 200 and "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
        assert ask(sink, "/api/state", Cookie=headers["Set-Cookie"].split(";")[0])[0] == 200
        assert ask(sink, "/api/state", Authorization=f"Bearer {token}")[0] == 200


def test_two_programs_with_tokens_are_open_in_one_browser(desk: Desk) -> None:
    with (
        WebSink(INFO, desk, port=0, token="evening-show") as one,
        WebSink(INFO, desk, port=0, token="matinee-show") as other,
    ):
        kept: dict[str, str] = {}  # by name, as a browser keeps the cookies of a host, whatever the port
        for sink in (one, other):
            headers = ask(sink, urlsplit(sink.address)._replace(scheme="", netloc="").geturl())[2]
            name, _, value = headers["Set-Cookie"].split(";")[0].partition("=")
            kept[name] = value
        cookies = "; ".join(f"{name}={value}" for name, value in kept.items())
        assert [ask(sink, "/api/state", Cookie=cookies)[0] for sink in (one, other)] == [200, 200]


def test_a_token_of_one_s_own_stays_from_start_to_start(desk: Desk) -> None:
    for host in ("0.0.0.0", "127.0.0.1"):
        with WebSink(INFO, desk, host=host, port=0, token="evening-show") as sink:
            assert sink.view_address.endswith("/view?token=evening-show")
            assert ask(sink, "/api/state")[0] == 401
            assert ask(sink, "/api/state?token=evening-show")[0] == 200
    for token in ("short", "with spaces in it", "née-à-paris", "a" * 129, "slash/slash"):
        with pytest.raises(InputError, match="is no token; it must be 8 to 128 letters and digits"):
            WebSink(INFO, desk, host="0.0.0.0", port=0, token=token)


def test_others_are_told_an_address_that_they_can_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Studio")
    with WebSink(INFO, desk, host="0.0.0.0", port=0) as sink:
        name, token = urlsplit(sink.address).hostname, sink.address.split("token=")[1]
        assert name not in (None, "0.0.0.0", "127.0.0.1")
        assert ask(sink, f"/api/state?token={token}", Host=f"{name}:{port_of(sink)}")[0] == 200
        for own in ("studio:8765", "STUDIO", "studio.local"):
            assert ask(sink, f"/api/state?token={token}", Host=own)[0] == 200
            assert ask(sink, "/api/state", Host=own)[0] == 401
        assert ask(sink, f"/api/state?token={token}", Host="evil.example")[0] == 403


def test_how_others_call_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [reachable(host) for host in ("127.0.0.1", "studio.lan", "::1")] == ["127.0.0.1", "studio.lan", "::1"]

    class NoNetwork(socket.socket):
        def connect(self, address: Any) -> None:
            raise OSError("network is unreachable")

    monkeypatch.setattr("socket.socket", NoNetwork)
    monkeypatch.setattr("socket.gethostname", lambda: "studio")
    assert reachable("0.0.0.0") == "studio"


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_only_loopback_needs_no_token(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone and (Guard(host).token is None) == alone


def test_an_address_that_is_taken(sink: WebSink, desk: Desk) -> None:
    with pytest.raises(SinkError, match=r"cannot be served \(.*--web-port"):
        WebSink(INFO, desk, port=port_of(sink))


@pytest.mark.parametrize("told", [{"port": 99_999}, {"host": "a" * 70}, {"host": "a..b"}])
def test_an_address_that_is_none(desk: Desk, told: dict[str, Any]) -> None:
    with pytest.raises(SinkError, match=r"cannot be served \(.*--web-port"):
        WebSink(INFO, desk, **{"port": 0, **told})


def test_a_server_that_does_not_start_in_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = server.web.TCPSite.start

    async def start(site: Any) -> None:
        await asyncio.sleep(0.3)
        await begin(site)

    monkeypatch.setattr(server, "STARTS_WITHIN_S", 0.01)
    monkeypatch.setattr(server.web.TCPSite, "start", start)
    before = threading.active_count()
    with pytest.raises(SinkError, match=r"cannot be served \(it did not start in 0.01 s\)"):
        WebSink(INFO, desk, port=0)
    assert threading.active_count() == before


@contextmanager
def viewer(sink: WebSink) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(sink), timeout=10)
    connection.request("GET", "/painting.mjpg")
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def test_viewers_come_and_go_and_one_that_stops_reading_holds_nobody(sink: WebSink) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    seen = bytearray()
    longest_s = 0.0
    with viewer(sink), viewer(sink) as reading:
        for number in range(40):
            image = np.roll(noise, number, 0)
            begin_s = time.monotonic()
            sink.write(Painted(Frame(image, 0, Fraction(0), time.perf_counter()), image, 0.0, 0.0))
            longest_s = max(longest_s, time.monotonic() - begin_s)
            seen += reading.read1(2**20)
        end_s = time.monotonic() + 10
        while seen.count(b"--painting") < 5 and time.monotonic() < end_s:
            sink.write(Painted(Frame(noise, 0, Fraction(0), time.perf_counter()), noise, 0.0, 0.0))
            seen += reading.read1(2**20)
    assert seen.count(b"--painting") >= 5 and longest_s < 0.3


def test_the_socket_tells_changes_and_takes_them(sink: WebSink, control: Control) -> None:
    async def talk() -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{sink.address}api/ws") as socket:
            first = await socket.receive_json(timeout=5)
            await socket.send_json({"style": "sky"})
            second = await socket.receive_json(timeout=5)
            await socket.send_str("[" * 60_000)
            return [first, second, await socket.receive_json(timeout=5)]

    first, second, third = asyncio.run(talk())
    assert first["style"] == "ember" and second["style"] == "sky" and "must be a JSON object" in third["error"]
    assert control.setting.look.style.name == "sky"


def test_the_end_does_not_wait_for_viewers(desk: Desk) -> None:
    with ExitStack() as stack:
        with WebSink(INFO, desk, port=0) as sink:
            stack.enter_context(viewer(sink))
            begin_s = time.monotonic()
        assert time.monotonic() - begin_s < 4 and no_threads_left()


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end_s, "it did not come in time"
        time.sleep(0.02)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_desk_in_a_browser(sink: WebSink, control: Control, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only where there is a browser)

    sink.write(painted(90))
    picture = tmp_path / "my <i>cat<i>.png"
    picture.write_bytes(png(140))
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(sink.address, wait_until="domcontentloaded")
        page.wait_for_selector("#styles button")
        assert page.locator("#styles button").count() == 4
        # What a style is called is shown, not taken for a part of the page.
        assert page.locator("#styles span").first.inner_text() == "<b>ember</b>"

        page.click("#styles button[value=moss]")
        until(lambda: control.setting.look.style.name == "moss")
        page.wait_for_selector("#styles button[value=moss][aria-pressed=true]")

        page.locator("input[name=strength]").fill("0.4")
        until(lambda: control.setting.look.strength == 0.4)

        page.set_input_files("#file", str(picture))
        until(lambda: control.setting.look.style.name == "my <i>cat<i>")
        page.wait_for_selector("#styles button[value='my <i>cat<i>'][aria-pressed=true]")

        page.fill("#preset-name", "evening")
        page.click("#presets button >> nth=0")
        page.wait_for_selector("text=1 evening")
        page.click("#styles button[value=sky]")
        until(lambda: control.setting.look.style.name == "sky")
        page.locator("body").press("1")
        until(lambda: control.setting.look.style.name == "my <i>cat<i>")

        box = page.locator("#pad").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 3, steps=4)
        page.mouse.up()
        until(lambda: control.setting.look.style.name.startswith("ember:"))

        shown = page.locator("#preview")
        before = shown.screenshot()
        sink.write(painted(220))
        until(lambda: shown.screenshot() != before)
        browser.close()
    assert not problems


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_the_desk_is_for_everybody(sink: WebSink, desk: Desk, size: tuple[int, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 (only where there is a browser)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    desk.save(1, "an evening with a long name, as long as names may be")
    desk.add(png(140), "cat")
    sink.write(painted(90))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(sink.address, wait_until="domcontentloaded")
        page.wait_for_selector("#styles button[aria-pressed=true]")
        found = Axe().run(page).response
        width = page.evaluate("document.documentElement.scrollWidth")
        # Every control can be reached by keys alone.
        reached = set()
        page.locator("body").press("Tab")
        for _ in range(80):
            reached.add(
                page.evaluate("(e => e.name || e.id || e.value || e.title || e.tagName)(document.activeElement)")
            )
            page.keyboard.press("Tab")
        browser.close()
    serious = [(rule["id"], rule["nodes"]) for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
    assert found["passes"] and not serious
    assert width <= size[0]  # nothing has to be scrolled sideways
    assert {"strength", "background", "drive", "drive_to", "tap", "pad", "mirror", "preset-name", "file"} <= reached
    assert {"Free key 1", "Remove <b>cat</b>"} <= reached


class Learns:
    """In the place of a MIDI input that is taught."""

    learning, moved = "", "cc 1"

    def learn(self, target: str) -> None:
        if target == "volume":
            raise InputError("nothing is called 'volume'")
        self.learning = target

    def cancel(self) -> None:
        self.learning = ""

    def forget(self, target: str) -> None:
        self.moved = ""

    def state(self) -> dict[str, Any]:
        mapping = {self.moved: "strength"} if self.moved else {}
        return {"input": "nano", "connected": True, "learning": self.learning, "heard": "", "mapping": mapping}


def test_midi_is_taught_by_calls(desk: Desk, sink: WebSink) -> None:
    def teach(sink: WebSink, told: object) -> tuple[int, dict[str, Any]]:
        status, body, _ = ask(sink, "/api/midi", json.dumps(told).encode())
        return status, json.loads(body)

    assert json.loads(ask(sink, "/api/midi")[1]) == {}
    assert teach(sink, {"learn": "strength"}) == (400, {"error": "no MIDI input is open; start with --midi"})
    with WebSink(INFO, desk, midi=Learns(), port=0) as taught:
        assert json.loads(ask(taught, "/api/midi")[1])["mapping"] == {"cc 1": "strength"}
        assert teach(taught, {"learn": "stroke"})[1]["learning"] == "stroke"
        assert teach(taught, {"cancel": True})[1]["learning"] == ""
        assert teach(taught, {"forget": "strength"})[1]["mapping"] == {}
        for told, problem in (
            ({"learn": "volume"}, "nothing is called"),
            ({"learn": 3}, "it must be"),
            (None, "must be"),
        ):
            status, answer = teach(taught, told)
            assert status == 400 and problem in answer["error"]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_midi_is_taught_on_the_desk(desk: Desk) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only where there is a browser)

    midi = Learns()
    with WebSink(INFO, desk, midi=midi, port=0) as sink, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(sink.address, wait_until="domcontentloaded")
        page.wait_for_selector("#midi >> text=moved by cc 1")
        page.select_option("#midi select", "tap")
        page.wait_for_selector("#midi >> text=moved by nothing")
        page.click("#midi button")
        until(lambda: midi.learning == "tap")
        page.wait_for_selector("#midi >> text=move what shall move tap")
        midi.learning = ""
        page.wait_for_selector("#midi button[aria-pressed=false]")
        browser.close()
