"""The newest painting as VP8, for as many viewers as there are: encoded once, and only while somebody watches."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from realtime import pyav
from realtime.frames import Colour, Image, VideoInfo
from realtime.web.pictures import Newest

CODEC = "libvpx"
TIME_BASE = Fraction(1, 90_000)  # the clock of video over RTP
DEFAULT_RATE, MOST_RATE = 30.0, 60.0
HELD_S = 0.25  # while nothing new comes, the last painting goes on so often
KEYFRAME_EVERY_S = 2.0  # a viewer that lost more than can be sent again sees on from there
MOST_WAITING = 15
# A network at home has room: at a stream's 0.12 bits a pixel (`realtime.stream`) 720p loses 1 to 2 dB against these.
BITS_PER_PIXEL = 0.2
LEAST_BITRATE, MOST_BITRATE = 1_000_000, 12_000_000
# What browsers take VP8 for, which cannot say it itself: BT.601, limited range.
_COLOUR, _BT601 = Colour(matrix=5, range=pyav.LIMITED), 5
# VP8 rather than H.264. CPU time of a painting at 1280x720, and its PSNR, of two clips (x264: baseline, zerolatency):
#     libvpx as below       5.5 Mbit/s   12 ms   41.9 and 49.0 dB
#     x264 superfast        7.5          11      42.4     49.5
#     x264 superfast        3.7          11      39.9     47.9
#     x264 ultrafast        7.2           8      40.6     49.2
#     aiortc's own VP8      1.4          16      37.2     43.5    its highest bitrate; for each viewer again
#     aiortc's own H.264    2.6          52      39.1     46.7    the same
# So it takes about as long as x264 for the same quality, half as long again as the fastest x264, and fewer bits; every
# packet costs Python time for each viewer. And every browser has VP8, with any size of picture, odd ones too.
_OPTIONS = {
    "deadline": "realtime",
    "lag-in-frames": "0",
    # A quarter less time than with -6, which aiortc takes, for half a dB; -16 saves hardly more.
    "cpu-used": "-12",
    # Strokes are no noise: aiortc's 4 would smear them.
    "noise-sensitivity": "0",
    "static-thresh": "1",
    "undershoot-pct": "100",
    "overshoot-pct": "15",
}
Packet = Any  # av.Packet, which takes a parameter in some versions of PyAV, and in others none


class Viewer:
    """What one viewer is still to be sent, a few packets at the most. Used by the event loop's thread.

    A packet means something only after those before it: one who falls behind goes on at the next key frame.
    """

    def __init__(self) -> None:
        self._packets: asyncio.Queue[Packet | None] = asyncio.Queue(MOST_WAITING)
        self.needs_key = True

    def give(self, packet: Packet) -> None:
        if self._packets.full():
            self._clear()
            self.needs_key = True
        if packet.is_keyframe or not self.needs_key:
            self.needs_key = False
            self._packets.put_nowait(packet)

    def end(self) -> None:
        """Nothing will come any more."""
        self._clear()
        self._packets.put_nowait(None)

    async def next(self) -> Packet | None:
        """The next packet as soon as it is there, None after the end."""
        return await self._packets.get()

    def _clear(self) -> None:
        while not self._packets.empty():
            self._packets.get_nowait()


class Broadcast:
    """Encodes what `newest` holds while there are viewers. Used by the event loop's thread.

    A painting goes out as soon as it is there, with the moment as its time, and not on the ticks of a clock of our own:
    those would hold each one back by half a tick, and now and then drop one and show another twice. info: of the
    source; its rate is kept as the highest, in the mean. While nothing new comes, the last painting goes on.
    """

    def __init__(self, newest: Newest, info: VideoInfo) -> None:
        self._newest = newest
        self._rate = min(float(info.rate or DEFAULT_RATE), MOST_RATE)
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._start_s = time.monotonic()

    def join(self) -> Viewer:
        """A new viewer; the next picture is a key frame."""
        viewer = Viewer()
        self._viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Encoding ends with the last viewer. May be called twice."""
        self._viewers.discard(viewer)
        viewer.end()

    async def close(self) -> None:
        """End for all viewers."""
        for viewer in tuple(self._viewers):
            self.leave(viewer)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        encoder = Vp8(self._rate)
        period_s = 1 / self._rate
        number, due_s, key_s, pts = -1, 0.0, 0.0, -1
        try:
            while self._viewers:
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                number, image = await self._newest.after(number, HELD_S)
                now_s = time.monotonic()
                # One that comes late may be followed sooner: the rate holds in the mean, and jitter costs nothing.
                due_s = max(due_s, now_s - period_s) + period_s
                pts = max(round((now_s - self._start_s) / TIME_BASE), pts + 1)
                key = now_s - key_s >= KEYFRAME_EVERY_S or any(viewer.needs_key for viewer in self._viewers)
                key_s = now_s if key else key_s
                for packet in await asyncio.to_thread(encoder.encode, image, pts, key=key):
                    for viewer in tuple(self._viewers):
                        viewer.give(packet)
        finally:
            for viewer in tuple(self._viewers):  # after an error: nobody waits for what will not come
                self.leave(viewer)


class Vp8:
    """Encodes pictures, whose size may change, at a bitrate by their size. Used by one thread at a time.

    rate: pictures a second, about.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._reformatter = VideoReformatter()
        self._codec: VideoCodecContext | None = None

    def encode(self, image: Image, pts: int, *, key: bool) -> list[Packet]:
        """One picture, RGB uint8 (height, width, 3). pts: its time in TIME_BASE, above the one before.

        key: can be shown without any before. Raises what `pyav.ERRORS` names.
        """
        height, width = image.shape[:2]
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height):
            self._codec = self._opened(width, height)
        # Not from_ndarray, which copies 2.7 MB of 720p and lets no other thread run meanwhile.
        rgb = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
        frame = pyav.from_rgb(self._reformatter, rgb, "yuv420p", _COLOUR, _BT601)
        frame.pts, frame.time_base = pts, TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return self._codec.encode(frame)

    def _opened(self, width: int, height: int) -> VideoCodecContext:
        bitrate = round(min(max(BITS_PER_PIXEL * width * height * self._rate, LEAST_BITRATE), MOST_BITRATE))
        codec = av.CodecContext.create(CODEC, "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base, codec.framerate = TIME_BASE, Fraction(self._rate).limit_denominator(1001)
        codec.bit_rate = bitrate
        codec.gop_size = 3000  # key frames come when asked for
        codec.qmin, codec.qmax = 2, 56
        # Both limits at the bitrate ask for a constant one; half a second of it bounds a key frame.
        limits = {"minrate": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate // 2)}
        codec.options = {**_OPTIONS, **limits}
        # libvpx' threads wait for each other in busy loops: beside a painter that uses all cores two of them took ten
        # times the time of one.
        codec.thread_count = 1
        return codec
