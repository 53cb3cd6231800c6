"""What may be needed later, and is made meanwhile: nobody waits for it at the start, nor at its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """Calls `make` in a thread of its own, which a program that ends waits for.

    A daemon's end within ONNX Runtime would abort the program.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="later")
        self._thread.start()

    def get(self) -> T:
        """What was made, as soon as it is. Raises what `make` raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made[0]

    def again(self) -> Later[T]:
        """Another one, made in the same way."""
        return Later(self._make)

    def drop(self, close: Callable[[T], object]) -> None:
        """Close what was made, if it was."""
        self._thread.join()
        for made in self._made:
            close(made)

    def _run(self) -> None:
        try:
            self._made.append(self._make())
        except BaseException as error:
            self._error = error
