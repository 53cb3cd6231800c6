"""run(source, engine, sink): frames are captured, painted and written, each in a thread of its own.

    source --[captured]--> painter --[painted]--> sink
                                   --[painted]--> another sink

Between two threads stands one slot. With a live source the newest frame wins and older ones are dropped, so delay
never grows and a slow sink holds no other; any other source waits, so nothing is lost. The first sink runs in the
thread that called `run`, because a window must, and because Ctrl-C arrives there; every other one in a thread of its
own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
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
SINK_ENDS_WITHIN_S = 10.0


def run(
    source: Source,
    engine: Engine,
    sink: Sink,
    director: Director,
    *,
    also: Sequence[Sink] = (),
    seconds: float | None = None,
    stats: Stats | None = None,
    watched: Callable[[Painted], None] | None = None,
) -> Report:
    """Paint until the source ends, a sink is told to stop, or `seconds` are over.

    The source is closed here, by the thread that reads it (a camera must not be closed under a blocked read); engine
    and sinks stay the caller's. also: further sinks; the report is of the first one. seconds: of the clock if the
    source is live, of the video otherwise.
    stats: collects while it runs, for those who watch. watched: called after each frame was written.
    An error in any thread ends all of them and is raised here. KeyboardInterrupt passes through.
    """
    loop = _Loop(source, engine, director, seconds, also)
    stats = stats or Stats()

    def note(painted: Painted, picked_s: float) -> None:
        stats.add(painted, picked_s, time.perf_counter())
        stats.dropped = loop.dropped
        if watched is not None:
            watched(painted)

    loop.start()
    try:
        if _write_all(loop.painted[0], sink, note, seconds if source.live else None):
            loop.finish()
    finally:
        loop.stop()
    if loop.failure is not None:
        raise loop.failure
    stats.dropped = loop.dropped
    report = stats.report()
    # A file waits for the painter: how long its frames did says nothing.
    return report if source.live else replace(report, late=0)


def _write_all(
    slot: Mailbox[Painted], sink: Sink, note: Callable[[Painted, float], None], seconds: float | None = None
) -> bool:
    """Hand painted frames to the sink until there are no more (True), or somebody wants the end (False).

    note: told each frame that was written, and when it was picked up.
    """
    end_s: float | None = None
    while end_s is None or time.perf_counter() < end_s:
        try:
            painted = slot.take(IDLE_AFTER_S)
        except Closed:
            return True
        except Empty:
            if not sink.idle():
                return False
            continue
        picked_s = time.perf_counter()
        if end_s is None and seconds is not None:
            end_s = picked_s + seconds
        wanted = sink.write(painted)
        note(painted, picked_s)
        if not wanted:
            return False
    return False


class _Loop:
    """The threads before the first sink and beside it, and the slots between."""

    def __init__(
        self, source: Source, engine: Engine, director: Director, seconds: float | None, also: Sequence[Sink]
    ) -> None:
        self._source = source
        self._engine = engine
        self._director = director
        self._video_end = None
        if seconds is not None and not source.live:
            # So that 0.1 is a tenth; and a moment is not nothing.
            self._video_end = Fraction(seconds).limit_denominator(10**6) or Fraction(seconds)
        self._captured: Mailbox[Frame] = Mailbox(newest_wins=source.live)
        self.painted: list[Mailbox[Painted]] = [Mailbox(newest_wins=source.live) for _ in range(1 + len(also))]
        self.failure: BaseException | None = None
        # Daemons: a read that never returns must not keep the program from ending.
        self._capturer = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._painter = threading.Thread(target=self._paint, name="paint", daemon=True)
        self._writers = [
            threading.Thread(target=self._write, args=told, name=f"write {number}", daemon=True)
            for number, told in enumerate(zip(self.painted[1:], also, strict=True), 2)
        ]

    @property
    def dropped(self) -> int:
        """Frames that a newer one pushed out of a slot on their way to the first sink."""
        return self._captured.dropped + self.painted[0].dropped

    def start(self) -> None:
        for thread in (self._capturer, self._painter, *self._writers):
            thread.start()

    def finish(self) -> None:
        """Wait until the other sinks have what is left for them."""
        for writer in self._writers:
            writer.join()

    def stop(self) -> None:
        """End all threads. A source that its device blocks is left behind: it sees the closed slot when it wakes."""
        self._abort()
        self._painter.join(PAINTER_ENDS_WITHIN_S)
        self._capturer.join(SOURCE_ENDS_WITHIN_S)
        for writer in self._writers:
            writer.join(SINK_ENDS_WITHIN_S)

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
                painted = Painted(frame, image, taken_s, time.perf_counter(), setting.split)
                for slot in self.painted:
                    slot.put(painted)
        except Closed:
            pass
        except BaseException as error:
            self._fail(error)
        for slot in self.painted:
            slot.close()

    def _write(self, slot: Mailbox[Painted], sink: Sink) -> None:
        try:
            if not _write_all(slot, sink, lambda painted, picked_s: None):
                self._abort()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Remember the first error, and wake everybody up."""
        if self.failure is None:
            self.failure = error
        self._abort()

    def _abort(self) -> None:
        self._source.stop()
        self._captured.abort()
        for slot in self.painted:
            slot.abort()


def _mirrored(frame: Frame) -> Frame:
    return replace(frame, image=np.asarray(cv2.flip(frame.image, 1), np.uint8))
