"""run(source, engine, sink): frames are captured, painted and written, each in a thread of its own.

    source --[captured]--> painter --[painted]--> sink

Between two threads stands one slot. With a live source the newest frame wins and older ones are dropped, so delay
never grows; any other source waits, so nothing is lost. The sink runs in the thread that called `run`, because a
window must, and because Ctrl-C arrives there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from engines.api import Engine
from realtime.control import Director
from realtime.frames import Frame, Painted
from realtime.mailbox import Closed, Empty, Mailbox
from realtime.sinks import Sink
from realtime.sources import Source
from realtime.stats import Report, Stats

IDLE_AFTER_S = 0.05
PAINTER_ENDS_WITHIN_S = 60.0
SOURCE_ENDS_WITHIN_S = 1.0


def run(
    source: Source,
    engine: Engine,
    sink: Sink,
    director: Director,
    *,
    seconds: float | None = None,
    stats: Stats | None = None,
    watched: Callable[[Painted], None] | None = None,
) -> Report:
    """Paint until the source ends, the sink is told to stop, or `seconds` are over.

    The source is closed here, by the thread that reads it (a camera must not be closed under a blocked read); engine
    and sink stay the caller's. seconds: of the clock if the source is live, of the video otherwise.
    stats: collects while it runs, for those who watch. watched: called after each frame was written.
    An error in any thread ends all of them and is raised here. KeyboardInterrupt passes through.
    """
    loop = _Loop(source, engine, director, seconds)
    stats = stats or Stats()
    loop.start()
    try:
        _write_all(loop, sink, stats, seconds if source.live else None, watched)
    finally:
        loop.stop()
    if loop.failure is not None:
        raise loop.failure
    report = stats.report(loop.dropped)
    # A file waits for the painter: how long its frames did says nothing.
    return report if source.live else replace(report, late=0)


def _write_all(
    loop: _Loop, sink: Sink, stats: Stats, seconds: float | None, watched: Callable[[Painted], None] | None
) -> None:
    """Hand painted frames to the sink until there are no more, or somebody wants the end."""
    end_s: float | None = None
    while end_s is None or time.perf_counter() < end_s:
        try:
            painted = loop.painted.take(IDLE_AFTER_S)
        except Closed:
            return
        except Empty:
            if not sink.idle():
                return
            continue
        picked_s = time.perf_counter()
        if end_s is None and seconds is not None:
            end_s = picked_s + seconds
        wanted = sink.write(painted)
        stats.add(painted, picked_s, time.perf_counter())
        if watched is not None:
            watched(painted)
        if not wanted:
            return


class _Loop:
    """The two threads before the sink, and the slots between."""

    def __init__(self, source: Source, engine: Engine, director: Director, seconds: float | None) -> None:
        self._source = source
        self._engine = engine
        self._director = director
        self._video_end = None if seconds is None or source.live else Fraction(seconds).limit_denominator(10**6)
        self._captured: Mailbox[Frame] = Mailbox(newest_wins=source.live)
        self.painted: Mailbox[Painted] = Mailbox(newest_wins=source.live)
        self.failure: BaseException | None = None
        # Daemons: a read that never returns must not keep the program from ending.
        self._capturer = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._painter = threading.Thread(target=self._paint, name="paint", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that a newer one pushed out of a slot."""
        return self._captured.dropped + self.painted.dropped

    def start(self) -> None:
        self._capturer.start()
        self._painter.start()

    def stop(self) -> None:
        """End both threads. A source that is blocked is left behind: it sees the closed slot when it wakes."""
        self._captured.abort()
        self.painted.abort()
        self._painter.join(PAINTER_ENDS_WITHIN_S)
        self._capturer.join(SOURCE_ENDS_WITHIN_S)

    def _capture(self) -> None:
        first: Fraction | None = None
        try:
            try:
                while (frame := self._source.read()) is not None:
                    first = frame.time if first is None else first
                    if self._video_end is not None and frame.time - first >= self._video_end:
                        break
                    self._captured.put(frame)
            finally:
                self._source.close()
        except Closed:
            return
        except BaseException as error:
            self._fail(error)
        self._captured.close()

    def _paint(self) -> None:
        try:
            shot, mirrored = 0, False
            while True:
                frame = self._captured.take()
                taken_s = time.perf_counter()
                setting = self._director.at(float(frame.time))
                if (frame.shot, setting.mirror) != (shot, mirrored):
                    self._engine.reset()
                    shot, mirrored = frame.shot, setting.mirror
                if mirrored:
                    frame = _mirrored(frame)
                image = self._engine.stylise(frame.image, setting.look)
                self.painted.put(Painted(frame, image, taken_s, time.perf_counter(), setting.split))
        except Closed:
            pass
        except BaseException as error:
            self._fail(error)
        self.painted.close()

    def _fail(self, error: BaseException) -> None:
        """Remember the first error, and wake everybody up."""
        if self.failure is None:
            self.failure = error
        self._captured.abort()
        self.painted.abort()


def _mirrored(frame: Frame) -> Frame:
    return replace(frame, image=np.asarray(cv2.flip(frame.image, 1), np.uint8))
