"""The process that encodes a stream and sends it; `realtime.stream` starts it and tells it what to send.

A process of its own, because PyAV connects without letting other threads of its process run, and without a limit of
time: a server that does not answer would stop the painting.

    standard input   one line of JSON, the fields of `Job`; then messages: `HEADER` and, for a picture, its bytes
    standard output  "connected", once; "error REASON" before it gives up, with exit code 1
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from engines.errors import BrushcastError
from realtime import pyav
from realtime.audio import Audio, FileAudio, Microphone
from realtime.frames import Colour, Image

# Kind; the clock's moment at which the picture was there, in seconds; its presentation time in the file, in seconds.
HEADER = struct.Struct("<cdd")
PICTURE, AGAIN, END = b"P", b"A", b"E"
CONNECTED, ERROR = "connected", "error"
# Scheme -> FFmpeg's name of the container.
FORMATS = {"rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts", "whip": "whip", "whips": "whip"}
ENCODERS = {
    "libx264": {"preset": "superfast", "tune": "zerolatency", "profile": "main"},
    "h264_nvenc": {"preset": "p4", "tune": "ll", "rc": "cbr"},
    "h264_qsv": {"preset": "veryfast", "async_depth": "1"},
    "h264_amf": {"usage": "lowlatency"},
    "h264_videotoolbox": {"realtime": "1"},
}
# What every WebRTC end point must take (RFC 7742, sec. 5; RFC 7874, sec. 3): a higher profile is refused by some.
_WEBRTC_PROFILE = {"h264_amf": "constrained_baseline"}
_WEBRTC_AUDIO, _AUDIO = "libopus", "aac"
KEYFRAME_EVERY_S = 2.0  # what streaming services ask for
_TICK = Fraction(1, 1000)  # FLV knows no finer one
_COLOUR = Colour(matrix=1, range=pyav.LIMITED, primaries=1, transfer=1)


@dataclass(frozen=True, slots=True)
class Job:
    """What to send where. rate: frames a second; bitrate: bits a second; the rest: see `realtime.stream`."""

    url: str
    width_px: int
    height_px: int
    rate: str
    encoder: str
    bitrate: int
    audio_from: str | None
    microphone: str | None

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Self:
        return cls(**json.loads(line))


def main() -> int:
    # Ctrl-C and a closed terminal are for the program that started this one: it closes our input, and what was begun is
    # completed.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        send_all(sys.stdin.buffer)
    except (*pyav.ERRORS, BrushcastError) as error:
        _say(f"{ERROR} {pyav.reason(error)}")
        # The connection is broken: nothing that its closing could wait for will come.
        os._exit(1)
    return 0


def send_all(messages: BinaryIO) -> None:
    """Connect, and send until the end. Raises what `pyav.ERRORS` names, SinkError (audio that cannot be read)."""
    job = Job.of(messages.readline())
    size = job.height_px * job.width_px * 3
    audio = _audio(job)
    connection: _Connection | None = None
    image: Image | None = None
    try:
        while len(header := messages.read(HEADER.size)) == HEADER.size:
            kind, moment_s, time_s = HEADER.unpack(header)
            if kind == END:
                break
            if kind == PICTURE:
                data = messages.read(size)
                if len(data) < size:
                    break
                image = np.frombuffer(data, np.uint8).reshape(job.height_px, job.width_px, 3)
                if audio is not None:
                    audio.follow(time_s, moment_s)
            if connection is None:
                connection = _Connection(job, moment_s, audio)
                _say(CONNECTED)
            if image is not None:
                connection.send(image, moment_s)
        if connection is not None:
            connection.close()
    finally:
        if audio is not None:
            audio.close()


class _Connection:
    """One connection with its encoders; its time 0 is the clock's `start_s`. Raises `pyav.ERRORS`."""

    def __init__(self, job: Job, start_s: float, audio: Audio | None) -> None:
        scheme = job.url.partition("://")[0].lower()
        # WHIP is spoken over HTTP.
        where = job.url.replace("whip", "http", 1) if scheme.startswith("whip") else job.url
        self._start_s, self._audio, self._last_tick = start_s, audio, -1
        self._reformatter = VideoReformatter()
        self._output: Any = av.open(where, "w", format=FORMATS[scheme])
        webrtc = FORMATS[scheme] == "whip"
        options = dict(ENCODERS[job.encoder])
        if webrtc:
            options["profile"] = _WEBRTC_PROFILE.get(job.encoder, "baseline")
        self._video = self._add_video(job, options)
        if audio is not None:
            audio.begin(self._output, start_s, _WEBRTC_AUDIO if webrtc else _AUDIO)
        self._output.start_encoding()

    def send(self, image: Image, moment_s: float) -> None:
        rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = pyav.from_rgb(self._reformatter, rgb, "yuv420p", _COLOUR, 1)
        tick = max(round((moment_s - self._start_s) / _TICK), self._last_tick + 1)
        self._last_tick = tick
        frame.pts, frame.time_base = tick, _TICK
        self._output.mux(self._video.encode(frame))
        if self._audio is not None:
            for packet in self._audio.until(moment_s):
                self._output.mux(packet)

    def close(self) -> None:
        with contextlib.suppress(*pyav.ERRORS):  # a server that ends first is no trouble any more
            self._output.mux(self._video.encode(None))
            self._output.close()

    def _add_video(self, job: Job, options: dict[str, str]) -> Any:
        rate = Fraction(job.rate)
        stream: Any = self._output.add_stream(job.encoder, rate=rate)
        stream.width, stream.height, stream.pix_fmt = job.width_px, job.height_px, "yuv420p"
        stream.options = {**options, "maxrate": str(job.bitrate), "bufsize": str(job.bitrate)}
        context: Any = stream.codec_context
        context.time_base = _TICK
        context.max_b_frames = 0
        context.gop_size = max(1, round(KEYFRAME_EVERY_S * float(rate)))
        context.bit_rate = job.bitrate
        context.color_range, context.colorspace = _COLOUR.range, _COLOUR.matrix
        context.color_primaries, context.color_trc = _COLOUR.primaries, _COLOUR.transfer
        return stream


def _audio(job: Job) -> Audio | None:
    if job.microphone is not None:
        return Microphone(job.microphone)
    return FileAudio.of(job.audio_from) if job.audio_from is not None else None


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
