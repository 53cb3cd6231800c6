"""WebRTC over real connections on this machine: a client of our own, the pages in a browser, and what goes wrong."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest

from engines.styles import Style
from realtime.desk import Desk
from realtime.frames import Frame, Image, Painted, VideoInfo
from realtime.web.server import MAX_OFFER_BYTES, WebSink

aiortc = pytest.importorskip("aiortc", reason="WebRTC is an extra")
aiohttp = pytest.importorskip("aiohttp")
av = pytest.importorskip("av")

from aioice.ice import get_host_addresses  # noqa: E402 (comes with aiortc)

from realtime.web import broadcast, webrtc  # noqa: E402

HEIGHT, WIDTH = 96, 160
INFO = VideoInfo("numbers", WIDTH, HEIGHT, Fraction(25), Fraction(1, 100))
RED, GREEN, BLUE, GREY = (200, 40, 30), (20, 160, 60), (40, 60, 220), (128, 128, 128)
# VP8 keeps colours as 4:2:0 with limited range, rounded twice.
TOLERANCE = 8
# An offer of somebody who will never come.
GOOD = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\n"
    "a=recvonly\r\na=mid:0\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n"
    f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\na=rtpmap:97 VP8/90000\r\n"
)
OFFER = json.dumps({"sdp": GOOD, "type": "offer"}).encode()
networked = pytest.mark.skipif(
    not get_host_addresses(True, True), reason="WebRTC needs a network: aiortc and browsers leave 127.0.0.1 out"
)


class NoDesk:
    """What the desk's page asks for before anything is touched."""

    def state(self) -> dict[str, Any]:
        figures = {"rate": 0.0, "latency_ms": 0, "frames": 0, "dropped": 0}
        return {"style": "", "mix": {}, "presets": {}, "styles": [], **figures, "painter": "", "bpm": 0}

    def styles(self) -> list[Style]:
        return []

    def presets(self) -> dict[int, str]:
        return {}


def opened(**options: Any) -> WebSink:
    return WebSink(INFO, cast(Desk, NoDesk()), **{"port": 0, **options})


@pytest.fixture
def sink() -> Iterator[WebSink]:
    with opened() as sink:
        yield sink


def plain(colour: tuple[int, int, int], height: int = HEIGHT, width: int = WIDTH) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def painted(image: Image, *, split: bool = False) -> Painted:
    return Painted(Frame(255 - image, 0, Fraction(0), time.perf_counter()), image, 0.0, 0.0, split)


def port_of(sink: WebSink) -> int:
    return int(sink.address.split(":")[2].split("/")[0])


def post(sink: WebSink, body: bytes, path: str = "/api/webrtc", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(sink), timeout=10)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The server's ends of all connections, also of those that have ended."""
    made: list[Any] = []

    class Noted(aiortc.RTCPeerConnection):
        def __init__(self, *told: Any) -> None:
            super().__init__(*told)
            made.append(self)

    monkeypatch.setattr(webrtc, "RTCPeerConnection", Noted)
    return made


def open_ones(connections: list[Any]) -> int:
    return sum(connection.connectionState != "closed" for connection in connections)


def until(true: Callable[[], bool], within_s: float = 8.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, "it did not come in time"
        time.sleep(0.02)


async def offer_of(connection: Any) -> bytes:
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    return json.dumps({"sdp": connection.localDescription.sdp, "type": "offer"}).encode()


@asynccontextmanager
async def viewer(sink: WebSink, of: str = "painting") -> AsyncIterator[Any]:
    """The track that a connected viewer receives."""
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    tracks: list[Any] = []
    connection.on("track", tracks.append)
    try:
        body = await offer_of(connection)
        status, answer = await asyncio.to_thread(post, sink, body, f"/api/webrtc?of={of}")
        assert status == 200, answer
        await connection.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
        yield tracks[0]
    finally:
        await connection.close()


async def seen(track: Any) -> tuple[Image, float]:
    """The next picture, and its time in seconds."""
    frame = await asyncio.wait_for(track.recv(), 8)
    # aiortc's decoder does not know what VP8 leaves unsaid.
    image = frame.to_ndarray(format="rgb24", src_colorspace="ITU601", src_color_range="MPEG")
    return image, float(frame.pts * frame.time_base)


async def seen_until(track: Any, image: Image) -> None:
    end_s = time.monotonic() + 8
    while np.abs((await seen(track))[0].astype(int) - image).max() > TOLERANCE:
        assert time.monotonic() < end_s, "this painting was never seen"


@networked
def test_a_viewer_sees_a_slate_and_then_paintings_in_their_colours_and_the_source_never(sink: WebSink) -> None:
    async def look() -> None:
        async with viewer(sink) as track:
            first, start_s = await seen(track)
            assert first.shape == (HEIGHT, WIDTH, 3) and first.mean() < 70
            for colour in (RED, GREEN, BLUE, GREY):
                sink.write(painted(plain(colour), split=True))
                await seen_until(track, plain(colour))
            # The last one goes on, with times that go on, too.
            times = [(await seen(track))[1] for _ in range(3)]
            assert start_s < times[0] < times[1] < times[2] < start_s + 10

    asyncio.run(look())


@networked
def test_the_preview_has_the_source_in_split_view(sink: WebSink) -> None:
    async def look() -> None:
        sink.write(painted(plain(GREY, HEIGHT, WIDTH) // 2, split=True))
        async with viewer(sink, "preview") as track:
            image, _ = await seen(track)
            assert abs(image[:, -20:].mean() - 64) < TOLERANCE and abs(image[:, :20].mean() - 191) < TOLERANCE

    asyncio.run(look())


@networked
def test_paintings_are_encoded_once_for_all_and_a_viewer_who_closes_is_forgotten(
    sink: WebSink, monkeypatch: pytest.MonkeyPatch, connections: list[Any]
) -> None:
    encoders: list[Counted] = []

    class Counted(broadcast.Vp8):
        encoded = 0

        def __init__(self, rate: float) -> None:
            super().__init__(rate)
            encoders.append(self)

        def encode(self, image: Image, pts: int, *, key: bool) -> list[Any]:
            self.encoded += 1
            return super().encode(image, pts, key=key)

    monkeypatch.setattr(broadcast, "Vp8", Counted)

    async def look() -> None:
        async with viewer(sink) as one, viewer(sink) as other:
            sink.write(painted(plain(RED)))
            await seen_until(one, plain(RED))
            await seen_until(other, plain(RED))
            assert open_ones(connections) == 2 and len(encoders) == 1

    asyncio.run(look())
    until(lambda: open_ones(connections) == 0)
    time.sleep(2 * broadcast.HELD_S)
    before = encoders[0].encoded
    sink.write(painted(plain(BLUE)))
    time.sleep(2 * broadcast.HELD_S)
    assert len(encoders) == 1 and encoders[0].encoded == before  # nobody watches: nothing is encoded


@networked
def test_nobody_holds_the_loop_up(sink: WebSink) -> None:
    assert post(sink, OFFER)[0] == 200  # and is never heard of again
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)

    async def look() -> float:
        longest_s = 0.0
        async with viewer(sink) as reading, viewer(sink):
            await seen(reading)
            for number in range(30):
                one = painted(np.roll(noise, number, 0))
                begin_s = time.monotonic()
                sink.write(one)
                longest_s = max(longest_s, time.monotonic() - begin_s)
                await asyncio.sleep(0.03)
        return longest_s

    assert asyncio.run(look()) < 0.3


@pytest.mark.parametrize(
    ("sdp", "problem"),
    [
        (None, "an offer must be a JSON object"),
        (3, "an offer must be a JSON object"),
        ("", "of one video to receive"),
        ("m=video", "of one video to receive"),
        ("m=video x\r\na=recvonly\r\n", "no offer that can be answered"),
        (GOOD.replace("m=video", "m=audio"), "of one video to receive"),
        (GOOD.replace("a=recvonly", "a=sendonly"), "of one video to receive"),
        (GOOD + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "of nothing else"),
        (GOOD.replace("a=ice-pwd", "a=nothing"), "no offer that can be answered"),
        (GOOD.replace("VP8", "AV1"), "with VP8"),
        (GOOD.replace("a=rtpmap:97 VP8/90000", "a=rtpmap:x"), "no offer that can be answered"),
    ],
)
def test_a_bad_offer(sink: WebSink, sdp: object, problem: str, connections: list[Any]) -> None:
    status, told = post(sink, json.dumps({"sdp": sdp, "type": "offer"}).encode())
    assert status == 400 and problem in told["error"] and "\n" not in told["error"]
    until(lambda: open_ones(connections) == 0)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"type": "answer", "sdp": ""}', b"\xff\xfe", b"{"])
def test_what_is_no_offer(sink: WebSink, body: bytes) -> None:
    status, told = post(sink, body)
    assert status == 400 and 'must be a JSON object {"sdp": "...", "type": "offer"}' in told["error"]


def test_a_picture_that_is_not_there(sink: WebSink) -> None:
    status, told = post(sink, OFFER, "/api/webrtc?of=camera")
    assert (status, told["error"]) == (400, "no picture 'camera'; known: painting, preview")


def test_an_offer_that_is_too_large(sink: WebSink) -> None:
    status, told = post(sink, b" " * (MAX_OFFER_BYTES + 1))
    assert status == 413 and "error" in told


@networked
def test_too_many_viewers_and_those_who_never_come(sink: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "MOST_PEERS", 2)
    monkeypatch.setattr(webrtc, "CONNECTS_WITHIN_S", 1.5)
    assert [post(sink, OFFER)[0] for _ in range(2)] == [200, 200]
    status, told = post(sink, OFFER)
    assert status == 503 and "2 viewers watch by WebRTC already" in told["error"]
    until(lambda: post(sink, OFFER)[0] == 200)


@networked
def test_only_addresses_of_this_machine_are_told_and_none_of_an_offer_is_sent_to(sink: WebSink) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
        host = next(address for address in get_host_addresses(True, False))
        third.bind((host, 0))
        third.settimeout(1.0)
        line = f"a=candidate:1 1 udp 2122260223 {host} {third.getsockname()[1]} typ host\r\na=end-of-candidates\r\n"
        status, answer = post(sink, json.dumps({"sdp": GOOD + line, "type": "offer"}).encode())
        assert status == 200
        with pytest.raises(TimeoutError):
            third.recv(2048)
    candidates = [line for line in answer["sdp"].splitlines() if line.startswith("a=candidate")]
    assert candidates and all("typ host" in line for line in candidates)


def test_a_machine_without_a_network(sink: WebSink, monkeypatch: pytest.MonkeyPatch, connections: list[Any]) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    status, told = post(sink, OFFER)
    assert status == 503 and "no network" in told["error"]
    until(lambda: open_ones(connections) == 0)


def test_without_aiortc_there_is_no_other_way_by_itself(monkeypatch: pytest.MonkeyPatch, sink: WebSink) -> None:
    monkeypatch.delitem(sys.modules, "realtime.web.webrtc")
    monkeypatch.setitem(sys.modules, "aiortc", None)
    status, told = post(sink, OFFER)
    assert (status, told["error"]) == (501, 'aiortc is not installed; run: pip install "brushcast[webrtc]"')


def test_pages_of_others_and_those_without_a_token_are_refused(sink: WebSink, connections: list[Any]) -> None:
    assert post(sink, OFFER, Origin="http://evil.example")[0] == 403
    assert post(sink, OFFER, Host="evil.example")[0] == 403
    with opened(host="0.0.0.0") as other:
        assert post(other, OFFER)[0] == 401
        assert not connections
        token = other.address.split("token=")[1]
        # No network here: it gets past the guard all the same.
        assert post(other, OFFER, Authorization=f"Bearer {token}")[0] in (200, 503)


@networked
def test_the_end_waits_for_no_viewer_and_leaves_nothing_behind() -> None:
    async def look() -> float:
        with opened() as sink:
            async with viewer(sink) as track:
                await seen(track)
                post(sink, OFFER)
                begin_s = time.monotonic()
                await asyncio.to_thread(sink.__exit__, None, None, None)
                lasted_s = time.monotonic() - begin_s
                # The viewer is told.
                with pytest.raises(aiortc.mediastreams.MediaStreamError):
                    while True:
                        await seen(track)
        assert not sink._thread.is_alive() and not asyncio.all_tasks(sink._loop)
        return lasted_s

    before = set(threading.enumerate())
    assert asyncio.run(look()) < 3
    until(lambda: not [thread for thread in threading.enumerate() if thread not in before])


@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.05, 0.2])
def test_the_end_while_somebody_connects(delay_s: float) -> None:
    with opened() as sink:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(sink), timeout=5)
        connection.request("GET", "/painting.jpg")  # it is let in
        connection.getresponse().read()
        connection.request("POST", "/api/webrtc", OFFER)
        time.sleep(delay_s)
    connection.close()
    assert not sink._thread.is_alive() and not asyncio.all_tasks(sink._loop)


def test_one_who_falls_behind_goes_on_at_a_key_frame() -> None:
    class Packet:
        def __init__(self, number: int, *, key: bool = False) -> None:
            self.number, self.is_keyframe = number, key

    async def receive() -> list[int]:
        one = broadcast.Viewer()
        one.give(Packet(-1))  # what came before it is not known
        one.give(Packet(0, key=True))
        for number in range(1, broadcast.MOST_WAITING + 1):
            one.give(Packet(number))
        assert one.needs_key
        one.give(Packet(100, key=True))
        one.give(Packet(101))
        numbers = [(await one.next()).number for _ in range(2)]
        one.give(Packet(102))
        one.end()
        assert await one.next() is None
        return numbers

    assert asyncio.run(receive()) == [100, 101]


def test_the_rate_of_the_source_is_not_exceeded_and_the_last_painting_goes_on() -> None:
    class Source:
        number = 0

        async def after(self, number: int, within_s: float) -> tuple[int, Image]:
            await asyncio.sleep(0 if self.number < 1000 else within_s)
            self.number += 1
            return self.number, plain(GREY, 16, 16)

    async def count() -> tuple[int, int]:
        source = Source()
        one = broadcast.Broadcast(cast(Any, source), INFO)
        one.join()
        await asyncio.sleep(1.0)
        fast, source.number = source.number, 1000
        await asyncio.sleep(1.0)
        await one.close()
        return fast, source.number - 1000

    fast, slow = asyncio.run(count())
    assert 10 < fast <= 27 and 2 <= slow <= 5


@pytest.mark.parametrize("size", [(96, 160), (97, 161), (33, 17)])
def test_pictures_of_any_size_even_if_it_changes(size: tuple[int, int]) -> None:
    encoder, decoder = broadcast.Vp8(25.0), av.CodecContext.create("vp8", "r")
    shapes = [(64, 64), size, size]
    frames = [
        frame
        for number, (height, width) in enumerate(shapes)
        for packet in encoder.encode(plain(RED, height, width), 3600 * number, key=False)
        for frame in decoder.decode(av.Packet(bytes(packet)))
    ]
    assert [(frame.height, frame.width) for frame in frames] == shapes
    image = frames[-1].to_ndarray(format="rgb24", src_colorspace="ITU601", src_color_range="MPEG")
    # At an odd edge the last block reaches beyond the picture, which older FFmpegs do not fill.
    assert np.abs(image[:-8, :-8].astype(int) - RED).max() <= TOLERANCE


def test_the_page_for_obs_takes_one_of_two_ways(sink: WebSink) -> None:
    def get(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(sink), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    assert get("/view") == get("/view?how=mjpeg") and "<canvas" in get("/view")[1]
    assert "<video" in get("/view?how=webrtc")[1] and "<canvas" not in get("/view?how=webrtc")[1]
    status, told = get("/view?how=hls")
    assert status == 400 and json.loads(told)["error"] == "how is 'hls'; it must be mjpeg or webrtc"


@contextmanager
def page(browser: Any, address: str, problems: list[str]) -> Iterator[Any]:
    """The page at `address`. problems: takes what the browser complains about."""
    shown = browser.new_page(viewport={"width": 640, "height": 480})
    shown.on("pageerror", lambda error: problems.append(str(error)))
    shown.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    try:
        shown.goto(address, wait_until="domcontentloaded")
        yield shown
    finally:
        shown.close()


# The mean colour of what the video shows, null while it shows nothing.
LOOK = """() => {
  const video = document.querySelector("video");
  if (!video.videoWidth) return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 8, 8);
  return [...pen.getImageData(4, 4, 1, 1).data].slice(0, 3);
}"""


def shows(shown: Any, colour: tuple[int, int, int]) -> bool:
    pixel = shown.evaluate(LOOK)
    return pixel is not None and all(abs(a - b) <= TOLERANCE for a, b in zip(pixel, colour, strict=True))


@networked
def test_a_browser_shows_moving_paintings_in_their_colours(sink: WebSink, browser: Any, connections: list[Any]) -> None:
    problems: list[str] = []
    sink.write(painted(plain(GREY)))
    with page(browser, f"{sink.view_address}?how=webrtc", problems) as shown:
        for colour in (GREY, RED, GREEN, BLUE):
            sink.write(painted(plain(colour), split=True))
            until(lambda colour=colour: shows(shown, colour))
        assert shown.locator(".lost").inner_text() == "" and shown.locator("img").count() == 0
        assert open_ones(connections) == 1
    until(lambda: open_ones(connections) == 0)
    assert not problems


@networked
def test_a_page_comes_back_when_brushcast_does(browser: Any) -> None:
    with ExitStack() as stack:
        with opened() as sink:
            sink.write(painted(plain(RED)))
            port = port_of(sink)
            shown = stack.enter_context(page(browser, f"{sink.view_address}?how=webrtc", []))
            until(lambda: shows(shown, RED))
        # An audience goes on seeing the last painting, and no message over it.
        shown.wait_for_timeout(300)
        assert shows(shown, RED) and shown.locator(".lost").inner_text() == ""
        with opened(port=port) as again:
            again.write(painted(plain(BLUE)))
            until(lambda: shows(shown, BLUE))


def test_the_page_says_what_is_missing(sink: WebSink, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "realtime.web.webrtc")
    monkeypatch.setitem(sys.modules, "aiortc", None)
    with page(browser, f"{sink.view_address}?how=webrtc", []) as shown:
        until(lambda: 'pip install "brushcast[webrtc]"' in shown.locator(".lost").inner_text())
        assert shown.evaluate(LOOK) is None and shown.locator("img").count() == 0


@networked
def test_the_desk_shows_its_preview_as_the_user_chose(sink: WebSink, browser: Any, connections: list[Any]) -> None:
    sink.write(painted(plain(GREEN)))
    with page(browser, sink.address, []) as shown:
        how = shown.get_by_role("combobox", name="Preview")
        until(lambda: shown.locator("#preview").is_visible())  # it has no size before its first picture
        assert how.input_value() == "mjpeg"
        how.select_option("webrtc")
        until(lambda: shows(shown, GREEN))
        assert shown.locator("#preview").is_hidden() and shown.locator("#preview").get_attribute("src") is None
        shown.reload(wait_until="domcontentloaded")
        until(lambda: shows(shown, GREEN))
        assert how.input_value() == "webrtc"
        how.select_option("mjpeg")
        until(lambda: shown.locator("#preview").is_visible() and shown.locator("#preview-video").is_hidden())
        until(lambda: open_ones(connections) == 0)
