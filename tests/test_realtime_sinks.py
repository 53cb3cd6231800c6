"""Sinks that end together. What a slate is, is tested with the outputs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from engines.errors import SinkError, SourceError
from realtime.files import FileSource
from realtime.frames import Frame, Painted, VideoInfo
from realtime.recording import Recording
from realtime.sinks import NullSink, Together

INFO = VideoInfo("numbers", 64, 64, Fraction(25), Fraction(1, 100))


class Ending(NullSink):
    """Keeps how it was told to end, and may fail to."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.problem = problem
        self.told: list[BaseException | None] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.told.append(error)
        if self.problem is not None:
            raise self.problem


def test_a_recording_is_whole_though_another_sink_cannot_end_well(tmp_path: Path) -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    with pytest.raises(SinkError, match="b cannot be written"), Together() as together:
        recording = together.enter_context(Recording(tmp_path / "a.mp4", INFO))
        together.enter_context(Ending(SinkError("b cannot be written")))
        for number in range(3):
            recording.write(Painted(Frame(image, number, Fraction(number, 25), 0.0), image, 0.0, 0.0))
    source = FileSource(str(tmp_path / "a.mp4"))
    assert len(list(iter(source.read, None))) == 3
    source.close()


def test_each_is_told_the_error_of_the_loop_and_the_first_problem_is_raised() -> None:
    sinks = [Ending(), Ending(KeyboardInterrupt()), Ending(SinkError("full")), Ending()]
    lost = SourceError("lost")
    with pytest.raises(SinkError, match="full") as raised, Together() as together:
        for sink in sinks:
            assert together.enter_context(sink) is sink
        raise lost
    assert [sink.told for sink in sinks] == 4 * [[lost]]
    assert raised.value.__context__ is lost


def test_an_error_of_the_loop_goes_through_those_that_end_well() -> None:
    with pytest.raises(SourceError, match="lost"), Together() as together:
        together.enter_context(Ending())
        raise SourceError("lost")
