"""Two styles in one frame: the shares, an engine that paints with a mask, and the one that finds the mask itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import EngineError, InputError
from engines.later import Later
from engines.memory import small_size
from engines.ort import OrtEngine
from engines.regional import Regional
from engines.regions import Mask, blended, mixed_guidance, sized

SIZE = (120, 160)


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(60, 200, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def left() -> Mask:
    """The left half is the look's own style."""
    mask = np.zeros(small_size(*SIZE), np.float32)
    mask[:, : mask.shape[1] // 2] = 1
    return mask


def looks(bundle: Bundle, **numbers: Any) -> Look:
    names = ("ember", "moss") if "ember" in bundle.styles else ("red-fuji", "water-lilies")
    numbers = {"smoothing": 0.0, **numbers}
    return Look(bundle.style(names[0]), background=bundle.style(names[1]), **numbers)


def alone(look: Look, which: int) -> Look:
    """The look with one of its styles everywhere."""
    style = look.style if which == 0 else look.background
    assert style is not None
    return Look(style, smoothing=look.smoothing)


def test_guidance_is_mixed_place_by_place_with_the_margin_as_its_edge() -> None:
    ours, theirs = np.ones((1, 2, 10, 12), np.float32), np.zeros((1, 2, 10, 12), np.float32)
    mask = np.zeros((6, 8), np.float32)
    mask[:, :4] = 1
    mixed = mixed_guidance(ours, theirs, mask)
    np.testing.assert_array_equal(mixed[0, 0, :, :6], 1)
    np.testing.assert_array_equal(mixed[0, 1, :, 6:], 0)


def test_a_mask_is_stretched_and_pictures_are_blended_by_it() -> None:
    mask = np.array([[0.0, 1.0]], np.float32)
    share = sized(mask, 4, 8)
    assert share.shape == (4, 8) and share[0, 0] == 0 and share[0, -1] == 1
    ours, theirs = np.full((4, 8, 3), 200, np.uint8), np.full((4, 8, 3), 100, np.uint8)
    picture = blended(ours, theirs, share)
    assert picture[0, 0, 0] == 100 and picture[0, -1, 0] == 200 and 100 < picture[0, 4, 0] < 200


@pytest.mark.parametrize("name", ["ort", "torch"])
def test_each_side_is_painted_as_its_style_alone_would_be(
    name: str, live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask
) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    from engines.registry import open_engine  # noqa: PLC0415 (after the skip)

    look = looks(live_bundle)
    with open_engine(name, live_bundle, threads=2) as engine:
        both = engine.stylise(frame, look, left).astype(float)
        ours = engine.stylise(frame, alone(look, 0)).astype(float)
        theirs = engine.stylise(frame, alone(look, 1)).astype(float)
    far = np.abs(ours - theirs).mean()
    middle, margin = SIZE[1] // 2, 40  # the network sees that far
    assert far > 15
    # Tones and detail are told by each side, and not by the whole: a little is different.
    assert np.abs(both - ours)[:, : middle - margin].mean() < 0.4 * far
    assert np.abs(both - theirs)[:, middle + margin :].mean() < 0.4 * far


def test_engines_agree_about_regions(live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask) -> None:
    pytest.importorskip("torch")
    from engines.torch_engine import TorchEngine  # noqa: PLC0415 (after the skip)

    look = looks(live_bundle, smoothing=0.8)
    with OrtEngine(live_bundle, threads=2) as ours, TorchEngine(live_bundle) as theirs:
        for shift in (0, 2):
            moved = np.roll(frame, shift, 1)
            difference = ours.stylise(moved, look, left).astype(int) - theirs.stylise(moved, look, left)
            assert np.abs(difference).max() <= 4


def test_the_same_style_behind_is_nearly_the_same_painting(
    live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask
) -> None:
    style, other = live_bundle.style("red-fuji"), live_bundle.style("water-lilies")
    with OrtEngine(live_bundle, threads=2) as engine:
        plain = engine.stylise(frame, Look(style, smoothing=0.0)).astype(int)
        same = engine.stylise(frame, Look(style, background=style, smoothing=0.0), left)
        another = engine.stylise(frame, Look(style, background=other, smoothing=0.0), left)
    # Not the same: every side is finished by what there is in it.
    right = np.s_[:, SIZE[1] // 2 + 8 :]
    assert np.abs(same - plain)[right].mean() < 0.25 * np.abs(another - plain)[right].mean()


def test_oil_is_in_both_sides(live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask) -> None:
    look = looks(live_bundle, smoothing=0.0)
    with OrtEngine(live_bundle, threads=2) as engine:
        plain, oiled = (engine.stylise(frame, replace(look, oil=oil), left).astype(int) for oil in (0.0, 1.0))
    for side in (np.s_[:, :70], np.s_[:, 90:]):
        assert np.abs(oiled - plain)[side].mean() > 1


@pytest.mark.parametrize(("ours", "theirs"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_a_side_of_strength_0_is_the_frame_itself(
    ours: float, theirs: float, live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask
) -> None:
    look = looks(live_bundle, strength=ours, background_strength=theirs)
    with OrtEngine(live_bundle, threads=2) as engine:
        painted = engine.stylise(frame, look, left)
    for strength, side in ((ours, painted[:, :70] != frame[:, :70]), (theirs, painted[:, 90:] != frame[:, 90:])):
        assert side.any() == (strength > 0)


def test_a_background_without_a_style_is_painted_like_the_rest_with_its_own_strength(
    live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask
) -> None:
    style = live_bundle.style("red-fuji")
    assert Look(style, strength=0.5).behind is None and Look(style, background_strength=0.9).behind is style
    with OrtEngine(live_bundle, threads=2) as engine:
        painted = engine.stylise(frame, Look(style, background_strength=0.0, smoothing=0.0), left)
        named = engine.stylise(frame, Look(style, background=style, background_strength=0.0, smoothing=0.0), left)
    np.testing.assert_array_equal(painted, named)
    np.testing.assert_array_equal(painted[:, 90:], frame[:, 90:])


def test_swapping_the_background_takes_effect_at_that_frame(
    live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask
) -> None:
    first = looks(live_bundle, smoothing=0.9, kernel_interval=8)
    second = Look(first.style, background=first.style, smoothing=0.9, kernel_interval=8)
    with OrtEngine(live_bundle, threads=2) as engine:
        before = engine.stylise(frame, first, left).astype(int)
        engine.stylise(frame, first, left)
        after = engine.stylise(frame, second, left).astype(int)
    assert np.abs(after - before)[:, 100:].mean() > 4 * np.abs(after - before)[:, :60].mean()


def test_a_mask_may_lie_in_memory_as_it_likes(live_bundle: Bundle, frame: NDArray[np.uint8], left: Mask) -> None:
    told, mirrored = looks(live_bundle), np.ascontiguousarray(left[:, ::-1])[:, ::-1]
    with OrtEngine(live_bundle, threads=1) as engine:
        np.testing.assert_array_equal(engine.stylise(frame, told, mirrored), engine.stylise(frame, told, left))


def test_masks_that_cannot_be(tiny_bundle: Bundle, frame: NDArray[np.uint8]) -> None:
    look = looks(tiny_bundle)
    with OrtEngine(tiny_bundle) as engine:
        with pytest.raises(InputError, match="needs a mask"):
            engine.stylise(frame, look)
        with pytest.raises(InputError, match=r"must be float32 \(30, 40\)"):
            engine.stylise(frame, look, np.zeros((30, 41), np.float32))
        with pytest.raises(InputError, match="float64"):
            engine.stylise(frame, look, np.zeros((30, 40)))  # type: ignore[arg-type]


class Halves:
    """Finds people in the left half, always."""

    def __init__(self) -> None:
        self.asked = self.resets = 0
        self.closed = False

    def mask(self, image: NDArray[np.uint8]) -> Mask:
        self.asked += 1
        mask = np.zeros(small_size(*image.shape[:2]), np.float32)
        mask[:, : mask.shape[1] // 2] = 1
        return mask

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def test_masks_are_found_while_they_are_asked_for(tiny_bundle: Bundle, frame: NDArray[np.uint8], left: Mask) -> None:
    look, masks = looks(tiny_bundle), Halves()
    engine: Engine = Regional(OrtEngine(tiny_bundle), Later(lambda: masks))
    with engine, OrtEngine(tiny_bundle) as plain:
        assert (engine.name, engine.provider) == (plain.name, plain.provider)
        np.testing.assert_array_equal(engine.stylise(frame, alone(look, 0)), plain.stylise(frame, alone(look, 0)))
        assert masks.asked == 0
        np.testing.assert_array_equal(engine.stylise(frame, look), plain.stylise(frame, look, left))
        engine.stylise(frame, look)
        assert (masks.asked, masks.resets) == (2, 1)
        engine.stylise(frame, look, left)  # given, and not looked for
        engine.stylise(frame, alone(look, 1))
        engine.stylise(frame, look)
        assert (masks.asked, masks.resets) == (3, 2)
        engine.reset()
        engine.stylise(frame, look)
        assert masks.resets == 3
    assert masks.closed
    with pytest.raises(EngineError, match="closed"):
        engine.stylise(frame, look, left)
