"""Where painted frames go. This room holds what a sink is and the smallest one.

See window, recording, vcam, stream, web and session.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TypeVar

import cv2
import numpy as np

from realtime.frames import Image, Painted


class Sink(Protocol):
    """Takes painted frames, in order. A context manager; used by one thread.

    Leaving the context without an error, or by Ctrl-C, completes what was begun; with another error it is undone. But
    what came of a live source cannot come again: it is completed then, too, as far as the sink itself has not failed.
    """

    def write(self, painted: Painted) -> bool:
        """Take one frame; False when whoever watches asked for the end. Raises SinkError."""
        ...

    def idle(self) -> bool:
        """Called some 20 times a second while nothing new comes: keep the last painting alive, handle keys.

        False when whoever watches asked for the end. Raises SinkError.
        """
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to complete, unless a sink says otherwise."""
        return


class NullSink(Sink):
    """Takes everything and keeps nothing: for benchmarks."""

    def write(self, painted: Painted) -> bool:
        return True

    def idle(self) -> bool:
        return True


AnySink = TypeVar("AnySink", bound=Sink)


class Together:
    """Sinks that end together, the last first: each is told how the loop ended, and not how another ended.

    In an ExitStack one that cannot complete what it has would undo what the others have. Of several problems the first
    is raised, after all have ended.
    """

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def enter_context(self, sink: AnySink) -> AnySink:
        """Enter the context of `sink`, and leave it with the others."""
        entered = sink.__enter__()
        self._sinks.append(entered)
        return entered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        problems: list[BaseException] = []
        for sink in reversed(self._sinks):
            try:
                sink.__exit__(kind, error, trace)
            except BaseException as problem:
                problems.append(problem)
        if problems:
            raise problems[0]


def slate(height: int, width: int, words: str) -> Image:
    """What is shown where there is no painting yet: dark, with a few words. RGB uint8 (height, width, 3)."""
    image = np.full((height, width, 3), 24, np.uint8)
    (wide, high), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    size = min(0.6 * width / wide, 0.2 * height / high)
    place = (round((width - size * wide) / 2), round((height + size * high) / 2))
    cv2.putText(
        image, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, (220, 220, 220), max(1, round(2 * size)), cv2.LINE_AA
    )
    return image
