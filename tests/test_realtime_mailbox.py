"""The one-slot hand-over: who waits, who is dropped, and that closing wakes everybody."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from realtime.mailbox import Closed, Empty, Mailbox


def test_newest_item_wins_and_the_others_are_counted() -> None:
    box: Mailbox[int] = Mailbox(newest_wins=True)
    for item in range(5):
        box.put(item)
    assert box.take() == 4
    assert box.dropped == 4
    with pytest.raises(Empty):
        box.take(timeout_s=0.01)


def test_a_waiting_mailbox_loses_nothing_and_keeps_order() -> None:
    box: Mailbox[int] = Mailbox(newest_wins=False)

    def send() -> None:
        for item in range(200):
            box.put(item)
        box.close()

    sender = threading.Thread(target=send)
    sender.start()
    got = []
    with pytest.raises(Closed):
        while True:
            got.append(box.take(timeout_s=5))
    sender.join(5)
    assert got == list(range(200))
    assert box.dropped == 0


def settled(sent: list[int]) -> list[int]:
    """What was sent, once nothing more is."""
    end = time.monotonic() + 5
    before = -1
    while time.monotonic() < end and (not sent or len(sent) != before):
        before = len(sent)
        time.sleep(0.1)
    return list(sent)


def test_the_sender_is_at_most_one_item_ahead() -> None:
    box: Mailbox[int] = Mailbox(newest_wins=False)
    sent = []

    def send() -> None:
        with suppress(Closed):
            for item in range(3):
                box.put(item)
                sent.append(item)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert settled(sent) == [0]
    assert box.take() == 0
    assert settled(sent) == [0, 1]
    box.abort()
    sender.join(5)
    assert not sender.is_alive()


def test_close_lets_the_last_item_be_taken_and_abort_does_not() -> None:
    box: Mailbox[str] = Mailbox(newest_wins=False)
    box.put("last")
    box.close()
    assert box.take() == "last"
    with pytest.raises(Closed):
        box.take()
    with pytest.raises(Closed):
        box.put("too late")

    other: Mailbox[str] = Mailbox(newest_wins=True)
    other.put("thrown away")
    other.abort()
    with pytest.raises(Closed):
        other.take()


def test_abort_wakes_a_waiting_taker() -> None:
    box: Mailbox[int] = Mailbox(newest_wins=False)
    ended = threading.Event()

    def take() -> None:
        with pytest.raises(Closed):
            box.take()
        ended.set()

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    box.abort()
    assert ended.wait(5)
    taker.join(5)
