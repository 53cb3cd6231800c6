from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import BrushcastError, EngineError, InputError, StyleError
from engines.ort import OrtEngine
from engines.sizes import SizeRange
from engines.triton_serving import Asked, Serving
from engines.triton_wire import numbers_of, tensors_of, text

Image = NDArray[np.uint8]


def picture(seed: int, height: int = 96, width: int = 128) -> Image:
    coarse = np.random.default_rng(seed).integers(40, 215, (height // 16, width // 16, 3)).astype(np.uint8)
    return coarse.repeat(16, 0).repeat(16, 1)


def ask(sequence: int, image: Image, *, start: bool = False, end: bool = False, **tensors: NDArray[Any]) -> Asked:
    return Asked(sequence, start, end, {"FRAME": image[None], **tensors})


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def serving(tiny_bundle: Bundle, clock: list[float]) -> Iterator[Serving]:
    opened = Serving(OrtEngine(tiny_bundle, threads=1), tiny_bundle, most=2, idle_s=60, clock=lambda: clock[0])
    yield opened
    opened.close()


def painted(answer: Image | BrushcastError) -> Image:
    assert isinstance(answer, np.ndarray), answer
    return answer[0]


def known(serving: Serving, sequences: Iterable[int]) -> list[int]:
    """Those of the sequences that go on without being begun anew."""
    asked = list(sequences)
    answers = [serving.answer([ask(sequence, picture(0))])[0] for sequence in asked]
    return [sequence for sequence, answer in zip(asked, answers, strict=True) if isinstance(answer, np.ndarray)]


def test_a_batch_of_sequences_is_painted_each_in_its_style_with_its_memory(
    serving: Serving, tiny_bundle: Bundle
) -> None:
    ember = Look(tiny_bundle.style("ember"), smoothing=1.0)
    moss = Look(tiny_bundle.style("moss"), strength=0.7, smoothing=0.6)
    with OrtEngine(tiny_bundle, threads=1) as one, OrtEngine(tiny_bundle, threads=1) as two:
        for number in range(4):
            start = number == 0
            # A style by its tensors, and by its name; told once.
            first = tensors_of(ember.style) if start else {}
            second = {"STYLE": text("moss")} if start else {}
            frames = picture(number // 2), picture(9)
            answers = serving.answer(
                [
                    ask(7, frames[0], start=start, **first, **numbers_of(ember)),
                    ask(8, frames[1], start=start, **second, **numbers_of(moss)),
                ]
            )
            assert np.array_equal(painted(answers[0]), one.stylise(frames[0], ember))
            assert np.array_equal(painted(answers[1]), two.stylise(frames[1], moss))
    assert serving.computes == "ort, CPUExecutionProvider"


def test_numbers_that_are_not_told_are_the_usual_ones(serving: Serving, tiny_bundle: Bundle) -> None:
    (answer,) = serving.answer([ask(1, picture(0), start=True, STYLE=text("moss"))])
    with OrtEngine(tiny_bundle, threads=1) as engine:
        assert np.array_equal(painted(answer), engine.stylise(picture(0), Look(tiny_bundle.style("moss"))))


def test_a_start_begins_a_sequence_anew_and_an_end_forgets_it(serving: Serving) -> None:
    image, held = picture(0), {"SMOOTHING": np.ones((1, 1))}
    first = painted(serving.answer([ask(1, image, start=True, STYLE=text("moss"), **held)])[0])
    other = painted(serving.answer([ask(1, image, STYLE=text("ember"), **held)])[0])
    again = painted(serving.answer([ask(1, image, start=True, STYLE=text("moss"), **held)])[0])
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    last = painted(serving.answer([ask(1, image, end=True, **held)])[0])
    assert last.shape == image.shape
    (gone,) = serving.answer([ask(1, image)])
    assert isinstance(gone, InputError) and "begin it with START" in str(gone)


def test_a_goodbye_is_not_painted(serving: Serving) -> None:
    nothing = np.zeros((1, 1, 3), np.uint8)
    serving.answer([ask(1, picture(0), start=True, STYLE=text("moss"))])
    assert np.array_equal(painted(serving.answer([ask(1, nothing, end=True)])[0]), nothing)
    assert not known(serving, [1])
    # Also as a whole sequence, by which a client sees whether anybody is there.
    assert np.array_equal(painted(serving.answer([ask(2, nothing, start=True, end=True)])[0]), nothing)


def test_two_frames_of_one_sequence_in_a_batch_are_painted_in_turn(serving: Serving, tiny_bundle: Bundle) -> None:
    frames = [picture(0), picture(0)[::-1].copy(), picture(0)]
    answers = serving.answer([ask(1, frames[0], start=True, STYLE=text("moss")), *(ask(1, one) for one in frames[1:])])
    look = Look(tiny_bundle.style("moss"))
    with OrtEngine(tiny_bundle, threads=1) as engine:
        for answer, frame in zip(answers, frames, strict=True):
            assert np.array_equal(painted(answer), engine.stylise(frame, look))


def test_what_is_wrong_with_one_request_is_told_to_it_alone(serving: Serving, tiny_bundle: Bundle) -> None:
    moss = {"STYLE": text("moss")}
    crooked = replace(tiny_bundle.style("moss"), tensors={"mean": np.zeros(4, np.float32)})
    infinite = replace(tiny_bundle.style("moss"), tensors={"mean": np.full(3, np.inf, np.float32)})
    wrong: list[tuple[dict[str, Any], type[BrushcastError], str]] = [
        ({}, StyleError, "a sequence begins with a style, by STYLE or style"),
        ({"STYLE": text("mos")}, StyleError, "no style 'mos' in tiny; did you mean moss"),
        ({"STYLE": np.zeros((1, 2), np.float32)}, InputError, "it must be one text"),
        (tensors_of(crooked), StyleError, "style.mean is float32 (4,)"),
        (tensors_of(infinite), StyleError, "NaN or infinity"),
        (moss | {"BUNDLE": text("0" * 16)}, InputError, f"this server paints with tiny ({tiny_bundle.id})"),
        (moss | {"STRENGTH": np.full((1, 1), 2.0)}, InputError, "strength is 2"),
        (moss | {"STRENGTH": np.zeros((1, 2))}, InputError, "STRENGTH is float64 (1, 2)"),
        (moss | {"FRAME": picture(0)}, InputError, "FRAME is uint8 (96, 128, 3)"),
        (moss | {"FRAME": picture(0)[None].astype(np.float32)}, InputError, "FRAME is float32"),
        (moss | {"FRAME": np.zeros((1, 32, 64, 3), np.uint8)}, InputError, "64 to"),
        (moss | {"BACKGROUND": text("ember")}, InputError, "needs a mask"),
        (moss | {"BACKGROUND": text("ember"), "MASK": np.zeros((1, 5, 5), np.float32)}, InputError, "a mask is"),
    ]
    for tensors, kind, told in wrong:
        bad = Asked(2, True, False, {"FRAME": picture(1)[None], **tensors})
        answers = serving.answer([ask(1, picture(0), start=True, **moss), bad])
        assert painted(answers[0]).shape == picture(0).shape
        assert isinstance(answers[1], kind) and told in str(answers[1])


def test_sizes_that_the_server_s_bundle_is_not_for(tiny_bundle: Bundle) -> None:
    small = replace(tiny_bundle, sizes=SizeRange((64, 64), (96, 96), (128, 128)))
    serving = Serving(OrtEngine(tiny_bundle, threads=1), small, most=2, idle_s=60)
    moss = {"STYLE": text("moss")}
    fits, larger = serving.answer(
        [ask(1, picture(0), start=True, **moss), ask(2, picture(0, 96, 160), start=True, **moss)]
    )
    assert painted(fits).shape == picture(0).shape
    assert isinstance(larger, InputError) and "a frame is 160x96" in str(larger)
    serving.close()


def test_a_background_comes_and_goes(serving: Serving, tiny_bundle: Bundle) -> None:
    image = picture(3)
    mask = np.zeros((24, 32), np.float32)
    mask[:, 16:] = 1
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    both = Look(ember, smoothing=0.0, background=moss)
    requests: list[tuple[dict[str, Any], Look]] = [
        (tensors_of(ember) | tensors_of(moss, background=True), both),
        ({}, both),
        ({"BACKGROUND": text("")}, Look(ember, smoothing=0.0)),
        ({"BACKGROUND": text("moss")}, both),
        ({"BACKGROUND": text("")}, Look(ember, smoothing=0.0, background_strength=0.3)),
    ]
    with OrtEngine(tiny_bundle, threads=1) as engine:
        for number, (tensors, look) in enumerate(requests):
            asked = ask(1, image, start=number == 0, MASK=mask[None], **tensors, **numbers_of(look))
            assert np.array_equal(painted(serving.answer([asked])[0]), engine.stylise(image, look, mask))


def test_sequences_without_an_end_are_forgotten(serving: Serving, clock: list[float]) -> None:
    image, moss = picture(0), {"STYLE": text("moss")}
    for sequence in range(9):
        serving.answer([ask(sequence, image, start=True, **moss)])
    assert known(serving, range(9)) == [5, 6, 7, 8]  # twice as many as there can be at once
    clock[0] = 100
    painted(serving.answer([ask(8, image)])[0])
    clock[0] = 130
    painted(serving.answer([ask(8, image)])[0])
    assert known(serving, range(9)) == [8]


def test_an_engine_that_fails_fails_for_the_whole_batch(
    serving: Serving, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise EngineError("out of memory")

    monkeypatch.setattr("engines.triton_serving.paint_together", fails)
    moss = {"STYLE": text("moss")}
    answers = serving.answer([ask(number, picture(0), start=True, **moss) for number in (1, 2)])
    assert [str(answer) for answer in answers] == ["out of memory"] * 2


def test_a_closed_one_has_closed_its_engine(tiny_bundle: Bundle) -> None:
    engine = OrtEngine(tiny_bundle, threads=1)
    serving = Serving(engine, tiny_bundle, most=2, idle_s=60)
    serving.answer([ask(1, picture(0), start=True, STYLE=text("moss"))])
    serving.close()
    with pytest.raises(EngineError, match="closed"):
        engine.session()
