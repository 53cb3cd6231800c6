from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.training.spans import SpanMeter, SpanSource
from engines.training.steadiness import SourceMotion, warping_error
from realtime.synthetic import SyntheticSource

Image = NDArray[np.uint8]


def scene(frames: int) -> list[Image]:
    source = SyntheticSource((128, 96), frames=frames)
    return [frame.image for frame in iter(source.read, None)]


def test_a_span_compares_frames_that_far_apart() -> None:
    images = scene(5)
    source, meter = SpanSource((1, 3)), SpanMeter(3)
    spans = []
    for image in images:
        motions = source.add(image)
        spans.append(tuple(motions))
        meter.add(image, motions.get(3))
    assert spans == [(), (1,), (1,), (1, 3), (1, 3)]
    again = SpanSource((3,))
    motions = [again.add(image).get(3) for image in images]
    expected = [warping_error(images[t - 3], images[t], motion) for t, motion in enumerate(motions) if motion]
    assert len(expected) == 2 and meter.result() == pytest.approx(np.mean(expected))


def test_what_drifts_slowly_shows_over_the_long_span() -> None:
    still = scene(1)[0]
    source, short, long = SpanSource((1, 4)), SpanMeter(1), SpanMeter(4)
    for number in range(8):
        motions = source.add(still)
        painted = np.clip(still.astype(np.int64) // 2 + 3 * number, 0, 255).astype(np.uint8)
        short.add(painted, motions.get(1))
        long.add(painted, motions.get(4))
    assert short.result() == pytest.approx((3 / 255) ** 2 * 1000, rel=1e-3)
    assert long.result() == pytest.approx(16 * short.result(), rel=1e-3)


def test_cuts_and_clips_that_are_too_short_have_no_error() -> None:
    cut = SourceMotion(np.zeros((96, 128, 2), np.float32), np.zeros((96, 128), np.bool_))
    meter = SpanMeter(1)
    for image in scene(2):
        meter.add(image, cut)
    assert math.isnan(meter.result())
    assert math.isnan(SpanMeter(10).result())
