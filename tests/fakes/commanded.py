"""What tests of the command share: running it, what it says where it refuses, and small files to give it."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundle import Bundle
from realtime.cli import main
from realtime.frames import Painted, VideoInfo
from realtime.recording import Recording
from realtime.synthetic import SyntheticSource


def write_video(path: Path, frames: int = 6, size: tuple[int, int] = (64, 64)) -> Path:
    with Recording(path, VideoInfo("test", *size, Fraction(30), Fraction(1, 30))) as recording:
        source = SyntheticSource(size, frames=frames)
        while (frame := source.read()) is not None:
            recording.write(Painted(frame, frame.image, 0, 0))
    return path


def png(width: int, height: int, *, real: bool = True) -> bytes:
    """A PNG; without `real` only its header claims the size."""
    if real:
        return bytes(cv2.imencode(".png", np.full((height, width, 3), 99, np.uint8))[1])

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def paint(bundle: Bundle, *words: str | Path) -> int:
    """Run a painting command with the tiny bundle."""
    return main([*map(str, words), "--model", str(bundle.folder)])


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The error line; asserts that there is exactly one, and the exit code 2."""
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("brushcast: ")]
    assert len(errors) == 1, lines
    assert lines[-1] == errors[0]
    assert not any("Traceback" in line for line in lines)
    return errors[0]
