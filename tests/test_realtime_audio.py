"""The sound of a stream: a microphone behind sounddevice's own interface, and files with damage.

Whole files are tested with the stream itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines.errors import SinkError
from realtime.audio import RATE_HZ, FileAudio, Microphone
from realtime.pyav import MAX_DAMAGED_IN_A_ROW


def test_what_is_heard_has_its_own_time(microphones: Any, hear: Callable[[float, float], None], tmp_path: Path) -> None:
    path = tmp_path / "heard.ts"
    microphone = Microphone("USB")
    assert microphones.opened["device"] == "USB" and microphones.opened["samplerate"] == RATE_HZ
    now_s = time.perf_counter()
    with av.open(str(path), "w", format="mpegts") as output:
        microphone.begin(output, now_s - 2.0, "aac")
        hear(0.5, 3.0)  # before the stream began
        for block in range(40):
            hear(0.0 if block < 20 else 0.5, 2.0 - block * 1024 / RATE_HZ)
        before, after = now_s - 2.0 + 0.3, now_s
        for packet in [*microphone.until(before), *microphone.until(after)]:
            output.mux(packet)
        assert not list(microphone.until(after))
    microphone.close()
    assert microphones.closed
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    loud = [float(np.abs(frame.to_ndarray()).mean()) > 0.05 for frame in frames]
    begun_s = float(frames[loud.index(True)].time - frames[0].time)
    assert begun_s == pytest.approx(20 * 1024 / RATE_HZ, abs=0.06)


@pytest.mark.parametrize(("device", "asked"), [("", None), ("3", 3), ("Yeti", "Yeti")])
def test_a_device_by_number_or_name(microphones: Any, device: str, asked: object) -> None:
    Microphone(device).close()
    assert microphones.opened["device"] == asked


def test_a_microphone_that_is_not_there(microphones: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphones, "problem", sys.modules["sounddevice"].PortAudioError("Invalid device"))
    with pytest.raises(SinkError, match=r"microphone Yeti cannot be opened: Invalid device; .* lists"):
        Microphone("Yeti")


def test_without_sounddevice_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SinkError, match=r'pip install "brushcast\[mic\]"'):
        Microphone()


def damaged(path: Path, seconds: float, hurt: Callable[[int, int], bool]) -> Path:
    """A tone as AAC. hurt: tells of a packet, by its number and how many there are, whether it is to be damaged."""
    with av.open(str(path), "w") as output:
        track = output.add_stream("aac", rate=RATE_HZ, layout="mono")
        wave = (np.sin(np.arange(round(seconds * RATE_HZ)) / 8) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number, (place, size) in enumerate(packets):
        if hurt(number, len(packets)):
            data[place : place + size] = bytes(size)
    path.write_bytes(data)
    return path


def test_a_damaged_packet_of_a_file_is_skipped_and_what_comes_after_keeps_its_time(tmp_path: Path) -> None:
    sound = FileAudio.of(str(damaged(tmp_path / "a.mp4", 2.0, lambda number, count: number in (count // 2, 60))))
    assert sound is not None
    path = tmp_path / "sent.ts"
    with av.open(str(path), "w", format="mpegts") as output:
        sound.begin(output, 5.0, "aac")
        sound.follow(0.0, 5.0)
        output.mux(list(sound.until(9.0)))
    sound.close()
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(audio=0)]
    assert times[-1] - times[0] == pytest.approx(2.0, abs=0.1)
    assert 1.8 < len(times) * 1024 / RATE_HZ < 2.0


def test_a_file_of_nothing_but_damage_is_told(tmp_path: Path) -> None:
    path = damaged(tmp_path / "a.mp4", (MAX_DAMAGED_IN_A_ROW + 20) * 1024 / RATE_HZ, lambda number, count: True)
    sound = FileAudio.of(str(path))
    assert sound is not None
    with av.open(str(tmp_path / "sent.ts"), "w", format="mpegts") as output:
        sound.begin(output, 0.0, "aac")
        sound.follow(0.0, 0.0)
        with pytest.raises(SinkError, match=r"the audio of .*a\.mp4 cannot be decoded: .*; use --no-audio"):
            list(sound.until(9.0))
    sound.close()
