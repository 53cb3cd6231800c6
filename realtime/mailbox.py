"""The one-slot hand-over between two threads: the newest item wins (live), or the sender waits (files)."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - the end of the stream is no error
    """Nothing more will come through this mailbox."""


class Empty(Exception):  # noqa: N818 - nothing came in time, which is no error
    """Nothing came within the time that was given."""


class Mailbox(Generic[T]):
    """Holds at most one item, so memory and delay are bounded by one item whatever the speeds.

    newest_wins: `put` replaces an item that nobody took (counted in `dropped`) and never waits: the taker paces
    nobody. Otherwise `put` waits until the slot is free: the taker paces the sender, and nothing is lost.
    Any thread may call `close` or `abort`; whoever waits wakes up at once.
    """

    def __init__(self, *, newest_wins: bool) -> None:
        self._newest_wins = newest_wins
        self._changed = threading.Condition()
        self._slot: T | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Hand `item` over. Raises Closed when the mailbox is closed, also while waiting."""
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._slot is None or self._closed)
            if self._closed:
                raise Closed
            if self._slot is not None:
                self.dropped += 1
            self._slot = item
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> T:
        """Wait for an item. Raises Closed when none will come any more, Empty when none came in `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._closed, timeout_s)
            if self._slot is None:
                raise Closed if self._closed else Empty
            item, self._slot = self._slot, None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """No more items: what is in the slot can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """No more items, and the one in the slot is thrown away."""
        with self._changed:
            self._closed = True
            self._slot = None
            self._changed.notify_all()
