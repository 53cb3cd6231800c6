"""The stream sink: paintings, encoded as H.264, go to a server or a listener, and come back after a break.

RTMP(S) to a server, MPEG-TS over UDP or TCP to whoever listens, WHIP to a WebRTC server.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from urllib.parse import urlsplit

import av

from engines.errors import SinkError
from realtime.frames import Image, Painted, VideoInfo
from realtime.mailbox import Closed, Mailbox
from realtime.sinks import Sink, slate
from realtime.streamer import AGAIN, CONNECTED, ENCODERS, END, ERROR, FORMATS, HEADER, PICTURE, Job

DEFAULT_ENCODER = "libx264"
BITS_PER_PIXEL = 0.12  # painted pictures have more texture than filmed ones
LEAST_BITRATE, MOST_BITRATE = 600_000, 12_000_000
TIMEOUT_S = 8.0  # to connect, and for a picture to go out
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
HELD_S = 0.2  # while nothing comes, the last painting is sent again so often
ENDS_WITHIN_S = 5.0
DEFAULT_RATE = Fraction(30)
_NO_ANSWER = "no answer"
_NEED_PORT = ("udp", "tcp")


def is_stream(where: str) -> bool:
    """Whether `where` is an address that a `Stream` is for."""
    return "://" in where and _scheme(where) in FORMATS


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a stream is encoded. encoder: of ENCODERS. bitrate: bits a second, None: by size and rate.

    microphone: its sound goes along, see `realtime.audio.Microphone`; None: none.
    """

    encoder: str = DEFAULT_ENCODER
    bitrate: int | None = None
    microphone: str | None = None


class Stream(Sink):
    """Sends paintings to `url`, with the time of their capture. Nothing here waits for the network.

    info: of the source. audio_from: a file whose first audio track, if it has one, goes along; only with a source that
    plays this file at its own pace, and without a microphone. tell: called with a line when the connection is lost and
    when it is back. After a loss it connects again after 0.5 s, 1, 2, ... 10 s, without end; what is painted meanwhile
    is not sent later. The first connection is not tried again: its error is the caller's. While nothing comes the last
    painting goes on, at first a slate. timeout_s: to connect, and for a picture to go out. Raises SinkError.
    """

    def __init__(
        self,
        url: str,
        info: VideoInfo,
        *,
        encoding: Encoding | None = None,
        audio_from: str | None = None,
        tell: Callable[[str], object] = lambda line: None,
        first_wait_s: float = FIRST_WAIT_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        encoding = encoding or Encoding()
        check(url, info, encoding)
        rate, bitrate = info.rate or DEFAULT_RATE, encoding.bitrate or usual_bitrate(info)
        size, microphone = (info.width_px, info.height_px), encoding.microphone
        self._job = Job(url, *size, str(rate), encoding.encoder, bitrate, audio_from, microphone)
        self._tell, self._first_wait_s, self._timeout_s = tell, first_wait_s, timeout_s
        self.name = safe_name(url)
        self._last: tuple[Image, float] = (slate(info.height_px, info.width_px, "Brushcast"), 0.0)
        self._sent_s = 0.0
        self._retry_s, self._wait_s = 0.0, first_wait_s
        self._away = False
        self._child: _Child | None = _Child(self._job)
        try:
            self._send(time.perf_counter())
            if not self._child.wait_connected(timeout_s):
                reason = self._child.reason or _NO_ANSWER
                raise SinkError(f"{self.name} cannot be reached: {reason}; {_ADVICE[_scheme(url)]}")
        except BaseException:
            # By Ctrl-C, too, which the process itself does not hear: it would wait on, and keep the port.
            self._child.kill()
            raise

    def write(self, painted: Painted) -> bool:
        self._last = painted.image, float(painted.frame.time)
        self._send(painted.frame.captured_s)
        return True

    def idle(self) -> bool:
        """Servers and viewers take a stream that stops for a lost one: the last painting goes on."""
        now_s = time.perf_counter()
        if now_s - self._sent_s >= HELD_S:
            self._send(now_s, again=True)
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _send(self, moment_s: float, *, again: bool = False) -> None:
        now_s = self._sent_s = time.perf_counter()
        child = self._child
        if child is None:
            if now_s < self._retry_s:
                return
            child = self._child = _Child(self._job)
            again = False  # this one has not seen it yet
        elif (reason := child.failure(self._timeout_s)) is not None:
            child.kill()
            self._child = None
            if not self._away:
                self._tell(f"{self.name} was lost ({reason}); trying to reach it again")
            self._away, self._retry_s = True, now_s + self._wait_s
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
            return
        elif self._away and child.connected:
            self._away, self._wait_s = False, self._first_wait_s
            self._tell(f"{self.name} is back")
        image, time_s = self._last
        child.offer(HEADER.pack(AGAIN if again else PICTURE, moment_s, time_s), None if again else image)


class _Child:
    """The process that encodes and sends (`realtime.streamer`), and the threads that talk with it."""

    def __init__(self, job: Job) -> None:
        self.reason = ""
        self._connected, self._ended = threading.Event(), threading.Event()
        self._slot: Mailbox[tuple[bytes, Image | None]] = Mailbox(newest_wins=True)
        self._begun_s = time.perf_counter()
        self._busy_since_s: float | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "realtime.streamer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._feeder = threading.Thread(target=self._feed, args=(job,), name="stream feed", daemon=True)
        self._reader = threading.Thread(target=self._read, name="stream read", daemon=True)
        self._feeder.start()
        self._reader.start()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Whether it is connected after so long at most."""
        end_s = time.perf_counter() + timeout_s
        while not self._connected.wait(0.02) and not self._ended.is_set() and time.perf_counter() < end_s:
            pass
        return self._connected.is_set()

    def failure(self, timeout_s: float) -> str | None:
        """Why nothing goes out any more, None if it does."""
        if self._ended.is_set():
            return self.reason or "the encoder ended"
        since_s = self._busy_since_s if self.connected else self._begun_s
        return _NO_ANSWER if since_s is not None and time.perf_counter() - since_s > timeout_s else None

    def offer(self, header: bytes, image: Image | None) -> None:
        """Send this as soon as the last is sent; what waited until now is left out."""
        try:
            self._slot.put((header, image))
        except Closed:
            return  # it has ended, which `failure` tells

    def close(self) -> None:
        """Complete what was begun, and end."""
        try:
            self._slot.close()
            self._feeder.join(ENDS_WITHIN_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDS_WITHIN_S)
        finally:
            self.kill()

    def kill(self) -> None:
        self._slot.abort()
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent
                pipe.close()

    def _feed(self, job: Job) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(job.line())
            while True:
                header, image = self._slot.take()
                self._busy_since_s = time.perf_counter()
                pipe.write(header)
                if image is not None:
                    pipe.write(image.data)
                pipe.flush()
                self._busy_since_s = None
        except Closed:
            try:
                pipe.write(HEADER.pack(END, 0.0, 0.0))
                pipe.flush()
            except OSError:
                return
        except OSError:
            self._slot.abort()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        for line in pipe:
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            if word == CONNECTED:
                self._connected.set()
            elif word == ERROR:
                self.reason = rest
        self._ended.set()


def check(url: str, info: VideoInfo, encoding: Encoding) -> None:
    """Raise SinkError unless `info` can be streamed to `url` in this way, as far as can be told beforehand."""
    scheme = _scheme(url)
    if scheme not in FORMATS or not _has_place(url):
        raise SinkError(
            f"{url} is no address for a stream; it must be SCHEME://HOST..., one of {', '.join(FORMATS)}, "
            "and for udp and tcp SCHEME://HOST:PORT"
        )
    if FORMATS[scheme] not in av.formats_available:
        raise SinkError(f"this PyAV cannot write {FORMATS[scheme]}; install a newer one: pip install -U av")
    if info.width_px % 2 or info.height_px % 2:
        even = f"{info.width_px // 2 * 2}x{info.height_px // 2 * 2}"
        raise SinkError(
            f"{info.width_px}x{info.height_px} cannot be streamed, because sides must be even; use --size {even}"
        )
    if encoding.encoder not in ENCODERS:
        raise SinkError(f"no encoder {encoding.encoder!r}; known: {', '.join(ENCODERS)}")
    if encoding.encoder not in av.codecs_available:
        raise SinkError(f"this PyAV has no {encoding.encoder}; use {DEFAULT_ENCODER}")
    if encoding.bitrate is not None and encoding.bitrate <= 0:
        raise SinkError(f"the bitrate is {encoding.bitrate}; it must be above 0 bits a second")


def _has_place(url: str) -> bool:
    """Whether an address has a host, and a port where its scheme has no usual one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # half an IPv6 address, a port of letters or above 65535
        return False
    return bool(parts.hostname) and port != 0 and (port is not None or _scheme(url) not in _NEED_PORT)


def usual_bitrate(info: VideoInfo) -> int:
    """Bits a second for a size and rate."""
    wanted = BITS_PER_PIXEL * info.width_px * info.height_px * float(info.rate or DEFAULT_RATE)
    return round(min(max(wanted, LEAST_BITRATE), MOST_BITRATE))


def safe_name(url: str) -> str:
    """An address without its stream key: the last part of the path, queries and passwords are secrets."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    folder = parts.path.rsplit("/", 1)[0]
    return f"{parts.scheme}://{parts.hostname or ''}{port}{folder}"


_SERVER = "start the server, or check the address and the stream key"
_ADVICE = {
    **dict.fromkeys(("rtmp", "rtmps", "whip", "whips"), _SERVER),
    "udp": "check the address",
    "tcp": "start what listens there first, or add ?listen to wait for it",
}


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()
