from __future__ import annotations

import numpy as np
import pytest
from grain import picture

from engines.similarity import ssim


def test_the_more_is_changed_the_less_is_alike() -> None:
    plain = picture(4)
    random = np.random.default_rng(0)
    noisy = [np.clip(plain + random.normal(0, grain, plain.shape), 0, 255).astype(np.uint8) for grain in (2, 10, 40)]
    alike = [ssim(other, plain) for other in (plain, *noisy)]
    assert alike[0] == pytest.approx(1)
    assert alike == sorted(alike, reverse=True) and 0 < alike[-1] < 0.3


def test_one_channel_is_told_as_several_that_are_the_same() -> None:
    one, other = picture(4)[..., 0], picture(12)[..., 0]
    three = [np.repeat(grey[..., None], 3, 2) for grey in (one, other)]
    assert ssim(one.astype(float), other.astype(float)) == pytest.approx(ssim(*three))
