"""Paintings by WebRTC: answers the offer of a page with a connection on which the newest painting goes out.

All stays in the network at hand: no STUN or TURN server is asked, and nothing is sent to an address before somebody
there has shown the secret of the answer, which went through the guard. aiortc is an extra and imported only here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import av
from aiohttp import web
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from engines.errors import InputError
from realtime.frames import VideoInfo
from realtime.web.broadcast import CODEC, Broadcast, Packet, Viewer
from realtime.web.pictures import Newest

MOST_PEERS = 8
CONNECTS_WITHIN_S = 10.0
ENDS_WITHIN_S = 2.0


class Peers:
    """All who watch by WebRTC. Used by the event loop's thread.

    pictures: what can be watched, by name; each is encoded once, however many watch. info: of the source.
    """

    def __init__(self, pictures: Mapping[str, Newest], info: VideoInfo) -> None:
        self._broadcasts = {name: Broadcast(newest, info) for name, newest in pictures.items()}
        self._peers: set[asyncio.Task[None]] = set()
        self._changed: set[asyncio.Event] = set()  # one for each of them
        self._answering = asyncio.Lock()
        self._closed = False

    async def answer(self, told: object, of: str) -> dict[str, str]:
        """The answer to an offer, both {"sdp": ..., "type": ...}; from here on the peer is looked after.

        of: which picture. Raises InputError: no such picture, no offer of a page that wants to see a video;
        web.HTTPServiceUnavailable: there are enough, or no network; web.HTTPNotImplemented: no VP8.
        """
        if of not in self._broadcasts:
            raise InputError(f"no picture {of!r}; known: {', '.join(self._broadcasts)}")
        offer = _offer(told)
        if CODEC not in av.codecs_available:
            raise web.HTTPNotImplemented(text="this PyAV has no VP8 (libvpx); install a newer one: pip install -U av")
        async with self._answering:
            if self._closed or len(self._peers) >= MOST_PEERS:
                raise web.HTTPServiceUnavailable(text=f"{MOST_PEERS} viewers watch by WebRTC already; use MJPEG")
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # None would be aiortc's default: Google's
            track = _Track(self._broadcasts[of])
            try:
                answer = await _answered(connection, track, offer)
            except BaseException:
                await connection.close()
                raise
            peer = asyncio.create_task(self._keep(connection, track))
            self._peers.add(peer)
            peer.add_done_callback(self._peers.discard)
            return answer

    async def close(self) -> None:
        """Take leave of all; none is waited for long."""
        self._closed = True
        # Told, not cancelled: aiortc cannot give up in the middle of an answer or of a farewell, sockets would be left.
        async with self._answering:
            for changed in self._changed:
                changed.set()
        if self._peers:
            await asyncio.wait(self._peers, timeout=ENDS_WITHIN_S)
        for broadcast in self._broadcasts.values():
            await broadcast.close()

    async def _keep(self, connection: RTCPeerConnection, track: _Track) -> None:
        """Stay until the viewer has gone or never came, or all end, and clean up."""
        changed = asyncio.Event()
        self._changed.add(changed)
        connection.on("connectionstatechange", changed.set)
        track.on("ended", changed.set)
        try:
            async with asyncio.timeout(CONNECTS_WITHIN_S):
                while connection.connectionState in ("new", "connecting") and not self._closed:
                    await changed.wait()
                    changed.clear()
            while connection.connectionState == "connected" and track.readyState == "live" and not self._closed:
                await changed.wait()
                changed.clear()
        except TimeoutError:
            pass  # who has not come by now will not come
        finally:
            self._changed.discard(changed)
            await connection.close()
            track.stop()


class _Track(MediaStreamTrack):
    """What aiortc asks for the next packet of one viewer."""

    kind = "video"

    def __init__(self, broadcast: Broadcast) -> None:
        super().__init__()
        self._broadcast = broadcast
        self._viewer: Viewer | None = None

    async def recv(self) -> Packet:
        """Already encoded: aiortc passes packets on as they are."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._viewer is None:  # aiortc asks as soon as the connection is made, so nothing is encoded before
            self._viewer = self._broadcast.join()
        packet = await self._viewer.next()
        if packet is None:
            self.stop()
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        if self._viewer is not None:
            self._broadcast.leave(self._viewer)
        super().stop()


async def _answered(connection: RTCPeerConnection, track: _Track, offer: RTCSessionDescription) -> dict[str, str]:
    transceiver = connection.addTransceiver(track, direction="sendonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in known if codec.mimeType in ("video/VP8", "video/rtx")])
    try:
        await connection.setRemoteDescription(offer)
        answer = await connection.createAnswer()
    except Exception as error:  # aiortc reads the text of others and raises whatever it stumbles over
        raise InputError("this is no offer that can be answered: it must be a browser's, with VP8") from error
    await connection.setLocalDescription(answer)
    answer = connection.localDescription  # now with our addresses
    if "a=candidate:" not in answer.sdp:
        # aiortc never uses 127.0.0.1, nor do browsers.
        raise web.HTTPServiceUnavailable(text="this machine has no network, which WebRTC needs; use MJPEG")
    return {"sdp": answer.sdp, "type": answer.type}


def _offer(told: object) -> RTCSessionDescription:
    """An offer of one video to receive, without the addresses of who made it. Raises InputError.

    The page tries our addresses as soon as it has the answer, and is answered where it is: so a name is never looked up
    (browsers hide their address behind one), and no offer can make us send anything to a third.
    """
    if not isinstance(told, dict) or told.get("type") != "offer" or not isinstance(told.get("sdp"), str):
        raise InputError('an offer must be a JSON object {"sdp": "...", "type": "offer"}')
    lines = told["sdp"].splitlines()
    media = [line for line in lines if line.startswith("m=")]
    # Another stream would be one for us to receive, and that costs a thread and a decoder.
    if len(media) != 1 or not media[0].startswith("m=video ") or not {"a=recvonly", "a=sendrecv"} & set(lines):
        raise InputError("an offer must be of one video to receive, and of nothing else")
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    return RTCSessionDescription(sdp="\r\n".join(kept) + "\r\n", type="offer")
