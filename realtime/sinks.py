"""Where painted frames go. This room holds what a sink is and the smallest one; see window and recording."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from realtime.frames import Painted


class Sink(Protocol):
    """Takes painted frames, in order. A context manager; used by one thread.

    Leaving the context without an error, or by Ctrl-C, completes what was begun; with another error it is undone.
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
