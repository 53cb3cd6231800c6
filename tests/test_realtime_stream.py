"""Streams to real listeners on this machine: FFmpeg's RTMP server, and MPEG-TS over UDP and TCP."""

from __future__ import annotations

import _thread
import itertools
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines.errors import SinkError
from realtime import stream
from realtime.frames import Frame, Painted, VideoInfo
from realtime.stream import Encoding, Stream, check, is_stream, safe_name, usual_bitrate

INFO = VideoInfo("numbers", 160, 96, Fraction(25), Fraction(1, 100))
NGINX_RTMP = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def painted(number: int, value: int, audio_time: Fraction | None = None) -> Painted:
    image = np.full((96, 160, 3), value, np.uint8)
    frame = Frame(255 - image, number, audio_time or Fraction(number, 25), time.perf_counter())
    return Painted(frame, image, 0.0, 0.0)


class Listener(threading.Thread):
    """Receives a stream as a viewer does: decodes it until it ends."""

    def __init__(self, where: str, **options: str) -> None:
        super().__init__(daemon=True)
        self.where, self.options = where, options
        self.pictures: list[np.ndarray[Any, Any]] = []
        self.times: dict[str, list[float]] = {"video": [], "audio": []}
        self.loudness: list[float] = []
        self.start()

    def run(self) -> None:
        end_s = time.monotonic() + 10
        while time.monotonic() < end_s:
            try:
                with av.open(self.where, options=self.options, timeout=8) as container:
                    self._receive(container)
                    return
            except (av.error.FFmpegError, OSError):
                if self.pictures:
                    return
                time.sleep(0.02)

    def _receive(self, container: Any) -> None:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                self.times["video"].append(float(frame.time))
                self.pictures.append(frame.to_ndarray(format="rgb24"))
            else:
                self.times["audio"].append(float(frame.time))
                self.loudness.append(float(np.abs(frame.to_ndarray()).mean()))

    def values(self) -> list[int]:
        return [round(float(picture.mean())) for picture in self.pictures]


def patiently(url: str, **told: Any) -> Stream:
    """A stream to a listener that may not be there yet."""
    end_s = time.monotonic() + 10
    while True:
        try:
            return Stream(url, INFO, **told)
        except SinkError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.02)


def send(sink: Stream, count: int, value: int = 90) -> None:
    for number in range(count):
        assert sink.write(painted(number, value))
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["rtmp", "tcp"])
def test_what_is_sent_arrives_in_time_and_colour(kind: str) -> None:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/key" if kind == "rtmp" else f"tcp://127.0.0.1:{port}"
    listener = Listener(url, listen="1")
    with patiently(url) as sink:
        time.sleep(0.3)
        assert sink.idle()  # the slate goes on
        send(sink, 30)
    listener.join(10)
    values, times = listener.values(), listener.times["video"]
    assert len(values) >= 30
    assert abs(values[-1] - 90) <= 3 and values[0] < 60  # the slate came first, and never the source
    assert all(abs(value - 165) > 20 for value in values)
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] - times[0] < 2.5


def test_udp_needs_no_listener() -> None:
    port = free_port()
    with Stream(f"udp://127.0.0.1:{port}", INFO) as sink:
        send(sink, 5)


def test_the_sound_of_a_file_goes_along(tmp_path: Path) -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    listener = Listener(url, listen="1")
    with patiently(url, audio_from=str(tone(tmp_path / "tone.wav"))) as sink:
        begin_s = time.perf_counter()
        for number in range(60):
            time.sleep(max(0.0, begin_s + number / 50 - time.perf_counter()))
            sink.write(painted(number, 90, Fraction(number, 50)))
    listener.join(10)
    assert listener.times["audio"][-1] == pytest.approx(listener.times["video"][-1], abs=0.15)
    # Silent for half a second, then a tone: where it begins, on the clock of the pictures.
    loud = next(when for when, level in zip(listener.times["audio"], listener.loudness, strict=True) if level > 0.05)
    first_painting = next(
        when for when, value in zip(listener.times["video"], listener.values(), strict=True) if value > 80
    )
    assert loud - first_painting == pytest.approx(0.5, abs=0.1)


def test_a_lost_connection_comes_back_and_holds_nobody() -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    lines: list[str] = []
    with listening(port) as first, patiently(url, tell=lines.append, first_wait_s=0.05) as sink:
        connection, _ = first.accept()
        send(sink, 5)
        connection.close()
        first.close()
        begin_s = time.monotonic()
        while not lines and time.monotonic() - begin_s < 10:
            send(sink, 5)
        assert "was lost" in lines[0] and len(lines) == 1
        begin_s = time.monotonic()
        send(sink, 20)  # while there is nobody
        assert time.monotonic() - begin_s < 2
        listener = Listener(url, listen="1")
        begin_s = time.monotonic()
        while len(lines) < 2 and time.monotonic() - begin_s < 10:
            send(sink, 5, 200)
        assert lines[1] == f"tcp://127.0.0.1:{port} is back"
        send(sink, 10, 200)
    listener.join(10)
    assert abs(listener.values()[-1] - 200) <= 3


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server


def test_whip_offers_what_every_webrtc_server_takes(tmp_path: Path) -> None:
    """FFmpeg's own handshake, to a server that looks at the offer and declines."""
    sound = tone(tmp_path / "tone.wav")
    offers: list[str] = []

    class Declines(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            offers.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_error(503)

        def log_message(self, *told: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Declines) as server:
        answering = threading.Thread(target=server.serve_forever, daemon=True)
        answering.start()
        with pytest.raises(SinkError, match=r"whip://127.0.0.1:\d+/app cannot be reached"):
            Stream(f"whip://127.0.0.1:{server.server_port}/app/key", INFO, audio_from=str(sound))
        server.shutdown()
        answering.join()
    profiles = re.findall("profile-level-id=(..)", offers[0])
    assert profiles == ["42"] and "opus/48000/2" in offers[0]


def test_nobody_there_is_an_error_without_the_stream_key() -> None:
    with pytest.raises(SinkError, match=r"cannot be reached: .*start the server") as told:
        Stream(f"rtmp://127.0.0.1:{free_port()}/live/secret", INFO)
    assert "secret" not in str(told.value)


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    port = free_port()
    with listening(port):
        begin_s = time.monotonic()
        with pytest.raises(SinkError, match="cannot be reached: no answer"):
            Stream(f"rtmp://127.0.0.1:{port}/live/key", INFO, timeout_s=2.0)
        assert time.monotonic() - begin_s < 8


def test_ctrl_c_while_it_connects_leaves_no_process_behind() -> None:
    port = free_port()
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    with listening(port) as server:
        server.settimeout(20)
        accepted: list[socket.socket] = []

        def interrupt() -> None:
            accepted.append(server.accept()[0])  # it has connected, and waits for an answer
            _thread.interrupt_main()

        interrupting = threading.Thread(target=interrupt, daemon=True)
        interrupting.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                Stream(f"rtmp://127.0.0.1:{port}/live/key", INFO, timeout_s=30)
        finally:
            signal.signal(signal.SIGINT, former)
        interrupting.join()
        with accepted[0] as connection:
            connection.settimeout(3)
            while connection.recv(65_536):  # until it is closed, by the end of the process
                pass


def test_a_viewer_that_stops_reading_holds_nobody_and_is_given_up() -> None:
    port = free_port()
    large = VideoInfo("large", 640, 384, Fraction(25), Fraction(1, 100))
    noise = np.random.default_rng(0).integers(0, 256, (384, 640, 3), dtype=np.uint8)
    lines: list[str] = []
    encoding = Encoding(bitrate=50_000_000)
    with (
        listening(port) as server,
        Stream(f"tcp://127.0.0.1:{port}", large, encoding=encoding, tell=lines.append, timeout_s=4.0) as sink,
    ):
        connection, _ = server.accept()
        server.close()
        longest_s, end_s = 0.0, time.monotonic() + 20
        while not lines and time.monotonic() < end_s:
            begin_s = time.monotonic()
            sink.write(Painted(Frame(noise, 0, Fraction(0), time.perf_counter()), noise, 0.0, 0.0))
            longest_s = max(longest_s, time.monotonic() - begin_s)
            time.sleep(0.005)
        connection.close()
    assert "was lost (no answer)" in lines[0]
    assert longest_s < 0.5


@pytest.mark.parametrize(
    ("url", "info", "encoding", "problem"),
    [
        ("rtmp:///live", INFO, Encoding(), "no address"),
        ("ftp://host/x", INFO, Encoding(), "no address for a stream"),
        ("udp://127.0.0.1:99999", INFO, Encoding(), "no address for a stream"),
        ("rtmp://host:port/live/key", INFO, Encoding(), "no address for a stream"),
        ("tcp://[::1:9000", INFO, Encoding(), "no address for a stream"),
        ("udp://127.0.0.1", INFO, Encoding(), "SCHEME://HOST:PORT"),
        ("rtmp://h/l/k", VideoInfo("odd", 161, 96, None, Fraction(1, 100)), Encoding(), "use --size 160x96"),
        ("rtmp://h/l/k", INFO, Encoding("h265"), "no encoder 'h265'; known: libx264"),
        ("rtmp://h/l/k", INFO, Encoding("h264_videotoolbox"), "has no h264_videotoolbox; use libx264"),
        ("rtmp://h/l/k", INFO, Encoding(bitrate=0), "above 0"),
    ],
)
def test_what_cannot_be_streamed(
    url: str, info: VideoInfo, encoding: Encoding, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.av, "codecs_available", {"libx264"})
    with pytest.raises(SinkError, match=problem):
        check(url, info, encoding)


def test_addresses_and_bitrates() -> None:
    assert is_stream("rtmps://live.example/app/key") and is_stream("udp://127.0.0.1:5000")
    assert not is_stream("painted.mp4") and not is_stream("rtmp") and not is_stream("https://example.org/x")
    assert safe_name("rtmp://user:word@host:1935/app/key?token=x") == "rtmp://host:1935/app"
    large = VideoInfo("large", 3840, 2160, Fraction(60), Fraction(1, 100))
    middle = VideoInfo("middle", 1280, 720, Fraction(30), Fraction(1, 100))
    assert usual_bitrate(INFO) == 600_000 < usual_bitrate(middle) < usual_bitrate(large) == 12_000_000


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("nginx") and NGINX_RTMP.exists()), reason="needs nginx with its RTMP module")
def test_an_rtmp_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o777)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"load_module {NGINX_RTMP}; pid {tmp_path}/pid; error_log {tmp_path}/errors; daemon off; master_process off;"
        "events { worker_connections 64; }"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all;"
        f" record_path {folder}; record_unique on; }} }} }}"
    )
    tmp_path.chmod(0o755)
    server = subprocess.Popen(["nginx", "-c", str(configuration)])
    lines: list[str] = []
    try:
        with patiently(f"rtmp://127.0.0.1:{port}/live/key", tell=lines.append, first_wait_s=0.2) as sink:
            send(sink, 40)
            server.kill()
            server.wait()
            begin_s = time.monotonic()
            while not lines and time.monotonic() - begin_s < 20:
                send(sink, 5)
            server = subprocess.Popen(["nginx", "-c", str(configuration)])
            while len(lines) < 2 and time.monotonic() - begin_s < 40:
                send(sink, 5, 200)
            send(sink, 60, 200)
    finally:
        server.terminate()
        server.wait()
    assert "was lost" in lines[0] and "is back" in lines[1]
    last = max(folder.glob("*.flv"), key=lambda path: path.stat().st_mtime)
    with av.open(str(last)) as container:
        values = [float(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]
    assert len(values) > 40 and abs(values[-1] - 200) < 4


def tone(path: Path) -> Path:
    """Half a second of silence, then a tone."""
    rate = 44_100
    seconds = np.arange(2 * rate) / rate
    samples = np.where(seconds < 0.5, 0, 12_000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
    with av.open(str(path), "w") as output:
        track = output.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        output.mux(track.encode(frame))
    return path
