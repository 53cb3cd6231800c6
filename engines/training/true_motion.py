"""The true motion of a rendered film, MPI-Sintel, to check on what an estimated motion tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError
from engines.training.steadiness import Flow, Image, Mask, SourceMotion, warping_error

_FLO_MAGIC = 202021.25


@dataclass(frozen=True, slots=True)
class TrueMotion:
    """Some frames and the true motion between the last two: a rendered film knows where everything went.

    frames: RGB uint8 (side, side, 3), in their order. motion: of the frame before the last to the last, told for the
    pixels of the frame before the last: what is visible in both and stays inside counts.
    """

    name: str
    frames: tuple[Image, ...]
    motion: SourceMotion

    def error(self, painted: Image, painted_next: Image) -> float:
        """The warping error of the last two frames' paintings, along the true motion; see `warping_error`."""
        return warping_error(painted_next, painted, self.motion)


def find_true_motions(folder: Path) -> list[Path]:
    """The MPI-Sintel sets (Butler et al. 2012) of a folder: its folders with a flow_*.flo, by name; maybe none."""
    return sorted({path.parent for path in folder.glob("*/flow_*.flo")})


def read_true_motion(folder: Path, side: int) -> TrueMotion:
    """A set of frame_NNNN.png, flow_NNNN.flo and, where given, the masks occlusions_NNNN.png and invalid_NNNN.png.

    The middle square is taken and scaled to `side`, and the flow with it. Raises InputError: files missing or damaged.
    """
    flows = sorted(folder.glob("flow_*.flo"))
    if not flows:
        raise InputError(f"{folder} has no flow_NNNN.flo; give a set of MPI-Sintel")
    number = int(flows[0].stem.removeprefix("flow_"))
    flow = read_flo(flows[0])
    visible = np.ones(flow.shape[:2], np.bool_)
    for kind in ("occlusions", "invalid"):
        path = folder / f"{kind}_{number:04d}.png"
        if path.exists():
            visible &= _read(path, flow.shape[:2])[..., 0] == 0
    frames = [_read(folder / f"frame_{n:04d}.png", flow.shape[:2]) for n in range(1, number + 2)]
    height, width = flow.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    part = (slice(top, top + edge), slice(left, left + edge))
    scaled = _resized(flow[part], side) * np.float32(side / edge)
    seen = _resized(visible[part].astype(np.float32), side) > 0.999
    return TrueMotion(
        folder.name,
        tuple(_resized(frame[part], side) for frame in frames),
        SourceMotion(scaled, np.asarray(seen & _stays(scaled), np.bool_)),
    )


def read_flo(path: Path) -> Flow:
    """A Middlebury .flo file -> float32 (height, width, 2), pixels (x, y). Raises InputError."""
    try:
        data = path.read_bytes()
        magic, (width, height) = float(np.frombuffer(data, "<f4", 1)[0]), np.frombuffer(data, "<i4", 2, 4)
        flow = np.frombuffer(data, "<f4", 2 * int(width) * int(height), 12)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a .flo file; it is missing or damaged") from error
    if magic != _FLO_MAGIC:
        raise InputError(f"{path} is not a .flo file: its first number is {magic:g}, it should be {_FLO_MAGIC}")
    return np.asarray(flow.reshape(int(height), int(width), 2), np.float32)


def _stays(flow: Flow) -> Mask:
    height, width = flow.shape[:2]
    x = np.arange(width)[None, :] + flow[..., 0]
    y = np.arange(height)[:, None] + flow[..., 1]
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1), np.bool_)


def _read(path: Path, shape: tuple[int, ...]) -> Image:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[:2] != shape[:2]:
        raise InputError(f"{path} is missing, not a picture, or not of the flow's size")
    return np.ascontiguousarray(picture[:, :, ::-1], np.uint8)


def _resized(plane: NDArray[Any], side: int) -> NDArray[Any]:
    return np.ascontiguousarray(cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=cv2.INTER_AREA))
