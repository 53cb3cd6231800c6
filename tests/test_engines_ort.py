from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from engines import ort
from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.ort import OrtEngine, provider_name
from engines.styles import Style, mix


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture: what a motion estimate can follow."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 215, (height // 16 + 2, width // 16 + 2, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, :width])


def expected(image: NDArray[np.uint8], style: Style, strength: float) -> NDArray[np.uint8]:
    """What the tiny bundle's frame graph paints without memory."""
    picture = image.astype(np.float32)
    painted = picture + strength * (127.5 * style.tensors["mean"] - 0.5 * picture)
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture
def engine(tiny_bundle: Bundle) -> Engine:
    return OrtEngine(tiny_bundle, threads=1)


@pytest.mark.parametrize("size", [(64, 64), (65, 131), (97, 64)])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_first_frame_is_the_graph_s_painting(
    engine: Engine, tiny_bundle: Bundle, size: tuple[int, int], strength: float
) -> None:
    image, style = noise(*size), tiny_bundle.style("ember")
    painted = engine.stylise(image, Look(style, strength, 0.0))
    assert difference(painted, expected(image, style, strength)) <= 1


def test_the_memory_holds_the_last_painting(engine: Engine, tiny_bundle: Bundle) -> None:
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    image = noise(96, 128)
    first = engine.stylise(image, Look(ember, 1.0, 1.0))
    second = engine.stylise(image, Look(moss, 1.0, 1.0))
    fresh = expected(image, moss, 1.0)
    held = np.rint(fresh + 0.47 * (first.astype(float) - fresh)).astype(np.uint8)
    assert difference(second, held) <= 2
    engine.reset()
    assert difference(engine.stylise(image, Look(moss, 1.0, 1.0)), fresh) <= 1


def test_smoothing_0_and_a_new_size_start_anew(engine: Engine, tiny_bundle: Bundle) -> None:
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    small, large = noise(64, 80), noise(96, 128)
    engine.stylise(small, Look(ember, 1.0, 1.0))
    assert difference(engine.stylise(large, Look(moss, 1.0, 1.0)), expected(large, moss, 1.0)) <= 1
    assert difference(engine.stylise(large, Look(ember, 1.0, 0.0)), expected(large, ember, 1.0)) <= 1


def test_providers_by_short_and_full_name(engine: Engine) -> None:
    assert engine.provider == "CPUExecutionProvider"
    assert provider_name(None) == provider_name("CPU") == provider_name("CPUExecutionProvider") == ort.CPU


def test_a_provider_that_is_not_in_this_installation(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EngineError, match=r"no CUDAExecutionProvider; .*brushcast\[gpu\]"):
        OrtEngine(tiny_bundle, provider="cuda")


def test_a_graph_with_fixed_sizes_paints_the_same(tiny_bundle: Bundle) -> None:
    """What is done for providers other than the CPU: sizes fixed, one session for each."""
    fixed = ort.frame_sides(65, 70, 20, 22)
    session = ort.open_session(tiny_bundle.frame_graph, ort.CPU, threads=1, fixed=fixed)
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    assert shapes["frame"] == shapes["memory.painting"] == [65, 70, 3]
    assert shapes["small"] == shapes["memory.source"] == [17, 18, 3]
    assert shapes["guidance"] == [1, 3, 20, 22]
    session = ort.open_session(tiny_bundle.guide_graph, ort.CPU, threads=1, fixed=ort.guide_sides(64, 72))
    assert {entry.name: entry.shape for entry in session.get_inputs()}["guide"] == [64, 72, 3]
    assert session.get_outputs()[0].shape == [1, 3, 20, 22]


def test_a_graph_that_is_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "frame.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(EngineError, match=r"frame\.onnx cannot be run by CPUExecutionProvider"):
        ort.open_session(path, ort.CPU)


def test_a_stroke_paints_otherwise_and_keeps_the_memory(live_bundle: Bundle) -> None:
    image, style = noise(300, 400), live_bundle.style(live_bundle.styles[0])
    with OrtEngine(live_bundle, threads=1) as engine:
        alone = {stroke: engine.stylise(image, Look(style, smoothing=0.0, stroke=stroke)) for stroke in (0.5, 1.0, 2.0)}
        engine.stylise(image, Look(style, smoothing=1.0, stroke=0.5))
        held = engine.stylise(image, Look(style, smoothing=1.0, stroke=2.0))
    assert all(painted.shape == image.shape for painted in alone.values())
    assert difference(alone[0.5], alone[2.0]) > difference(alone[0.5], alone[1.0]) > 1
    assert difference(held, alone[2.0]) > 1  # something of the first painting is kept


def test_the_released_bundle_paints(live_bundle: Bundle) -> None:
    image = noise(90, 121)
    style = live_bundle.style(live_bundle.styles[0])
    with OrtEngine(live_bundle, threads=1) as engine:
        painted = engine.stylise(image, Look(style, 1.0, 0.7))
        assert painted.shape == image.shape
        assert difference(painted, image) > 20
        again = engine.stylise(image, Look(style, 1.0, 0.7))
        assert np.abs(again.astype(int) - painted).mean() < 4
        engine.reset()
        untouched = engine.stylise(image, Look(style, 0.0, 0.0))
        assert difference(untouched, image) <= 2


def test_a_style_that_is_swapped_or_mixed_at_every_frame_is_in_force_at_that_frame(
    engine: Engine, tiny_bundle: Bundle
) -> None:
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    image = noise(64, 80)
    for number in range(300):
        style = mix((ember, moss), (number % 7, 1 + number % 3))
        painted = engine.stylise(image, Look(style, 1.0, 0.0 if number % 2 else 0.001, kernel_interval=8))
        assert difference(painted, expected(image, style, 1.0)) <= 1


def test_another_precision_than_the_bundle_s_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"tiny is fp32, .*export one with --precision fp16"):
        OrtEngine(tiny_bundle, precision="fp16")
    OrtEngine(tiny_bundle, precision="fp32").close()


def test_an_engine_that_is_not_closed_ends_with_the_program(tiny_bundle: Bundle) -> None:
    """What it opens in the background is waited for: a thread that ends within ONNX Runtime would abort the program."""
    program = "import sys; from engines.bundle import Bundle; from engines.ort import OrtEngine"
    words = [sys.executable, "-c", f"{program}; engine = OrtEngine(Bundle.load(sys.argv[1]))", str(tiny_bundle.folder)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
