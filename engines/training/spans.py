"""Warping errors over more than one frame: whether a painting is still the same a third of a second later."""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.training.steadiness import Image, SourceMotion, source_motion, warping_error

LONG_SPAN = 10


class SpanSource:
    """The motions of a clip over some spans. Give it the source's frames in their order."""

    def __init__(self, spans: tuple[int, ...] = (1, LONG_SPAN)) -> None:
        self._spans = spans
        self._frames: deque[Image] = deque(maxlen=max(spans) + 1)

    def add(self, image: Image) -> dict[int, SourceMotion]:
        """Take the next frame t, RGB uint8 (height, width, 3); the motion from t - span to t, for spans so far."""
        self._frames.append(image)
        return {span: source_motion(self._frames[-1 - span], image) for span in self._spans if span < len(self._frames)}


class SpanMeter:
    """The warping error (Lai et al. 2018, their long-term form has the same idea) of a painted clip over one span.

    Give it the paintings in their order, with the source's motion over the span. Cuts are left out.
    """

    def __init__(self, span: int) -> None:
        self._paintings: deque[Image] = deque(maxlen=span + 1)
        self._span = span
        self._errors: list[float] = []

    def add(self, painted: Image, motion: SourceMotion | None) -> None:
        """painted: RGB uint8 (height, width, 3). motion: from `span` frames before, None where there is no such one."""
        self._paintings.append(painted)
        if motion is not None and not motion.is_cut and len(self._paintings) > self._span:
            self._errors.append(warping_error(self._paintings[0], painted, motion))

    def result(self) -> float:
        """The mean so far (mean squared difference x 1000, values 0..1), nan where nothing could be measured."""
        return float(np.mean(self._errors)) if self._errors else float("nan")
