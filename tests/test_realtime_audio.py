"""The sound of a stream: a microphone behind sounddevice's own interface. Files are tested with the stream itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines.errors import SinkError
from realtime.audio import RATE_HZ, Microphone


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
