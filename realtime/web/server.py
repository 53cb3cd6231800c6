"""The web sink: a page for OBS's browser source or any viewer, and the control desk, on one address.

    /               the desk                     /view      the painting alone, for OBS (?how=mjpeg|webrtc)
    /painting.mjpg  the painting as MJPEG        /preview.mjpg  the same, with the source in split view
    /painting.jpg   the newest painting

What the page does, anybody can do (`realtime.desk` has the names and ranges):

    GET    /api/state                     everything that is in force, and the figures of the run
    POST   /api/set                       a JSON object with what is to change
    GET    /api/ws                        a WebSocket: tells the state when it changes, takes what /api/set takes
    GET    /api/styles                    the styles: name, title, painter, year; own: of a picture, can be removed
    GET    /api/styles/NAME/picture.jpg   a style's picture
    POST   /api/styles?name=NAME          a picture file as the body becomes a style and is chosen
    DELETE /api/styles/NAME               a style of an own picture that nothing needs can be chosen no more
    GET    /api/presets                   the keys in use and the presets' names
    POST   /api/presets/KEY?name=NAME     keeps what is in force under a key, 1 to 9; &instead_of=NAME: not if another
                                          preset is there by now (empty: any)
    DELETE /api/presets/KEY               frees a key
    POST   /api/recall/KEY|NAME           sets what a preset keeps; ?within_s=2 for the length of its fade. A digit is
                                          a key, anything longer a name
    POST   /api/tap                       the beat is now
    GET    /api/midi                      the MIDI input, what it moves, what it is to learn; {} without one
    POST   /api/midi                      {"learn": "strength"}: the next control that is moved; also "forget", "cancel"
    POST   /api/webrtc?of=painting        an offer of a browser, {"sdp", "type"}, is answered; of=preview: with the
                                          source in split view. Needs the extra `webrtc`

Errors are {"error": "..."} with a status of 400 or more.

The server has a thread of its own; the loop only hands it the newest painting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module, resources
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web

from engines.errors import BrushcastError, InputError, SinkError
from realtime.desk import Desk
from realtime.frames import Painted, VideoInfo
from realtime.presets import MOST_NAME, key_or_name
from realtime.remotes import Learner
from realtime.sinks import Sink, slate
from realtime.web import DEFAULT_HOST, DEFAULT_PORT
from realtime.web.guard import HEADERS, QUERY, Guard, reachable
from realtime.web.pictures import Newest, encoded
from realtime.window import composed

MAX_UPLOAD_BYTES = 24 * 2**20
MAX_OFFER_BYTES = 2**16
MOST_QUOTED = 60  # letters of what was sent, in an error
STARTS_WITHIN_S, ENDS_WITHIN_S = 10.0, 5.0
STATE_EVERY_S = 0.25
_BOUNDARY = "painting"
_PAGES = {
    "/": ("desk.html", "text/html"),
    "/desk.css": ("desk.css", "text/css"),
    "/desk.js": ("desk.js", "text/javascript"),
    "/mjpeg.js": ("mjpeg.js", "text/javascript"),
    "/preview.js": ("preview.js", "text/javascript"),
    "/shown.js": ("shown.js", "text/javascript"),
    "/view.js": ("view.js", "text/javascript"),
    "/webrtc.js": ("webrtc.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# MJPEG is what /view alone shows. OBS runs on the same machine as a rule, where it is the better one: no other package,
# no network, and at 1280x720 and 30 a second a third of WebRTC's CPU time here (7 and 20 ms a painting) and less delay
# to Chromium's screen (58 and 82 ms). WebRTC is for viewers over Wi-Fi: it needs a quarter of the bits (5.5 and 24
# Mbit/s) and does not fall behind where packets are lost. Who asks for one never gets the other.
_VIEWS = {"mjpeg": "view.html", "webrtc": "webrtc.html"}


class WebSink(Sink):
    """Serves paintings and the desk on http://host:port.

    midi: what the page can teach. port: 0 takes any that is free (`address` tells it). token: see `Guard`.
    Raises SinkError: the address is taken, none, or not of this machine; the server does not start. InputError: a token
    that can be none.
    """

    def __init__(
        self,
        info: VideoInfo,
        desk: Desk,
        *,
        midi: Learner | None = None,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        token: str | None = None,
    ) -> None:
        first = slate(info.height_px, info.width_px, "Brushcast")
        self._painting, self._preview = Newest(first), Newest(first)
        self._guard = Guard(host, token)
        self._desk, self._midi = desk, midi
        self._info = info
        self._peers: Any = None  # who watches by WebRTC; an extra, imported with the first offer
        self._host, self._port = host, port
        self._ready: threading.Event = threading.Event()
        self._problem: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._viewers: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()
        if not self._ready.wait(STARTS_WITHIN_S):
            self._problem = TimeoutError(f"it did not start in {STARTS_WITHIN_S:g} s")
            self.__exit__(None, None, None)
        if self._problem is not None:
            raise SinkError(
                f"http://{host}:{port} cannot be served ({getattr(self._problem, 'strerror', '') or self._problem}); "
                "choose another with --web-host and --web-port"
            ) from self._problem
        name = reachable(host)
        name = f"[{name}]" if ":" in name else name
        token = "" if self._guard.token is None else f"?{QUERY}={self._guard.token}"
        self.address, self.view_address = (f"http://{name}:{self._port}{path}{token}" for path in ("/", "/view"))

    def write(self, painted: Painted) -> bool:
        self._painting.put(painted.image, self._loop)
        self._preview.put(composed(painted), self._loop)
        return True

    def idle(self) -> bool:
        """Viewers keep the last painting by themselves."""
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENDS_WITHIN_S)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._ready.set()

    async def _run(self) -> None:
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            try:
                await site.start()
            except (OSError, ValueError, OverflowError) as error:  # taken; no host's name; no port
                self._problem = error
                return
            self._port = runner.addresses[0][1]
            self._ready.set()
            await self._stop.wait()
        finally:
            for viewer in self._viewers:
                viewer.cancel()
            if self._peers is not None:
                await self._peers.close()
            await runner.cleanup()
            # What libraries began by themselves, aiortc for a connection that was just being made.
            if left := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=1.0)

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_told, self._guard.middleware], client_max_size=MAX_UPLOAD_BYTES)
        app.on_response_prepare.append(_with_headers)
        for path, (name, kind) in _PAGES.items():
            app.router.add_get(path, _page(name, kind))
        app.router.add_get("/view", self._view)
        app.router.add_get("/painting.mjpg", _motion(self._painting, self._viewing))
        app.router.add_get("/preview.mjpg", _motion(self._preview, self._viewing))
        app.router.add_get("/painting.jpg", self._still)
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/styles", self._styles)
        app.router.add_get("/api/styles/{name}/picture.jpg", self._picture)
        app.router.add_post("/api/styles", self._add)
        app.router.add_delete("/api/styles/{name}", self._remove)
        app.router.add_post("/api/set", self._set)
        app.router.add_post("/api/tap", self._tap)
        app.router.add_get("/api/midi", self._told_midi)
        app.router.add_post("/api/midi", self._teach)
        app.router.add_get("/api/presets", self._presets)
        app.router.add_post("/api/presets/{key}", self._save)
        app.router.add_delete("/api/presets/{key}", self._forget)
        app.router.add_post("/api/recall/{which}", self._recall)
        app.router.add_post("/api/webrtc", self._offer)
        app.router.add_get("/api/ws", self._socket)
        return app

    async def _view(self, request: web.Request) -> web.Response:
        how = request.query.get("how", "mjpeg")
        if how not in _VIEWS:
            raise InputError(f"how is {how!r}; it must be {' or '.join(_VIEWS)}")
        return _file(_VIEWS[how], "text/html")

    async def _still(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._painting.jpeg(), content_type="image/jpeg")

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._desk.state())

    async def _styles(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._desk.styles))

    async def _picture(self, request: web.Request) -> web.Response:
        image = await asyncio.to_thread(self._desk.picture, request.match_info["name"])
        return web.Response(body=encoded(image), content_type="image/jpeg")

    async def _add(self, request: web.Request) -> web.Response:
        name = _asked(request, "name").get("name", "")
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            most = MAX_UPLOAD_BYTES // 2**20
            what = _short(name) or "the picture"
            error.text = f"{what} has more than {most} MB; make it smaller, or save it as a JPEG"
            raise
        return web.json_response({"style": await asyncio.to_thread(self._desk.add, data, name)})

    async def _remove(self, request: web.Request) -> web.Response:
        self._desk.remove(request.match_info["name"])
        return web.json_response(await asyncio.to_thread(self._desk.styles))

    async def _set(self, request: web.Request) -> web.Response:
        self._desk.set(await _told_by(request))
        return web.json_response(self._desk.state())

    async def _tap(self, request: web.Request) -> web.Response:
        return web.json_response({"bpm": self._desk.tap()})

    async def _told_midi(self, request: web.Request) -> web.Response:
        return web.json_response({} if self._midi is None else self._midi.state())

    async def _teach(self, request: web.Request) -> web.Response:
        told = await _told_by(request)
        if self._midi is None:
            raise InputError("no MIDI input is open; start with --midi")
        match told:
            case {"learn": str(target)}:
                self._midi.learn(target)
            case {"forget": str(target)}:
                self._midi.forget(target)
            case {"cancel": True}:
                self._midi.cancel()
            case _:
                raise InputError('it must be {"learn": NAME}, {"forget": NAME} or {"cancel": true}')
        return web.json_response(self._midi.state())

    async def _presets(self, request: web.Request) -> web.Response:
        return web.json_response(self._desk.presets())

    async def _save(self, request: web.Request) -> web.Response:
        asked = _asked(request, "name", "instead_of")
        await asyncio.to_thread(self._desk.save, _key(request), asked.get("name", ""), asked.get("instead_of"))
        return web.json_response(self._desk.presets())

    async def _forget(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._desk.forget, _key(request))
        return web.json_response(self._desk.presets())

    async def _recall(self, request: web.Request) -> web.Response:
        within = _asked(request, "within_s").get("within_s")
        which = request.match_info["which"]
        if len(which) > MOST_NAME:
            raise InputError(f"no preset is called {_short(which)!r}")
        self._desk.recall(key_or_name(which), None if within is None else _seconds(within))
        return web.json_response(self._desk.state())

    async def _offer(self, request: web.Request) -> web.Response:
        of = _asked(request, "of").get("of", "painting")
        data = await request.clone(client_max_size=MAX_OFFER_BYTES).read()
        told = _json(data.decode(errors="replace"))
        if self._peers is None:
            try:  # in another thread: it takes a second
                webrtc = await asyncio.to_thread(import_module, "realtime.web.webrtc")
            except ModuleNotFoundError as error:
                text = f'{error.name} is not installed; run: pip install "brushcast[webrtc]"'
                raise web.HTTPNotImplemented(text=text) from error
            if self._stop.is_set():
                raise web.HTTPServiceUnavailable(text="Brushcast is ending")
            if self._peers is None:  # two may have waited for it
                self._peers = webrtc.Peers({"painting": self._painting, "preview": self._preview}, self._info)
        return web.json_response(await self._peers.answer(told, of))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=2**16)
        await socket.prepare(request)
        telling = asyncio.create_task(self._tell_state(socket))
        try:
            with self._viewing():
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        try:
                            self._desk.set(_json(message.data))
                        except BrushcastError as error:
                            await socket.send_json({"error": str(error)})
        finally:
            telling.cancel()
        return socket

    async def _tell_state(self, socket: web.WebSocketResponse) -> None:
        last: dict[str, Any] = {}
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                state = self._desk.state()
                if state != last:
                    await socket.send_json(state)
                    last = state
                await asyncio.sleep(STATE_EVERY_S)

    @contextlib.contextmanager
    def _viewing(self) -> Iterator[None]:
        """While somebody is connected for long: ended with the server."""
        task = asyncio.current_task()
        assert task is not None
        self._viewers.add(task)
        try:
            yield
        finally:
            self._viewers.discard(task)


@web.middleware
async def _told(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors as JSON, without a word of what is inside."""
    try:
        response: web.StreamResponse = await handler(request)
    except BrushcastError as error:
        return web.json_response({"error": str(error)}, status=400)
    except web.HTTPException as error:
        return web.json_response({"error": error.text or error.reason}, status=error.status)
    return response


async def _with_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _file(name: str, kind: str) -> web.Response:
    text = resources.files("realtime.web").joinpath("pages", name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=kind)


def _page(name: str, kind: str) -> Any:
    async def handler(request: web.Request) -> web.Response:
        return _file(name, kind)

    return handler


def _motion(newest: Newest, viewing: Callable[[], AbstractContextManager[None]]) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"})
        await response.prepare(request)
        with viewing(), contextlib.suppress(ConnectionError):
            async for data in newest.each():
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                await response.write(head.encode() + data + b"\r\n")
        return response

    return handler


def _key(request: web.Request) -> int:
    told = key_or_name(request.match_info["key"])
    if isinstance(told, str):
        raise InputError(f"no preset has the key {_short(told)!r}; the keys are 1 to 9")
    return told


async def _told_by(request: web.Request) -> object:
    """The JSON in the body. Raises InputError: it is no text."""
    try:
        text = await request.text()
    except (ValueError, LookupError) as error:  # bytes that are none in its charset; a charset that nobody knows
        raise InputError("the body must be JSON in UTF-8") from error
    return _json(text)


def _json(text: str) -> object:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter: lists in lists in lists
        return None


def _seconds(text: str) -> float:
    told = _json(text)
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise InputError(f"within_s is {_short(text)!r}; it must be a number of seconds")
    return told


def _asked(request: web.Request, *known: str) -> dict[str, str]:
    """What the query of a call says. Raises InputError: what nothing is called, and would be ignored."""
    for name in request.query:
        if name not in (*known, QUERY):
            raise InputError(f"nothing is called {_short(name)!r} here; known: {', '.join(known) or 'nothing'}")
    return dict(request.query)


def _short(told: str) -> str:
    return told if len(told) <= MOST_QUOTED else f"{told[:MOST_QUOTED]}…"
