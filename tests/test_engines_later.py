"""What is made meanwhile: got when it is there, its error where it is needed, closed if it was made."""

from __future__ import annotations

import threading

import pytest

from engines.later import Later


def test_it_is_made_once_by_another_thread_and_waited_for_where_it_is_needed() -> None:
    go, made_by = threading.Event(), list[str]()

    def make() -> str:
        go.wait(5)
        made_by.append(threading.current_thread().name)
        return "made"

    later = Later(make)
    assert not made_by
    go.set()
    assert later.get() == later.get() == "made" and made_by == ["later"]
    closed: list[str] = []
    later.drop(closed.append)
    assert closed == ["made"]


def test_an_error_is_raised_where_it_is_needed_and_nothing_is_closed() -> None:
    def make() -> str:
        raise ValueError("no such thing")

    later = Later(make)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such thing"):
            later.get()
    later.drop(lambda made: pytest.fail("nothing was made"))
