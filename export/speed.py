"""How long a frame takes here: what an export's summary tells."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from engines.api import Look
from engines.artworks import find_artwork, load_artworks
from engines.bundle import Bundle
from engines.encoder import StyleEncoder
from engines.ort import OrtEngine
from engines.styles import Style
from export.frames import moving, pictures

WARM_UP, FRAMES = 4, 24
STYLE = "cafe-terrace"


@dataclass(frozen=True, slots=True)
class Speed:
    """Median of whole frames, with kernels for every second one as in live use. size: width, height."""

    ms: float
    size: tuple[int, int]
    provider: str
    threads: int

    def __str__(self) -> str:
        width, height = self.size
        return f"{self.ms:.1f} ms a frame of {width}x{height} here (median; {self.provider}, {self.threads} threads)"


def any_style(bundle: Bundle) -> Style:
    """A style to measure and compare with: the bundle's first, or one of an artwork that comes along."""
    if bundle.styles:
        return bundle.style(bundle.styles[0])
    return StyleEncoder(bundle).encode(find_artwork(STYLE, load_artworks()).picture(), STYLE)


def speed_of(bundle: Bundle, style: Style, size: tuple[int, int]) -> Speed:
    """Paint some frames of a pan in ONNX Runtime on the CPU. size: width and height in px."""
    threads = os.cpu_count() or 1
    picture, took = pictures()[0], []
    with OrtEngine(bundle, threads=threads) as engine:
        for index in range(WARM_UP + FRAMES):
            frame = moving(picture, size[1], size[0], index)
            begin = time.perf_counter()
            engine.stylise(frame, Look(style))
            took.append(time.perf_counter() - begin)
        provider = engine.provider
    return Speed(1000 * float(np.median(took[WARM_UP:])), size, provider, threads)
