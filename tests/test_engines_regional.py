"""Wrappers of engines give streams that are wrapped alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.later import Later
from engines.ort import OrtEngine
from engines.regional import Regional
from realtime.governor import Governed
from realtime.holding import Holding


class Seen:
    """Masks that count themselves; everything is background."""

    made: int = 0
    closed: int = 0

    def __init__(self) -> None:
        Seen.made += 1

    def mask(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((-(-image.shape[0] // 4), -(-image.shape[1] // 4)), np.float32)

    def reset(self) -> None: ...

    def close(self) -> None:
        Seen.closed += 1


def test_each_stream_finds_people_by_itself(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "made", 0)
    monkeypatch.setattr(Seen, "closed", 0)
    look = Look(tiny_bundle.style("ember"), background=tiny_bundle.style("moss"))
    image = np.full((64, 80, 3), 90, np.uint8)
    engine = Regional(OrtEngine(tiny_bundle, threads=1), Later(Seen))
    session = engine.session()
    assert np.array_equal(engine.stylise(image, look), session.stylise(image, look))
    session.close()
    assert (Seen.made, Seen.closed) == (2, 1)
    engine.stylise(image, look)
    engine.close()
    assert Seen.closed == 2


@pytest.mark.parametrize("wrap", [Holding, lambda engine: Governed(engine, 30.0)])
def test_streams_of_a_wrapped_engine_are_wrapped_and_end_with_it(tiny_bundle: Bundle, wrap: type[Holding]) -> None:
    engine: Engine = wrap(OrtEngine(tiny_bundle, threads=1))
    session = engine.session()
    assert type(session) is type(engine)
    image, look = np.full((64, 80, 3), 90, np.uint8), Look(tiny_bundle.style("ember"))
    assert np.array_equal(session.stylise(image, look), engine.stylise(image, look))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        session.session()
    session.close()
