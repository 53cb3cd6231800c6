"""Real clips for the temporal losses: pairs of frames with the motion between them, found once and kept in a file."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from engines.errors import InputError
from engines.training.data import square
from engines.training.lock import lock
from engines.training.moments import Moments
from engines.training.steadiness import source_motion
from engines.training.warping import identity_grid

SIDE_PX = 288  # of the frames' middle square: small enough to calm the noise of compression
PAIRS = 16  # of each clip, spread evenly over it
_ENDINGS = {".mp4", ".mov", ".mkv", ".webm", ".avi"}

Image = NDArray[np.uint8]


def held_out_clips() -> frozenset[str]:
    """Names of clips that are kept for measuring steadiness and never trained on."""
    text = resources.files("engines.training").joinpath("held_out_clips.txt").read_text("utf-8")
    return frozenset(text.split())


class ClipPairs:
    """Pairs of neighbouring frames of a folder's clips, without those that are held out and without cuts.

    The motion is OpenCV's DIS, forth and back; where the two disagree, at motion boundaries and outside the frame it
    does not count (`engines.training.steadiness.trusted`).
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        """cache: the folder where they are packed. Raises InputError: no clips, or one that cannot be read."""
        excluded = held_out_clips()
        clips = sorted(p for p in folder.glob("*") if p.suffix.lower() in _ENDINGS and p.name not in excluded)
        if not clips:
            raise InputError(f"{folder} has no clips to train with; it should hold {', '.join(sorted(_ENDINGS))} files")
        listing = "\n".join(f"{p.name} {p.stat().st_size}" for p in clips)
        digest = hashlib.sha256(listing.encode()).hexdigest()[:8]
        packed = cache / f"clips-{len(clips)}-{SIDE_PX}-{PAIRS}-{digest}.npz"
        with lock(cache):
            if not packed.exists():
                pairs = [pair for clip in tqdm(clips, desc="packing clips") for pair in _pairs(clip)]
                if not pairs:
                    raise InputError(f"{folder} has no two frames that can be followed; give longer clips")
                frames, flow, visible = (np.stack(part) for part in zip(*pairs, strict=True))
                beside = packed.with_suffix(".part.npz")
                np.savez(beside, frames=frames, flow=flow, visible=visible)
                beside.replace(packed)
        with np.load(packed) as content:
            self._frames = torch.from_numpy(content["frames"])  # uint8 (n, 2, 3, SIDE_PX, SIDE_PX)
            self._flow = torch.from_numpy(content["flow"])  # float16 (n, SIDE_PX, SIDE_PX, 2), pixels
            self._visible = torch.from_numpy(content["visible"])  # bool (n, SIDE_PX, SIDE_PX)

    def __len__(self) -> int:
        return len(self._frames)

    def draw(self, n: int, crop: int) -> Moments:
        """Random crops of random pairs, at times mirrored. Raises InputError: a crop larger than the frames."""
        side = self._frames.shape[-1]
        if crop > side:
            raise InputError(f"a crop of {crop} px does not fit into clips of {side} px; take a smaller one")
        chosen = torch.randint(len(self), (n,))
        corners = torch.randint(side - crop + 1, (n, 2)).tolist()
        frames, flows, seen = [], [], []
        for number, (top, left) in zip(chosen.tolist(), corners, strict=True):
            here = (slice(top, top + crop), slice(left, left + crop))
            frames.append(self._frames[number][:, :, *here].float() / 255)  # (2, 3, crop, crop)
            flows.append(self._flow[number][here].float())
            seen.append(self._visible[number][here].float())
        both, flow, visible = torch.stack(frames), torch.stack(flows), torch.stack(seen)
        if torch.rand(()) < 0.5:
            both, flow, visible = both.flip(4), flow.flip(2) * flow.new_tensor([-1.0, 1.0]), visible.flip(2)
        grid = identity_grid(n, crop, crop) + flow * (2 / crop)
        inside = (grid.abs().amax(3) <= 1).float()
        return Moments(both[:, 0], both[:, 1], grid, (visible * inside)[:, None])


def _pairs(clip: Path) -> list[tuple[Image, NDArray[np.float16], NDArray[np.bool_]]]:
    """At most PAIRS of: frame and next (2, 3, side, side), flow from the next to the frame, where that holds."""
    frames = _frames(clip)
    found = []
    last = len(frames) - 2  # a clip of one frame has no pair
    for start in sorted({round(place) for place in np.linspace(0, last, PAIRS)}) if last >= 0 else []:
        one, other = frames[start], frames[start + 1]
        motion = source_motion(one, other)
        if not motion.is_cut:
            both = np.ascontiguousarray(np.stack([one, other]).transpose(0, 3, 1, 2))
            found.append((both, motion.flow.astype(np.float16), motion.visible))
    return found


def _frames(clip: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(clip))
    frames = []
    try:
        while True:
            read, picture = capture.read()
            if not read:
                break
            frames.append(np.ascontiguousarray(square(np.asarray(picture, np.uint8), SIDE_PX)[:, :, ::-1]))
    finally:
        capture.release()
    if not frames:
        raise InputError(f"{clip} cannot be read as a clip; remove it from the folder")
    return frames
