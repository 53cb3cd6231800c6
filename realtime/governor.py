"""The governor: holds a rate by painting with less, and with more again when there is time.

What is given up, in this order: how often style kernels are computed, the size of the guide (strokes become broader),
the working size (the painting becomes softer). The output keeps its size.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

from engines.api import RANGES, Engine, Look
from engines.regions import Mask
from engines.working import full_scale
from realtime.frames import Image

# Factors of the look's kernel interval, stroke and render scale, from all to the least.
LEVELS = (
    (1, 1.0, 1.0),
    (2, 1.0, 1.0),
    (2, 1.2, 1.0),
    (2, 1.4, 1.0),
    (2, 1.4, 0.85),
    (2, 1.4, 0.7),
    (2, 1.4, 0.6),
    (2, 1.4, 0.5),
    (2, 1.4, 0.4),
)
SEEN_FRAMES = 8  # a change is judged by the mean of so many but the longest, which may be a hiccup
FULL_SHARE = 0.92  # of a frame's time: more than this is too slow, because frames are never equally long
SPARE_SHARE = 0.75  # of a frame's time: what the next level up may be expected to take
PATIENCE_S, MOST_PATIENCE_S = 2.0, 64.0


class Governed(Engine):
    """An engine that keeps within the time of a frame.

    Down as soon as a few frames are too slow on average, and up only after some patience, where the level above is
    expected to have time to spare. Where it had not, patience doubles: a load at the edge is not tried every moment.
    """

    def __init__(
        self,
        engine: Engine,
        fps: float,
        *,
        tell: Callable[[str], object] = lambda line: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """fps: frames per second to hold, above 0. tell: called with a line at each change. clock: in seconds."""
        self.name, self.provider = engine.name, engine.provider
        self.level = 0  # of LEVELS
        self._engine, self._fps, self._tell, self._clock = engine, fps, tell, clock
        self._took_s: deque[float] = deque(maxlen=SEEN_FRAMES)
        self._patience_s = PATIENCE_S
        self._since_s = clock()  # when this level began
        self._went_up = False
        # What the level above took, of what this one took, when it was left.
        self._ratios: dict[int, float] = {}
        self._left_s: float | None = None

    def stylise(self, image: Image, look: Look, mask: Mask | None = None) -> Image:
        """Paint one frame, with as much as there is time for; see `engines.api.Engine.stylise`."""
        begin_s = self._clock()
        painted = self._engine.stylise(image, self._reduced(image, look), mask)
        now_s = self._clock()
        self._took_s.append(now_s - begin_s)
        if len(self._took_s) == SEEN_FRAMES:
            self._judge(fmean(sorted(self._took_s)[:-1]), now_s)
        return painted

    def session(self) -> Governed:
        """Another stream, governed by itself; see `engines.api.Engine.session`."""
        return Governed(self._engine.session(), self._fps, tell=self._tell, clock=self._clock)

    def reset(self) -> None:
        self._engine.reset()

    def close(self) -> None:
        self._engine.close()

    def _reduced(self, image: Image, look: Look) -> Look:
        if self.level == 0:
            return look
        seldom, stroke, render = LEVELS[self.level]
        # A scale beyond the frame's own size has no effect: what is given up is given up from there.
        scale = min(look.render_scale, full_scale(image.shape[0], image.shape[1]))
        return replace(
            look,
            stroke=min(stroke * look.stroke, RANGES["stroke"][1]),
            render_scale=max(render * scale, RANGES["render_scale"][0]),
            kernel_interval=min(seldom * look.kernel_interval, int(RANGES["kernel_interval"][1])),
        )

    def _judge(self, took_s: float, now_s: float) -> None:
        frame_s = 1 / self._fps
        if self._left_s is not None:
            self._ratios[self.level] = max(1.0, self._left_s / took_s)
            self._left_s = None
        if took_s > FULL_SHARE * frame_s:
            if self.level < len(LEVELS) - 1:
                if self._went_up and now_s - self._since_s < self._patience_s:
                    self._patience_s = min(2 * self._patience_s, MOST_PATIENCE_S)
                self._left_s = took_s
                self._change(self.level + 1, took_s, now_s)
        elif self.level > 0 and now_s - self._since_s >= self._patience_s:
            if took_s * self._ratios.get(self.level, 1.0) <= SPARE_SHARE * frame_s:
                self._change(self.level - 1, took_s, now_s)
            elif self._went_up:
                self._patience_s = PATIENCE_S  # the last way up was right

    def _change(self, level: int, took_s: float, now_s: float) -> None:
        self._went_up = level < self.level
        self.level, self._since_s = level, now_s
        self._took_s.clear()
        seldom, stroke, render = LEVELS[level]
        self._tell(
            f"holding {self._fps:g} frames/s: a frame took {took_s * 1000:.0f} ms; "
            f"now kernels every {seldom:g} x as many frames, strokes {stroke:g} x, render scale {render:g} x"
        )
