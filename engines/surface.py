"""Video frames as a hardware decoder leaves them and a hardware encoder takes them: planes that stay on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Share of red and of blue in luma, by names that the video's own tags have.
MATRICES = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}


@dataclass(frozen=True, slots=True)
class Surface:
    """One NV12 frame of even sides, limited range, uint8. Whoever holds it holds its memory.

    luma: (H, W); chroma: (H/2, W/2, 2), Cb before Cr: objects with `__dlpack__`. matrix: of `MATRICES`.
    """

    luma: Any
    chroma: Any
    matrix: str = "bt709"
