"""The obs-websocket protocol, version 5: as much of it as following OBS's scenes needs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

HELLO, IDENTIFY, IDENTIFIED, EVENT, REQUEST, ANSWER = 0, 1, 2, 5, 6, 7
RPC_VERSION = 1
SCENES, TRANSITIONS = 1 << 2, 1 << 4  # kinds of events
SUBPROTOCOL = "obswebsocket.json"
ANSWERS_WITHIN_S = 5.0
_PONGS_WITHIN_S, _ENDS_WITHIN_S = 10.0, 1.0
_WRONG_PASSWORD, _UNSUPPORTED, _DISMISSED = 4009, 4010, 4011

Event = tuple[str, dict[str, Any]]  # its type, its data


class RefusedError(Exception):
    """OBS does not want us, and trying again would not help."""


class LostError(Exception):
    """The connection is gone, or it is not OBS at the other end."""


class Link:
    """A connection that OBS has let in; used by one task."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._asked = 0
        self.waiting: deque[Event] = deque()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, password: str) -> AsyncIterator[Link]:
        """Connect and identify. Raises RefusedError, LostError, TimeoutError, and what aiohttp raises."""
        closing = aiohttp.ClientWSTimeout(ws_close=_ENDS_WITHIN_S)
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                socket = await session.ws_connect(
                    url, protocols=(SUBPROTOCOL,), heartbeat=_PONGS_WITHIN_S, timeout=closing
                )
            async with socket:
                link = cls(socket)
                async with asyncio.timeout(ANSWERS_WITHIN_S):
                    await link._identify(password)
                yield link

    async def ask(self, request: str, **about: Any) -> dict[str, Any]:
        """What OBS answers; nothing if it cannot. Events that come meanwhile are put into `waiting`."""
        self._asked += 1
        number = str(self._asked)
        await self._send(REQUEST, {"requestType": request, "requestId": number, "requestData": about})
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while True:
                kind, told = await self._next()
                if kind == EVENT:
                    self.waiting.append(_event(told))
                elif kind == ANSWER and told.get("requestId") == number:
                    return told.get("responseData") or {}

    async def event(self) -> Event:
        """The next event."""
        while not self.waiting:
            kind, told = await self._next()
            if kind == EVENT:
                return _event(told)
        return self.waiting.popleft()

    async def _identify(self, password: str) -> None:
        hello = await self._take(HELLO)
        told: dict[str, Any] = {"rpcVersion": RPC_VERSION, "eventSubscriptions": SCENES | TRANSITIONS}
        if isinstance(asked := hello.get("authentication"), dict):
            if not password:
                raise RefusedError("OBS wants a password")
            told["authentication"] = proof(password, str(asked.get("salt")), str(asked.get("challenge")))
        await self._send(IDENTIFY, told)
        await self._take(IDENTIFIED)

    async def _send(self, kind: int, told: dict[str, Any]) -> None:
        await self._socket.send_json({"op": kind, "d": told})

    async def _take(self, wanted: int) -> dict[str, Any]:
        kind, told = await self._next()
        if kind != wanted:
            raise LostError("what answers is not OBS 28 or newer")
        return told

    async def _next(self) -> tuple[int, dict[str, Any]]:
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise _ended(self._socket.close_code)
        try:
            told = message.json()
            return int(told["op"]), dict(told["d"])
        except (ValueError, TypeError, KeyError) as error:
            raise LostError("what answers is not OBS 28 or newer") from error


def proof(password: str, salt: str, challenge: str) -> str:
    """What shows that one has the password, without telling it."""
    return _hash(_hash(password + salt) + challenge)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _event(told: dict[str, Any]) -> Event:
    return str(told.get("eventType")), told.get("eventData") or {}


def _ended(code: int | None) -> RefusedError | LostError:
    if code == _WRONG_PASSWORD:
        return RefusedError("OBS does not take the password")
    if code == _UNSUPPORTED:
        return RefusedError("OBS speaks another version of its protocol")
    if code == _DISMISSED:
        return RefusedError("OBS has dismissed Brushcast")
    return LostError("OBS ended the connection")
