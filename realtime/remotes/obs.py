"""Follows OBS (extra `obs`): a scene chooses the preset of its name, fading as long as OBS's transition takes.

The client is our own (`realtime.remotes.obs_link`), over aiohttp: of the libraries for this protocol one is GPL-3, and
the others tell a wrong password from a lost connection too late or not at all, and do not come back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from engines.errors import BrushcastError, InputError, SinkError
from realtime.desk import MOST_FADE_S, Desk
from realtime.remotes import OBS_PASSWORD, OBS_URL
from realtime.remotes.obs_link import Link, LostError, RefusedError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
ENDS_WITHIN_S = 5.0
_ADVICE = f"see OBS's Tools, WebSocket Server Settings; Brushcast reads {OBS_PASSWORD} or --obs-password-file"
USUAL_FADE_S = 0.3  # of OBS, where it does not tell
# OBS tells that a transition starts before it knows the scene that it goes to, and the scene's change when it is over.
_KNOWN_WITHIN_S, _ASKED_EVERY_S = 0.5, 0.02
_STARTED, _CHANGED = "SceneTransitionStarted", "CurrentProgramSceneChanged"
_ENDED, _RENAMED = "SceneTransitionEnded", "SceneNameChanged"


class Obs:
    """Follows the OBS at `url`, in a thread of its own.

    The scene that is on when OBS is found chooses a preset too. Scenes without a preset of their name (case does not
    count) change nothing. password: of OBS's WebSocket server, "" if it wants none. tell: called with a line when OBS
    is found, lost and found again, and where the desk did not take a preset. OBS need not be there yet: it is tried
    again after 0.5 s, 1, 2, ... 10 s, without end; not after it refused us. Raises InputError: no such address;
    SinkError: OBS refuses us at once.
    """

    def __init__(
        self,
        desk: Desk,
        url: str = OBS_URL,
        password: str = "",
        *,
        tell: Callable[[str], object] = lambda line: None,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        _check(url)
        self._desk, self._url, self._password = desk, url, password
        self._tell, self._first_wait_s = tell, first_wait_s
        self._scene = ""  # the one that was followed last
        self._refusal = ""
        self._tried = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="obs", daemon=True)
        self._thread.start()
        self._tried.wait()
        if self._refusal:
            self._thread.join()
            raise SinkError(self._refusal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._task is not None, "they are there from the first try on"
        with contextlib.suppress(RuntimeError):  # the loop has ended: OBS refused us
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(ENDS_WITHIN_S)

    def _run(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._keep())
        finally:
            self._tried.set()

    async def _keep(self) -> None:
        """Connect, follow, and do so again, until it is cancelled or OBS refuses us."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        wait_s, known, away = self._first_wait_s, False, False
        while True:
            try:
                async with Link.open(self._url, self._password) as link:
                    self._tell(f"OBS at {self._url} is {'back' if known else 'followed'}")
                    self._tried.set()
                    wait_s, known, away = self._first_wait_s, True, False
                    await self._follow(link)
            except RefusedError as error:
                line = f"{error} ({self._url}); {_ADVICE}"
                if self._tried.is_set():
                    self._tell(f"{line}; its scenes are no longer followed")
                else:
                    self._refusal = line
                return
            except (LostError, aiohttp.ClientError, OSError, TimeoutError) as error:
                if not away:
                    what = "was lost" if known else "cannot be reached"
                    self._tell(f"OBS at {self._url} {what} ({_line(error)}); trying again")
                    away = True
            self._tried.set()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _follow(self, link: Link) -> None:
        """Follow the scenes for as long as the connection lasts."""
        self._go(await _scene(link), None)
        while True:
            event, told = await link.event()
            if event == _STARTED:
                if (scene := await self._goal(link)) != self._scene:
                    self._go(scene, await _fade_s(link, scene, str(told.get("transitionName"))))
            elif event == _CHANGED and told.get("sceneName") != self._scene:
                self._go(await _scene(link), 0.0)
            elif event == _RENAMED and told.get("oldSceneName") == self._scene:
                self._scene = str(told.get("sceneName"))

    async def _goal(self, link: Link) -> str:
        """The scene that a transition which has just started goes to."""
        end_s = time.monotonic() + _KNOWN_WITHIN_S
        while (scene := await _scene(link)) in ("", self._scene) and time.monotonic() < end_s:
            if any(event in (_ENDED, _CHANGED) for event, _ in link.waiting):
                break
            await asyncio.sleep(_ASKED_EVERY_S)
        return scene

    def _go(self, scene: str, within_s: float | None) -> None:
        if scene in ("", self._scene):
            return
        self._scene = scene
        names = {name.casefold(): name for name in reversed(self._desk.presets().values())}
        preset = names.get(scene.strip().casefold())
        if preset is None:
            return
        try:
            self._desk.recall(preset, within_s)
        except BrushcastError as error:
            self._tell(f"OBS's scene {scene}: {error}")


async def _scene(link: Link) -> str:
    """The scene that is on, or goes on; "" where OBS does not say."""
    return str((await link.ask("GetCurrentProgramScene")).get("currentProgramSceneName") or "")


async def _fade_s(link: Link, scene: str, transition: str) -> float:
    """How long OBS takes to `scene` with `transition`: a scene may have its own; what ends by itself is a cut."""
    kinds = (await link.ask("GetSceneTransitionList")).get("transitions") or []
    if any(kind.get("transitionName") == transition and kind.get("transitionFixed") for kind in kinds):
        return 0.0
    own = await link.ask("GetSceneSceneTransitionOverride", sceneName=scene)
    if own.get("transitionName") != transition:
        own = await link.ask("GetCurrentSceneTransition")
    milliseconds = own.get("transitionDuration")
    return min(milliseconds / 1000, MOST_FADE_S) if isinstance(milliseconds, int | float) else USUAL_FADE_S


def _check(url: str) -> None:
    """Raise InputError unless `url` is the address of a WebSocket, without secrets."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("ws", "wss") and parts.hostname and (parts.port or 1) > 0
    except ValueError:  # the port is no number
        good = False
    if not good:
        raise InputError(f"{url} is no address of OBS; it must be ws://HOST:PORT, as {OBS_URL}")
    if "@" in parts.netloc:
        raise InputError("others on this machine can see a password in an address of OBS; see --obs-password-file")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or ("no answer" if isinstance(error, TimeoutError) else "no reason")
