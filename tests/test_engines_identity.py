from __future__ import annotations

import numpy as np
import pytest

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import InputError
from engines.identity import IdentityEngine


def test_it_copies(tiny_bundle: Bundle) -> None:
    image = np.arange(64 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 80, 3)
    engine: Engine = IdentityEngine(tiny_bundle)
    with engine:
        answer = engine.stylise(image, Look(tiny_bundle.style("moss")))
        assert np.array_equal(answer, image)


@pytest.mark.parametrize("value", [7.0, -0.1, float("nan"), float("inf")])
def test_looks_outside_their_range(tiny_bundle: Bundle, value: float) -> None:
    with pytest.raises(InputError, match=r"strength is .*from 0 to 1"):
        Look(tiny_bundle.style("moss"), strength=value)
    with pytest.raises(InputError, match=r"smoothing is .*from 0 to 1"):
        Look(tiny_bundle.style("moss"), smoothing=value)
