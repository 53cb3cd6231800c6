"""The delay that the pictures tell, also where the stamps of the loop know nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.identity import IdentityEngine
from engines.regions import Mask
from realtime.bench import codes, latency
from realtime.bench.latency import CodedSource, Ledger
from realtime.bench.results import Run
from realtime.sinks import NullSink
from realtime.synthetic import SyntheticSource


class Changed(IdentityEngine):
    """Returns what a function makes of the frames so far."""

    def __init__(self, paint: Callable[[list[NDArray[np.uint8]]], NDArray[np.uint8]]) -> None:
        super().__init__()
        self._paint = paint
        self._seen: list[NDArray[np.uint8]] = []

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        self._seen.append(image)
        return self._paint(self._seen)


def measured(engine: Engine, bundle: Bundle, frames: int = 8) -> Run:
    source = SyntheticSource((64, 64), frames=frames)
    return latency.measure(engine, Look(bundle.style("ember")), source, lambda source: NullSink())


def test_the_source_draws_its_numbers_and_notes_when(tiny_bundle: Bundle) -> None:
    ledger = Ledger()
    source = CodedSource(SyntheticSource((64, 64), frames=3), ledger)
    assert source.live
    frames = list(iter(source.read, None))
    assert [codes.read(frame.image) for frame in frames] == [0, 1, 2]
    assert [ledger.find(number, ledger.newest) for number in range(3)] == [
        (number, frame.captured_s) for number, frame in enumerate(frames)
    ]
    assert ledger.find(3, ledger.newest) is None  # never captured: it cannot have been seen


def test_numbers_that_come_round_again_are_the_last_ones() -> None:
    ledger = Ledger()
    for number in range(codes.NUMBERS + 10):
        ledger.note(float(number))
    assert ledger.find(3, ledger.newest) == (codes.NUMBERS + 3, codes.NUMBERS + 3.0)
    assert ledger.find(20, ledger.newest) == (20, 20.0)


def test_every_code_is_read_through_a_copying_engine(tiny_bundle: Bundle) -> None:
    run = measured(IdentityEngine(), tiny_bundle)
    assert run.more["captured"] == 8
    assert run.more["written"] + run.more["dropped"] == 8
    assert run.more["codes_read"] == run.more["written"] > 0
    assert run.more["share_read"] == 1
    # Behind the sink it cannot be earlier than what the loop's own stamps tell.
    assert run.stages["delay"].p50_ms >= run.stages["total"].p50_ms


def test_a_painting_in_other_tones_is_read(tiny_bundle: Bundle) -> None:
    run = measured(Changed(lambda seen: np.asarray(200 - seen[-1] // 2, np.uint8)), tiny_bundle)
    assert run.more["share_read"] == 1


def test_an_engine_that_holds_frames_back_is_found_out(tiny_bundle: Bundle) -> None:
    run = measured(Changed(lambda seen: seen[max(0, len(seen) - 3)].copy()), tiny_bundle, frames=20)
    # Two frames at 30 a second: the stamps of the loop know nothing of them.
    assert run.stages["delay"].p50_ms >= run.stages["total"].p50_ms + 60
    assert run.more["delay_frames"]["p50"] >= 2


def test_codes_that_cannot_be_read_are_counted_not_guessed(tiny_bundle: Bundle) -> None:
    run = measured(Changed(lambda seen: seen[-1] if len(seen) % 2 else seen[-1] // 64), tiny_bundle)
    assert 0 < run.more["codes_read"] < run.more["written"]
    blind = measured(Changed(lambda seen: np.full_like(seen[-1], 90)), tiny_bundle)
    assert blind.more["codes_read"] == 0
    assert blind.more["share_read"] == 0
    assert "delay" not in blind.stages
