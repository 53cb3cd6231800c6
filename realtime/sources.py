"""Where frames come from. Each source says whether it is live; the loop lets a live one drop frames, others wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np

from engines.errors import SourceError
from realtime.frames import Frame, Image, VideoInfo

LIVE_TIME_BASE = Fraction(1, 90_000)
PATIENCE_S = 60.0
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 5.0


class Source(Protocol):
    """Delivers frames, one after the other. Used by one thread, except for `stop`.

    live: frames come by themselves, and one that is not taken at once is lost (camera, stream, paced file).
    info: what is known of the video.
    """

    live: bool
    info: VideoInfo

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end. Raises SourceError."""
        ...

    def stop(self) -> None:
        """No frame is wanted any more: `read` waits for none that is not there yet, and gives None instead.

        Any thread may call it, at any time, also while another reads; a read that a device or a file blocks goes on.
        A source that waits for nothing else has nothing to do.
        """
        return

    def close(self) -> None:
        """Free the device or file; called by the thread that reads. May be called twice."""
        ...


class Paced(Source):
    """Plays a source at its own pace: a frame is delivered when its presentation time has come. So it is live."""

    live = True

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self._start: tuple[float, Fraction] | None = None
        self._stopped = threading.Event()
        self.info = inner.info

    def read(self) -> Frame | None:
        frame = self._inner.read()
        if frame is None:
            return None
        now = time.perf_counter()
        if self._start is None:
            self._start = (now, frame.time)
        due = self._start[0] + float(frame.time - self._start[1])
        if due < now - 1.0:
            # The file cannot be decoded at its own pace, or the machine slept: do not race to catch up.
            self._start = (now, frame.time)
        elif due > now and self._stopped.wait(due - now):
            return None
        return replace(frame, captured_s=time.perf_counter())

    def stop(self) -> None:
        self._stopped.set()
        self._inner.stop()

    def close(self) -> None:
        self._inner.close()


class Reopened(Source):
    """A camera or stream that is opened again when it is lost.

    open_inner: opens it; raises SourceError. The first opening is not tried again: its error is the caller's.
    A lost source is tried again after 0.5 s, then 1, 2, 4, 5, 5 ... seconds; after `patience_s` without success
    `read` raises SourceError. Meanwhile `read` just takes long, so the last painted frame stays. Frames are
    counted and timed on through it, and keep the first opening's size; each opening is a shot of its own.
    told: called with one line when the source is lost and when it is back.
    """

    live = True

    def __init__(
        self,
        open_inner: Callable[[], Source],
        *,
        patience_s: float = PATIENCE_S,
        first_wait_s: float = FIRST_WAIT_S,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._open = open_inner
        self._patience_s = patience_s
        self._first_wait_s = first_wait_s
        self._told = told
        self._stopped = threading.Event()
        self._inner: Source | None = open_inner()
        self._index = 0
        self._start_s: float | None = None
        self._shot = 0
        info = self._inner.info
        self.info = replace(info, time_base=LIVE_TIME_BASE, frames=None)

    def read(self) -> Frame | None:
        while not self._stopped.is_set():
            reason = "it ended"
            frame = None
            if self._inner is not None:
                try:
                    frame = self._inner.read()
                except SourceError as error:
                    reason = str(error)
            if frame is not None:
                return self._counted(frame)
            if self._stopped.is_set():
                break
            self._reopen(reason)
        return None

    def stop(self) -> None:
        self._stopped.set()
        if (inner := self._inner) is not None:
            inner.stop()

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    def _counted(self, frame: Frame) -> Frame:
        if self._start_s is None:
            self._start_s = frame.captured_s
        ticks = round((frame.captured_s - self._start_s) / LIVE_TIME_BASE)
        image = fit(frame.image, (self.info.width_px, self.info.height_px))
        frame = replace(
            frame, image=image, index=self._index, time=ticks * LIVE_TIME_BASE, duration=None, shot=self._shot
        )
        self._index += 1
        return frame

    def _reopen(self, reason: str) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        self._told(f"{self.info.name} was lost ({reason}); trying to open it again")
        give_up_s = time.monotonic() + self._patience_s
        wait_s = self._first_wait_s
        while not self._stopped.wait(min(wait_s, max(0.0, give_up_s - time.monotonic()))):
            try:
                self._inner = self._open()
            except SourceError as error:
                if time.monotonic() >= give_up_s:
                    raise SourceError(
                        f"{self.info.name} was lost and did not come back within {self._patience_s:g} s; "
                        "check its cable or address"
                    ) from error
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                self._shot += 1
                if not self._stopped.is_set():
                    self._told(f"{self.info.name} is back")
                return


def fit(image: Image, size: tuple[int, int]) -> Image:
    """Scale to `size` (width, height), cutting equally from two sides what the other shape has too much.

    However unlike the shapes are, a row and a column of pixels stay.
    """
    height, width = image.shape[:2]
    wide, high = size
    if (width, height) == size:
        return image
    scale = max(wide / width, high / height)
    kept_x, kept_y = (min(side, max(1, round(given / scale))) for side, given in ((width, wide), (height, high)))
    left, top = (width - kept_x) // 2, (height - kept_y) // 2
    part = image[top : top + kept_y, left : left + kept_x]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)
