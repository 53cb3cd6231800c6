"""Following OBS: a server that speaks its protocol over real WebSockets, and, where it is installed, OBS itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engines.errors import InputError, SinkError
from realtime.control import Control
from realtime.desk import Desk
from realtime.remotes.obs import Obs
from realtime.remotes.obs_link import Link

Until = Callable[[Callable[[], Any]], Any]
PASSWORD = "correct horse"
SALT, CHALLENGE = "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=", "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY="


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """OBS as far as one hears of it, with the scenes and transitions that a test wants."""

    def __init__(self, password: str = PASSWORD) -> None:
        self.port, self.password = free_port(), password
        self.scene, self.next_scene, self.late = "Start", "", 0
        self.transition = {"transitionName": "Fade", "transitionFixed": False, "transitionDuration": 800}
        self.own: dict[str, dict[str, Any]] = {}
        self.hello: dict[str, Any] | None = None
        self.knocked = self.asked = 0
        self.codes: list[int | None] = []
        self.subscribed: list[int] = []
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake obs", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._do(self._start())

    def stop(self, code: int = 1001) -> None:
        self._do(self._stop(code))

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin_transition(self, scene: str, name: str | None = None, late: int = 0) -> None:
        """As OBS does: the scene's change is told at the end. late: so often the scene before is still answered."""
        self.next_scene, self.late = scene, late
        self.tell("SceneTransitionStarted", transitionName=name or self.transition["transitionName"])

    def end_transition(self) -> None:
        self.scene, self.next_scene = self.next_scene or self.scene, ""
        self.tell("CurrentProgramSceneChanged", sceneName=self.scene)
        self.tell("SceneTransitionEnded", transitionName=self.transition["transitionName"])

    def tell(self, event: str, **data: Any) -> None:
        self._do(self._tell({"op": 5, "d": {"eventType": event, "eventIntent": 4, "eventData": data}}))

    @property
    def followed(self) -> int:
        return len(self._sockets)

    def _do(self, task: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(5)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def _stop(self, code: int) -> None:
        for one in list(self._sockets):
            await one.close(code=code)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _tell(self, message: dict[str, Any]) -> None:
        for one in list(self._sockets):
            await one.send_json(message)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        one = web.WebSocketResponse(protocols=("obswebsocket.json",))
        await one.prepare(request)
        self.knocked += 1
        secret = {"authentication": {"salt": SALT, "challenge": CHALLENGE}} if self.password else {}
        await one.send_json(self.hello or {"op": 0, "d": {"obsWebSocketVersion": "5.1.0", "rpcVersion": 1, **secret}})
        with suppress(TypeError, ConnectionError):  # it goes away
            told = await one.receive_json()
            assert told["op"] == 1 and told["d"]["rpcVersion"] == 1
            if self.password and told["d"].get("authentication") != self._proof():
                await one.close(code=4009, message=b"Authentication failed.")
                return one
            self.subscribed.append(told["d"]["eventSubscriptions"])
            self._sockets.add(one)
            await one.send_json({"op": 2, "d": {"negotiatedRpcVersion": 1}})
            while True:
                await self._answer(one, await one.receive_json())
        self._sockets.discard(one)
        self.codes.append(one.close_code)
        return one

    def _proof(self) -> str:
        secret = base64.b64encode(hashlib.sha256((self.password + SALT).encode()).digest())
        return base64.b64encode(hashlib.sha256(secret + CHALLENGE.encode()).digest()).decode()

    async def _answer(self, one: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        told = asked["d"]
        self.asked += 1
        data = self._data(told["requestType"], told.get("requestData", {}))
        status = {"result": data is not None, "code": 204 if data is None else 100}
        answer = {"requestType": told["requestType"], "requestId": told["requestId"], "requestStatus": status}
        await one.send_json({"op": 7, "d": {**answer, "responseData": data}})

    def _data(self, request: str, about: dict[str, Any]) -> dict[str, Any] | None:
        if request == "GetCurrentProgramScene":
            self.late -= 1
            return {"currentProgramSceneName": self.next_scene if self.next_scene and self.late < 0 else self.scene}
        if request == "GetSceneTransitionList":
            fixed = {"transitionName": "Cut", "transitionFixed": True}
            return {"transitions": [fixed, {"transitionName": "Fade", "transitionFixed": False}]}
        if request == "GetSceneSceneTransitionOverride":
            return self.own.get(about["sceneName"], {"transitionName": None, "transitionDuration": None})
        if request == "GetCurrentSceneTransition":
            return self.transition
        return None


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def presets(small_desk: Desk) -> None:
    """Evening is moss, noon is sky; ember is on."""
    for slot, (name, style) in enumerate({"Evening": "moss", "noon": "sky"}.items(), 1):
        small_desk.set({"style": style})
        small_desk.save(slot, name)
    small_desk.set({"style": "ember"})


@pytest.fixture
def recalled(small_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The presets that were recalled, by their names."""
    names: list[str] = []
    recall = small_desk.recall
    monkeypatch.setattr(small_desk, "recall", lambda name, within_s: (names.append(name), recall(name, within_s)))
    return names


@pytest.fixture
def obs(server: Server, small_desk: Desk, presets: None, told: list[str], until: Until) -> Iterator[Obs]:
    with Obs(small_desk, server.url, PASSWORD, tell=told.append, first_wait_s=0.02) as obs:
        until(lambda: server.asked)  # for the scene that is on
        yield obs


def shown(desk: Desk, style: str) -> Callable[[], bool]:
    return lambda: bool(desk.state()["style"] == style)


def fade_s(control: Control, before: float, after: float) -> float:
    """How long the fade takes that has just begun: from one grey to another."""
    control.at(0.0)
    step = control.at(0.05).look.style.tensors["mean"][0] - before
    return 0.0 if step == after - before else float(0.05 * (after - before) / step)


def test_a_scene_chooses_its_preset_when_the_transition_begins(
    obs: Obs, server: Server, small_desk: Desk, small_control: Control, until: Until
) -> None:
    assert server.subscribed == [20]  # scenes and transitions, and nothing else
    server.begin_transition("evening")
    until(shown(small_desk, "moss"))
    assert fade_s(small_control, 200, 90) == pytest.approx(0.8)
    small_control.at(1.0)
    small_desk.set({"strength": 0.5})  # by hand, while the transition goes on
    server.end_transition()
    server.begin_transition("NOON")
    until(shown(small_desk, "sky"))
    assert small_desk.state()["strength"] == 1.0  # of the preset


def test_obs_knows_the_scene_only_after_the_transition_began(
    obs: Obs, server: Server, small_desk: Desk, small_control: Control, until: Until
) -> None:
    server.begin_transition("evening", late=3)
    until(shown(small_desk, "moss"))
    assert fade_s(small_control, 200, 90) == pytest.approx(0.8)


def test_a_cut_is_at_once(obs: Obs, server: Server, small_desk: Desk, small_control: Control, until: Until) -> None:
    server.transition = {"transitionName": "Cut", "transitionFixed": True, "transitionDuration": None}
    server.begin_transition("evening")
    server.end_transition()
    until(shown(small_desk, "moss"))
    assert fade_s(small_control, 200, 90) == 0.0


def test_a_scene_s_own_transition_goes_first(
    obs: Obs, server: Server, small_desk: Desk, small_control: Control, until: Until
) -> None:
    server.own = {
        "evening": {"transitionName": "Fade", "transitionDuration": 200},
        "noon": {"transitionName": "Cut", "transitionDuration": 300},
    }
    server.begin_transition("evening")
    until(shown(small_desk, "moss"))
    assert fade_s(small_control, 200, 90) == pytest.approx(0.2)
    small_control.at(1.0)
    server.end_transition()
    server.begin_transition("noon", "Cut")
    until(shown(small_desk, "sky"))
    assert fade_s(small_control, 90, 30) == 0.0


def test_a_length_that_obs_does_not_tell_and_one_that_is_too_long(
    obs: Obs, server: Server, small_desk: Desk, small_control: Control, until: Until
) -> None:
    server.transition = {"transitionName": "Cut", "transitionFixed": True, "transitionDuration": None}
    server.begin_transition("evening", "Fade")  # a quick transition, whose length nobody can ask for
    until(shown(small_desk, "moss"))
    assert fade_s(small_control, 200, 90) == pytest.approx(0.3)
    small_control.at(1.0)
    server.end_transition()
    server.transition = {"transitionName": "Fade", "transitionFixed": False, "transitionDuration": 90_000}
    server.begin_transition("noon")
    until(shown(small_desk, "sky"))
    assert fade_s(small_control, 90, 30) == pytest.approx(60, rel=1e-3)


def test_scenes_without_a_preset_change_nothing(obs: Obs, server: Server, small_desk: Desk, until: Until) -> None:
    before = small_desk.state()
    server.begin_transition("Intermission")
    server.end_transition()
    server.begin_transition("Evening ")
    until(shown(small_desk, "moss"))
    small_desk.set({"style": "ember"})
    server.end_transition()
    server.begin_transition("Intermission")
    server.end_transition()
    server.begin_transition("noon")
    until(shown(small_desk, "sky"))
    assert small_desk.state() == {**before, "style": "sky"}


def test_a_change_without_a_transition_and_a_scene_that_is_renamed(
    obs: Obs, server: Server, small_desk: Desk, recalled: list[str], until: Until
) -> None:
    server.scene = "evening"  # as with another collection of scenes
    server.tell("CurrentProgramSceneChanged", sceneName="evening")
    until(shown(small_desk, "moss"))
    server.scene = "noon"
    server.tell("SceneNameChanged", oldSceneName="evening", sceneName="noon")
    server.tell("CurrentProgramSceneChanged", sceneName="noon")
    server.tell("CurrentProgramSceneChanged", sceneName="gone by now")  # the end of studio mode tells such
    server.begin_transition("evening", late=1)
    until(lambda: recalled == ["Evening", "Evening"])


def test_the_scene_that_is_on_chooses_at_once(server: Server, small_desk: Desk, presets: None, until: Until) -> None:
    server.scene = "noon"
    with Obs(small_desk, server.url, PASSWORD):
        until(shown(small_desk, "sky"))


def test_what_the_desk_does_not_take_is_told(
    obs: Obs, server: Server, small_desk: Desk, told: list[str], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(which: str, within_s: float | None) -> None:
        raise InputError("no style 'lost'; known: ember")

    monkeypatch.setattr(small_desk, "recall", refuses)
    server.begin_transition("evening")
    until(lambda: told[1:] == ["OBS's scene evening: no style 'lost'; known: ember"])
    monkeypatch.undo()
    server.begin_transition("noon")
    until(shown(small_desk, "sky"))


def test_without_a_password(small_desk: Desk, presets: None, until: Until) -> None:
    server = Server(password="")
    server.start()
    try:
        with Obs(small_desk, server.url):
            server.begin_transition("evening")
            until(shown(small_desk, "moss"))
    finally:
        server.end()


@pytest.mark.parametrize(
    ("password", "problem"), [("wrong", "OBS does not take the password"), ("", "OBS wants a password")]
)
def test_a_wrong_password_is_one_line_and_one_try(
    server: Server, small_desk: Desk, password: str, problem: str
) -> None:
    before = threading.active_count()
    with pytest.raises(SinkError) as error:
        Obs(small_desk, server.url, password, first_wait_s=0.001)
    line = str(error.value)
    assert line.startswith(f"{problem} ({server.url}); ") and "BRUSHCAST_OBS_PASSWORD" in line and "\n" not in line
    assert password == "" or password not in line
    assert server.knocked == 1 and threading.active_count() == before


def test_obs_goes_and_comes_back(obs: Obs, server: Server, small_desk: Desk, told: list[str], until: Until) -> None:
    server.stop()
    until(lambda: len(told) == 2)
    time.sleep(0.1)  # it is tried again meanwhile, of which no line is to be told
    server.scene = "evening"
    server.start()
    until(shown(small_desk, "moss"))
    server.begin_transition("noon")
    until(shown(small_desk, "sky"))
    assert told == [
        f"OBS at {server.url} is followed",
        f"OBS at {server.url} was lost (OBS ended the connection); trying again",
        f"OBS at {server.url} is back",
    ]


def test_what_was_changed_by_hand_stays_when_obs_comes_back_with_its_scene(
    obs: Obs, server: Server, small_desk: Desk, told: list[str], recalled: list[str], until: Until
) -> None:
    server.begin_transition("evening")
    until(shown(small_desk, "moss"))
    server.end_transition()
    small_desk.set({"style": "stone"})
    server.stop()
    until(lambda: len(told) == 2)
    server.start()
    until(lambda: len(told) == 3)
    server.begin_transition("noon")
    until(shown(small_desk, "sky"))
    assert recalled == ["Evening", "noon"]


def test_obs_need_not_be_there_yet(
    server: Server, small_desk: Desk, presets: None, told: list[str], until: Until
) -> None:
    server.stop()
    with Obs(small_desk, server.url, PASSWORD, tell=told.append, first_wait_s=0.02):
        assert len(told) == 1 and told[0].startswith(f"OBS at {server.url} cannot be reached (")
        server.scene = "evening"
        server.start()
        until(shown(small_desk, "moss"))
    assert told[1:] == [f"OBS at {server.url} is followed"]


@pytest.mark.parametrize("code", [4009, 4011])
def test_when_obs_wants_us_no_more_it_is_left_alone(
    obs: Obs, server: Server, told: list[str], until: Until, code: int
) -> None:
    server.stop(code)
    until(lambda: len(told) == 2)
    assert "no longer followed" in told[1]
    until(lambda: not any(thread.name == "obs" for thread in threading.enumerate()))


@pytest.mark.parametrize("hello", [{"op": 7, "d": {}}, {"op": "x"}, ["update-type"], {"op": 0, "d": 3}])
def test_what_is_not_obs(server: Server, small_desk: Desk, told: list[str], hello: Any) -> None:
    server.hello = hello
    with Obs(small_desk, server.url, PASSWORD, tell=told.append):
        assert told == [f"OBS at {server.url} cannot be reached (what answers is not OBS 28 or newer); trying again"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("127.0.0.1:4455", "is no address of OBS; it must be ws://HOST:PORT"),
        ("http://127.0.0.1:4455", "is no address of OBS"),
        ("ws://", "is no address of OBS"),
        ("ws://127.0.0.1:many", "is no address of OBS"),
        ("ws://:secret@127.0.0.1:4455", "others on this machine can see a password"),
    ],
)
def test_addresses_that_are_none(small_desk: Desk, url: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as error:
        Obs(small_desk, url)
    assert "secret" not in str(error.value)


def test_nothing_is_left(server: Server, small_desk: Desk, until: Until) -> None:
    before = threading.active_count()
    with Obs(small_desk, server.url, PASSWORD):
        assert threading.active_count() == before + 1
        until(lambda: server.followed == 1)
    assert threading.active_count() == before
    until(lambda: server.codes == [1000])  # it took its leave
    server.stop()
    with Obs(small_desk, server.url, PASSWORD):  # waiting to try again
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


class RealObs:
    """OBS itself, on a screen that nobody sees. Newer ones read the second file, older ones the first."""

    def __init__(self, home: Path) -> None:
        self.port, self._home = free_port(), home
        folder = home / ".config" / "obs-studio"
        plugin = folder / "plugin_config" / "obs-websocket"
        plugin.mkdir(parents=True)
        general = "[General]\nFirstRun=true\nInfoIncrement=9999999\n"
        server = f"ServerEnabled=true\nServerPort={self.port}\nAuthRequired=true\nServerPassword={PASSWORD}\n"
        (folder / "global.ini").write_text(f"{general}\n[OBSWebSocket]\nFirstLoad=false\n{server}")
        (folder / "user.ini").write_text(general)
        told = {"first_load": False, "server_enabled": True, "server_port": self.port, "alerts_enabled": False}
        (plugin / "config.json").write_text(json.dumps({**told, "auth_required": True, "server_password": PASSWORD}))
        screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp"]
        self._screen = subprocess.Popen(screen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._screen.stdout is not None
        self._display = f":{self._screen.stdout.readline().decode().strip()}"
        self._obs: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        home = str(self._home)
        places = {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config", "XDG_RUNTIME_DIR": home}
        drawn = {"DISPLAY": self._display, "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}
        self._obs = subprocess.Popen(
            ["obs", "--multi", "--disable-updater", "--disable-missing-files-check", "--disable-shutdown-check"],
            env={**os.environ, **places, **drawn},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        if self._obs is not None:
            self._obs.kill()
            self._obs.wait()
            self._obs = None

    def end(self) -> None:
        self.stop()
        self._screen.terminate()
        self._screen.communicate()

    def ask(self, *requests: tuple[str, dict[str, Any]]) -> None:
        """Ask it what it is to do, over a connection of its own."""

        async def ask() -> None:
            async with Link.open(self.url, PASSWORD) as link:
                for request, about in requests:
                    await link.ask(request, **about)

        asyncio.run(ask())


@pytest.fixture
def real_obs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealObs]:
    if shutil.which("obs") is None or shutil.which("Xvfb") is None:
        pytest.skip("OBS or Xvfb is not installed")
    real = RealObs(tmp_path_factory.mktemp("home"))
    try:
        real.start()
        yield real
    finally:
        real.end()


@pytest.mark.slow
def test_obs_itself_is_followed(
    real_obs: RealObs, small_desk: Desk, small_control: Control, presets: None, told: list[str], recalled: list[str]
) -> None:
    def until(truth: Callable[[], Any], within_s: float = 60.0) -> None:
        end_s = time.monotonic() + within_s
        while not truth():
            assert time.monotonic() < end_s, told
            time.sleep(0.01)

    def go(scene: str, style: str, before: float, after: float, *, studio: bool = False) -> float:
        """Change the scene. Returns how long the fade takes that this brings about."""
        count = len(recalled)
        if studio:
            real_obs.ask(("SetCurrentPreviewScene", {"sceneName": scene}), ("TriggerStudioModeTransition", {}))
        else:
            real_obs.ask(("SetCurrentProgramScene", {"sceneName": scene}))
        begun_s = time.monotonic()
        until(shown(small_desk, style), 5)
        assert time.monotonic() - begun_s < 0.6  # not after the transition
        length_s = fade_s(small_control, before, after)
        small_control.at(100.0)
        time.sleep(1.5)  # what OBS tells at the end of its transition is to change nothing
        assert len(recalled) == count + 1
        return length_s

    with Obs(small_desk, real_obs.url, PASSWORD, tell=told.append, first_wait_s=0.2):
        until(lambda: told[-1:] == [f"OBS at {real_obs.url} is followed"])
        real_obs.ask(
            *(("CreateScene", {"sceneName": name}) for name in ("evening", "noon", "Intermission")),
            ("SetCurrentSceneTransition", {"transitionName": "Fade"}),
            ("SetCurrentSceneTransitionDuration", {"transitionDuration": 900}),
        )
        assert go("evening", "moss", 200, 90) == pytest.approx(0.9, rel=1e-3)
        assert go("noon", "sky", 90, 30) == pytest.approx(0.9, rel=1e-3)
        own = {"sceneName": "evening", "transitionName": "Fade", "transitionDuration": 700}
        real_obs.ask(("SetSceneSceneTransitionOverride", own))
        assert go("evening", "moss", 30, 90) == pytest.approx(0.7, rel=1e-3)
        real_obs.ask(("SetCurrentSceneTransition", {"transitionName": "Cut"}))
        assert go("noon", "sky", 90, 30) == 0.0
        real_obs.ask(("SetCurrentProgramScene", {"sceneName": "Intermission"}))
        real_obs.ask(("SetStudioModeEnabled", {"studioModeEnabled": True}))
        time.sleep(1.0)  # while a cut is not yet drawn, OBS takes no other transition, and does not say so
        assert go("evening", "moss", 30, 90, studio=True) == pytest.approx(0.7, rel=1e-3)
        with pytest.raises(SinkError, match="OBS does not take the password"):
            Obs(small_desk, real_obs.url, "wrong")
        small_desk.set({"style": "stone"})
        real_obs.stop()
        until(lambda: "was lost" in told[-1])
        real_obs.start()
        until(lambda: told[-1] == f"OBS at {real_obs.url} is back")
