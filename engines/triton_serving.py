"""The server's side of a Triton engine: sequences of frames, each with a session, a style and a memory of its own.

Knows nothing of Triton itself: what a repository's model.py hands over is arrays, and what it gets back is arrays or
errors; see `engines.triton_wire` for their names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, check_image
from engines.bundle import NO_BACKGROUND, Bundle
from engines.errors import BrushcastError, InputError
from engines.regions import check_mask
from engines.styles import Style
from engines.together import Job, paint_together
from engines.triton_wire import (
    BACKGROUND,
    BUNDLE,
    LEAST_GOODBYE_PX,
    MASK,
    Tensors,
    frame_in,
    look_of,
    need_styles,
    style_in,
    text_of,
)

Painting = NDArray[np.uint8]
# Twice as long, and twice as many, as Triton itself keeps: it counts from a request's arrival, and here nothing may go
# that a request could still come for.
_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: a frame of a sequence.

    sequence: its number (Triton's correlation id). start, end: it begins, or ends, the sequence.
    """

    sequence: int
    start: bool
    end: bool
    tensors: Tensors


@dataclass(slots=True)
class _Stream:
    session: Engine
    seen_s: float
    style: Style | None = None
    background: Style | None = None


class Serving:
    """Paints batches of requests. Not for several threads. It takes the engine over, and closes it.

    most: sequences that there can be at once. idle_s: how long a sequence may rest before it is forgotten.
    """

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        *,
        most: int,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._bundle, self._clock = engine, bundle, clock
        self._most, self._idle_s = _PATIENCE * most, _PATIENCE * idle_s
        self._streams: dict[int, _Stream] = {}
        self._named: dict[str, Style] = {}

    @property
    def computes(self) -> str:
        """Engine and provider, as read back after they started."""
        return f"{self._engine.name}, {self._engine.provider}"

    def answer(self, batch: Sequence[Asked]) -> list[Painting | BrushcastError]:
        """For each request its painting, RGB uint8 (1, height, width, 3), or why there is none."""
        answers: dict[int, Painting | BrushcastError] = {}
        jobs: dict[int, tuple[int, Job]] = {}  # by sequence: its place in the batch, and what is to be painted

        def paint() -> None:
            """All that is together; if it fails, it fails for all."""
            places = [place for place, _ in jobs.values()]
            try:
                paintings = paint_together([job for _, job in jobs.values()])
                answers.update((place, painting[None]) for place, painting in zip(places, paintings, strict=True))
            except BrushcastError as error:
                answers.update(dict.fromkeys(places, error))
            jobs.clear()

        for place, asked in enumerate(batch):
            if asked.sequence in jobs:  # a stream has one frame at a time
                paint()
            try:
                frame = frame_in(asked.tensors)
                if asked.end and min(frame.shape[:2]) < LEAST_GOODBYE_PX:
                    answers[place] = frame[None]
                else:
                    jobs[asked.sequence] = place, self._job(asked, frame)
            except BrushcastError as error:
                answers[place] = error
        paint()
        for asked in batch:
            if asked.end:
                self._forget(asked.sequence)
        self._prune()
        return [answers[place] for place in range(len(batch))]

    def close(self) -> None:
        for sequence in list(self._streams):
            self._forget(sequence)
        self._engine.close()

    def _job(self, asked: Asked, frame: Painting) -> Job:
        """What a request comes to. All that can be wrong with it alone is found here. Raises InputError, StyleError."""
        check_image(frame)
        tensors, bundle = asked.tensors, self._bundle
        if (theirs := text_of(tensors.get(BUNDLE))) is not None and theirs != bundle.id:
            raise InputError(f"styles are of bundle {theirs}, but this server paints with {bundle.name} ({bundle.id})")
        stream = self._stream(asked)
        brought = self._named_style(bundle.styles[0]) if bundle.takes == "one" else self._style(asked)
        stream.style = brought or stream.style
        if background := self._style(asked, background=True):
            stream.background = background
        elif text_of(tensors.get(BACKGROUND)) == "":
            stream.background = None
        look = look_of(tensors, need_styles(tensors, stream.style), stream.background)
        bundle.check_size(frame.shape[0], frame.shape[1], look.stroke, look.render_scale)
        mask = None
        if look.behind is not None:
            if bundle.regions is None:
                raise InputError(f"{bundle.name} {NO_BACKGROUND}")
            mask = tensors[MASK][0] if MASK in tensors and tensors[MASK].ndim == 3 else None
            mask = check_mask(mask, frame.shape[0], frame.shape[1])
        return Job(stream.session, frame, look, mask)

    def _stream(self, asked: Asked) -> _Stream:
        stream = self._streams.pop(asked.sequence, None)
        if stream is None and not asked.start:
            raise InputError(f"sequence {asked.sequence} is not known (any more); begin it with START")
        if stream is None:
            stream = _Stream(self._engine.session(), 0.0)
        elif asked.start:
            stream.session.reset()
            stream.style = stream.background = None
        stream.seen_s = self._clock()
        self._streams[asked.sequence] = stream  # the one seen last is the last of all
        return stream

    def _style(self, asked: Asked, *, background: bool = False) -> Style | None:
        style = style_in(asked.tensors, self._named_style, self._bundle.id, background=background)
        if style is not None:
            self._bundle.check_style(style)
        return style

    def _named_style(self, name: str) -> Style:
        """The same object every time: engines keep what they computed for a style as long as it is the same one."""
        if name not in self._named:
            self._named[name] = self._bundle.style(name)
        return self._named[name]

    def _prune(self) -> None:
        """Forget sequences whose clients went away without an end."""
        now_s = self._clock()
        for sequence, stream in list(self._streams.items()):
            if len(self._streams) > self._most or now_s - stream.seen_s > self._idle_s:
                self._forget(sequence)

    def _forget(self, sequence: int) -> None:
        if (stream := self._streams.pop(sequence, None)) is not None:
            stream.session.close()
