"""What a comparison of models becomes: a sheet of a photo, or a split-screen video of a clip."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.description import parameters_words, rate_words
from engines.errors import InputError
from realtime.comparing import Contestant, Figures
from realtime.files import FileSource
from realtime.frames import Image, Painted
from realtime.pictures import save_picture
from realtime.recording import SLOW_PRESET, Recording
from realtime.side_by_side import Caption, Page, Room

_SHEET = Room(3000, 8000, 300_000)
# What H.264 players take without a second thought; where so many pictures are not legible in it, what many still take.
_VIDEO, _LARGE_VIDEO = Room(1920, 1080, 10**7, even=True), Room(3840, 2160, 10**7, even=True)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip from its first frame on. where: its file, for its sound. seconds: only the beginning; None: all of it."""

    where: str
    source: FileSource
    seconds: float | None

    @property
    def frames(self) -> int | None:
        """How many there will be, as far as the file tells."""
        info = self.source.info
        if self.seconds is None or not info.rate:
            return info.frames
        return min(info.frames or 10**9, round(self.seconds * info.rate))


def captions_of(what: str, name: str, style: str, figures: Sequence[Figures]) -> list[Caption]:
    """Of the input, the style, and every painting. what: "the photo"; name: of its file; style: the asked one's."""
    captions = [Caption(what, (name,)), Caption("the style", (style,))]
    for one in figures:
        who = one.contestant
        weighs = f"{parameters_words(who.told.parameters)} parameters, {who.told.megabytes:.1f} MB"
        own = (f"its own style: {who.look.style.name}",) if who.own else ()
        captions.append(Caption(who.label, (*own, f"{rate_words(one.rate)} frames/s", weighs)))
    return captions


def write_sheet(
    path: Path, captions: Sequence[Caption], photo: Image, style: Image, paintings: Sequence[Image]
) -> tuple[int, int]:
    """Write photo, style and paintings with their captions as one picture; returns its (width, height).

    All RGB uint8; paintings are of the photo's size. Raises SinkError, InputError (more than is legible).
    """
    page = Page(captions, (photo.shape[1], photo.shape[0]), _SHEET)
    save_picture(page.filled([photo, page.fitted(style), *paintings]), path)
    return page.width_px, page.height_px


def write_video(
    path: Path,
    captions: Sequence[Caption],
    clip: Clip,
    style: Image,
    contestants: Sequence[Contestant],
    told: Callable[[int], object] = lambda frames: None,
    tell: Callable[[str], object] = lambda line: None,
) -> tuple[int, int]:
    """Paint a clip with all contestants and record clip, style and paintings side by side; returns (width, height).

    Presentation times and sound are the clip's. Pixels become square. told: called after every frame.
    tell: takes the recording's lines. Raises SourceError, SinkError, EngineError, InputError (more than is legible).
    """
    info = clip.source.info
    shape = (max(1, round(info.width_px * info.pixel_aspect)), info.height_px)
    try:
        page = Page(captions, shape, _VIDEO)
    except InputError:
        page = Page(captions, shape, _LARGE_VIDEO)
    fitted = page.fitted(style)
    wanted = replace(info, width_px=page.width_px, height_px=page.height_px, pixel_aspect=Fraction(1))
    for one in contestants:
        one.engine.reset()
    first: Fraction | None = None
    sound: dict[str, Any] = {"audio_from": clip.where, "whole_audio": clip.seconds is None}
    with Recording(path, wanted, **sound, preset=SLOW_PRESET, repeatable=True, tell=tell) as recording:
        while (frame := clip.source.read()) is not None:
            first = frame.time if first is None else first
            if clip.seconds is not None and frame.time - first >= clip.seconds:
                break
            begin = time.perf_counter()
            paintings = [one.engine.stylise(frame.image, one.look) for one in contestants]
            filled = page.filled([frame.image, fitted, *paintings])
            recording.write(Painted(frame, filled, begin, time.perf_counter()))
            told(1)
    return page.width_px, page.height_px
