"""What every engine does alike: one test of the contract in `engines.api`, over all that can be opened.

What cannot be opened on a machine is skipped with the reason that `brushcast doctor` tells. Two back ends whose devices
are seldom there are tested on fakes of them besides (tests/fakes).
"""

from __future__ import annotations

import argparse
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import EngineError, InputError, StyleError
from engines.registry import ENGINES, open_engine, why_not
from engines.sizes import SizeRange

SERVER = "BRUSHCAST_TRITON"  # triton://HOST:PORT[/MODEL] of a server that has the released bundle
PROVIDERS = ("cuda", "tensorrt", "directml", "coreml", "openvino")
FAKED = ("cuda", "tensorrt")
ALWAYS = (("ort", None), ("identity", None))
# One released model of every network, and the large one, each on the engine for it; the other engines paint `live`.
MODEL = "model:"
MODELS = (
    ("studio", "ort"),
    ("tuned-red-fuji", "ort"),
    ("johnson-cafe-terrace", "ort"),
    ("reconet-cafe-terrace", "ort"),
    ("cin", "ort"),
    ("cin", "torch"),
    ("adain", "ort"),
    ("adain", "torch"),
    ("ghiasi", "ort"),
)
SIZES = ((64, 64), (97, 131), (360, 640))  # height, width
SAME = 1  # steps of 255 that two paintings of the same may differ by: sums of a device differ in their order


@dataclass(frozen=True)
class Opened:
    bundle: Bundle
    open: Callable[[], Engine]
    engine: Engine

    def look(self, style: int = 0, **numbers: Any) -> Look:
        known = self.bundle.styles
        return Look(self.bundle.style(known[style % len(known)]), **numbers)


def frames(height: int, width: int, count: int = 1, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A smooth picture that moves to the right."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 215, (height // 16 + 2, width // 16 + 4, 3)).astype(np.uint8)
    wide = coarse.repeat(16, 0).repeat(16, 1)
    return [np.ascontiguousarray(wide[:height, 2 * k : 2 * k + width]) for k in range(count)]


def frame(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return frames(height, width, seed=seed)[0]


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(
    scope="module",
    params=[
        *((name, None) for name in ENGINES),
        *(("ort", provider) for provider in PROVIDERS),
        *((name, f"{MODEL}{model}") for model, name in MODELS),
        ("triton", None),
        *(("faked", name) for name in FAKED),
    ],
    ids=lambda case: "-".join(filter(None, case)),
)
def opened(
    request: pytest.FixtureRequest, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    name, provider = request.param
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("BRUSHCAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        if name == "faked":
            name, provider, bundle = faked(provider, tiny_bundle, patch, tmp_path_factory)
        elif (name, provider) in ALWAYS:
            bundle = tiny_bundle
        elif (provider or "").startswith(MODEL):
            model, provider = provider.removeprefix(MODEL), None
            bundle = Bundle.load(model)
        else:
            bundle = request.getfixturevalue("live_bundle")
        if name == "triton":
            name = os.environ.get(SERVER, "")
            if not name:
                pytest.skip(f"no server is told; set {SERVER}=triton://HOST:PORT[/MODEL]")
        reason = why_not(name, bundle, provider=provider)
        if reason is not None:
            assert (name, provider) not in ALWAYS, reason
            pytest.skip(reason)

        def anew() -> Engine:
            return open_engine(name, bundle, threads=1, provider=provider)

        with anew() as engine:
            yield Opened(bundle, anew, engine)


def faked(
    device: str, tiny: Bundle, patch: pytest.MonkeyPatch, folders: pytest.TempPathFactory
) -> tuple[str, str | None, Bundle]:
    """Puts a device there that this machine has not; the engine's name, its provider, and a bundle for it."""
    if device == "cuda":
        importlib.import_module("onnxruntime_devices").Devices(patch)
        return "ort", device, tiny
    importlib.import_module("fake_gpu").install(patch)
    command = importlib.import_module("export.commands.tensorrt")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = folders.mktemp("plans") / "tiny"
    sizes = SizeRange((64, 64), (131, 97), (640, 360))
    asked = {"checkpoint": str(tiny.folder), "out": out, "style": None, "sizes": sizes, "precision": None, "name": None}
    command.run(argparse.Namespace(**vars(parser.parse_args([])), **asked), lambda line: None)
    return "tensorrt", None, Bundle.load(out)


@pytest.fixture
def stream(opened: Opened) -> Iterator[Engine]:
    with opened.engine.session() as session:
        yield session


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
@pytest.mark.parametrize("style", [0, 1])
@pytest.mark.parametrize("size", SIZES)
def test_a_painting_is_a_new_picture_of_the_frame_s_size(
    opened: Opened, stream: Engine, size: tuple[int, int], style: int, smoothing: float
) -> None:
    look = opened.look(style, smoothing=smoothing)
    given: list[NDArray[np.uint8]] = []
    for image in frames(*size, 3):
        before = image.copy()
        painting = stream.stylise(image, look)
        assert painting.shape == image.shape and painting.dtype == np.uint8
        assert painting.flags.c_contiguous and painting.flags.writeable
        assert np.array_equal(image, before)
        assert not any(np.shares_memory(painting, other) for other in (image, *given))
        given.append(painting)


def test_frames_need_not_be_contiguous_or_writable(opened: Opened, stream: Engine) -> None:
    look = opened.look(smoothing=0.0)
    wide = frame(64, 160)
    half = wide[:, ::2]
    half.flags.writeable = False
    assert difference(stream.stylise(half, look), stream.stylise(half.copy(), look)) <= SAME


def test_what_the_caller_does_with_a_painting_changes_no_other(opened: Opened, stream: Engine) -> None:
    look = opened.look(smoothing=0.9)
    images = frames(64, 80, 3)
    with opened.engine.session() as untouched:
        for image in images:
            painting = stream.stylise(image, look)
            assert difference(painting, untouched.stylise(image, look)) <= SAME
            painting[...] = 0  # drawn over, as an overlay does


def test_a_style_is_in_force_at_the_frame_it_comes_with(opened: Opened, stream: Engine) -> None:
    image = frame(64, 80)
    ours = {style: stream.stylise(image, opened.look(style, smoothing=0.0)) for style in (0, 1)}
    again = {style: stream.stylise(image, opened.look(style, smoothing=0.0)) for style in (1, 0)}
    assert all(difference(ours[style], again[style]) <= SAME for style in (0, 1))
    if opened.engine.name != "identity" and len(opened.bundle.styles) > 1:
        assert difference(ours[0], ours[1]) > 8


def test_what_is_behind_has_a_style_of_its_own(opened: Opened, stream: Engine) -> None:
    image, ours, theirs = frame(64, 80), opened.look(0, smoothing=0.0), opened.look(1, smoothing=0.0)
    look = replace(ours, background=theirs.style)
    mask = np.zeros((16, 20), np.float32)
    if opened.bundle.regions is None and opened.engine.name != "identity":
        with pytest.raises(EngineError, match="no other style for a background"):
            stream.stylise(image, look, mask)
        return
    mask[:, :10] = 1
    painting = stream.stylise(image, look, mask)
    stream.reset()
    alone = stream.stylise(image, ours)
    if opened.engine.name != "identity":
        # The far half is another style's; next to the seam features of both come together.
        assert difference(painting[:, 60:], alone[:, 60:]) > 8
        assert (
            np.abs(painting[:, :20].astype(int) - alone[:, :20]).mean()
            < np.abs(painting[:, 60:].astype(int) - alone[:, 60:]).mean()
        )


def test_a_change_of_size_and_a_reset_start_anew(opened: Opened, stream: Engine) -> None:
    look, other = opened.look(0, smoothing=0.9), opened.look(1, smoothing=0.9)
    small, large = frame(64, 80), frame(97, 131)
    with opened.engine.session() as fresh:
        first = fresh.stylise(large, look)
    stream.stylise(small, other)
    assert difference(first, stream.stylise(large, look)) <= SAME
    stream.stylise(large, other)
    stream.reset()
    assert difference(first, stream.stylise(large, look)) <= SAME


def test_streams_have_memories_of_their_own(opened: Opened) -> None:
    looks = [opened.look(style, smoothing=0.9) for style in (0, 1)]
    scenes = [frames(64, 80, 4), frames(97, 131, 4, seed=1)]
    alone = []
    for look, scene in zip(looks, scenes, strict=True):
        with opened.engine.session() as session:
            alone.append([session.stylise(image, look) for image in scene])
    with opened.engine.session() as one, one.session() as other:
        for number in range(4):
            for index, session in enumerate((one, other)):
                painting = session.stylise(scenes[index][number], looks[index])
                assert difference(painting, alone[index][number]) <= SAME


def test_streams_may_be_painted_in_threads(opened: Opened) -> None:
    look, scene = opened.look(smoothing=0.9), frames(64, 80, 4)
    with opened.engine.session() as session:
        wanted = [session.stylise(image, look) for image in scene]
    made: dict[int, list[NDArray[np.uint8]]] = {}
    problems: list[BaseException] = []

    def paint(number: int) -> None:
        try:
            with opened.engine.session() as session:
                made[number] = [session.stylise(image, look) for image in scene]
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=paint, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    for paintings in made.values():
        assert all(difference(ours, theirs) <= SAME for ours, theirs in zip(paintings, wanted, strict=True))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((63, 64, 3), np.uint8),
        np.zeros((64, 17_000, 3), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}-{'x'.join(map(str, image.shape))}",
)
def test_what_is_no_frame_is_refused_in_a_line_and_painting_goes_on(
    opened: Opened, stream: Engine, image: NDArray[Any]
) -> None:
    look = opened.look()
    with pytest.raises(InputError, match="a frame is") as told:
        stream.stylise(image, look)
    assert "\n" not in str(told.value)
    assert stream.stylise(frame(64, 80), look).shape == (64, 80, 3)


def test_a_style_of_another_bundle_is_refused(opened: Opened, stream: Engine) -> None:
    look = opened.look()
    with pytest.raises(StyleError, match="was made by bundle"):
        stream.stylise(frame(64, 80), replace(look, style=replace(look.style, bundle_id="0" * 16)))


def test_a_closed_engine_and_its_streams(opened: Opened) -> None:
    image, look = frame(64, 80), opened.look()
    engine = opened.open()
    assert engine.name and engine.provider
    first, second = engine.session(), engine.session()
    third = first.session()
    first.stylise(image, look)
    first.close()
    first.close()
    for painter in (engine, second, third):  # those that made a stream, and those that it made, go on
        assert painter.stylise(image, look).shape == image.shape
    with engine:
        pass
    engine.close()
    for painter in (engine, first, second, third):
        with pytest.raises(EngineError, match=f"the {engine.name} engine is closed; open a new one"):
            painter.stylise(image, look)
        with pytest.raises(EngineError, match="closed"):
            painter.session()
        painter.close()
    opened.engine.session().close()  # another engine is another matter


@pytest.mark.parametrize("asked", [{"precision": "fp17"}, {"mode": "never"}, {"provider": "no-such"}])
def test_what_an_engine_has_not_is_told_in_a_line(opened: Opened, asked: dict[str, str]) -> None:
    name = opened.engine.name
    if name == "triton":
        name = os.environ[SERVER]
    with pytest.raises(EngineError) as told:
        open_engine(name, opened.bundle, **asked)
    assert "\n" not in str(told.value) and len(str(told.value)) < 400
