from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines import trt_part
from engines.api import Look
from engines.bundle import Bundle, TensorInfo, seal
from engines.cuda_runtime import Cuda
from engines.errors import BundleError, EngineError, InputError, StyleError
from engines.ort import OrtEngine
from engines.plans import load_plans
from engines.registry import open_engine
from engines.sizes import SizeRange
from engines.styles import mix
from engines.trt import TensorRtEngine, device_index
from export.commands import tensorrt

SMALL = SizeRange((64, 64), (96, 80), (160, 128))

Build = Callable[..., Bundle]


def noise(height: int, width: int, shift: int = 0) -> NDArray[np.uint8]:
    """A smooth picture, moved to the left by some pixels: what a motion estimate can follow."""
    coarse = np.random.default_rng(0).integers(40, 215, (height // 16 + 2, width // 16 + 4, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, shift : width + shift])


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture
def build(gpu: Any, tmp_path: Path) -> Build:
    """Builds a bundle's plans with the command, for a GPU that is not there."""

    def run(bundle: Bundle, sizes: SizeRange = SMALL, *words: str) -> Bundle:
        parser = argparse.ArgumentParser()
        tensorrt.add_arguments(parser)
        common = {"checkpoint": str(bundle.folder), "out": tmp_path / "plans", "style": None, "sizes": sizes}
        asked = argparse.Namespace(**vars(parser.parse_args(words)), **common, precision=None, name=None)
        tensorrt.run(asked, [].append)
        gpu.captures = gpu.launched = gpu.enqueued = 0  # the command has compared paintings
        return Bundle.load(tmp_path / "plans")

    return run


@pytest.fixture
def built(build: Build, tiny_bundle: Bundle) -> Bundle:
    return build(tiny_bundle)


@pytest.fixture
def engine(built: Bundle) -> Iterator[TensorRtEngine]:
    with TensorRtEngine(built) as opened:
        yield opened


def test_a_stream_is_painted_as_by_onnx_runtime(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    ember, moss = built.style("ember"), built.style("moss")
    looks = [
        Look(ember),
        Look(ember, 0.4, 1.0),
        Look(moss, 0.9, 0.5, stroke=2.0),
        Look(mix((ember, moss), (1, 2)), render_scale=0.25),
        Look(ember, smoothing=0.0, stroke=0.5, render_scale=16.0),
        Look(moss, keep_colours=0.5),
    ]
    assert engine.provider == "cuda:0"
    with OrtEngine(built, threads=1) as reference:
        for size in ((64, 64), (80, 96), (128, 160), (101, 77)):
            for number in range(18):
                look, image = looks[number // 3], noise(*size, shift=number)
                assert difference(engine.stylise(image, look), reference.stylise(image, look)) <= 1
    assert gpu.captures > 8
    assert gpu.launched > gpu.captures


def test_two_styles_in_one_frame(engine: TensorRtEngine, built: Bundle) -> None:
    look = Look(built.style("ember"), background=built.style("moss"), background_strength=0.6)
    plain = Look(built.style("moss"))
    mask = np.linspace(0, 1, 20 * 24, dtype=np.float32).reshape(20, 24)
    with OrtEngine(built, threads=1) as reference:
        for number in range(6):
            image = noise(80, 96, number)
            ours, theirs = engine.stylise(image, look, mask), reference.stylise(image, look, mask)
            assert difference(ours, theirs) <= 1
        assert difference(engine.stylise(image, plain), reference.stylise(image, plain)) <= 1


def test_the_released_model(build: Build, live_bundle: Bundle) -> None:
    bundle = build(live_bundle, SizeRange((128, 96), (160, 128), (192, 160)))
    look = Look(bundle.style(bundle.styles[0]))
    with TensorRtEngine(bundle) as ours, OrtEngine(bundle, threads=1) as reference:
        for number in range(5):
            image = noise(128, 160, 2 * number)
            assert difference(ours.stylise(image, look), reference.stylise(image, look)) <= 3


def test_styles_are_swapped_in_place_at_every_frame(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    ember, moss = built.style("ember"), built.style("moss")
    image = noise(80, 96)
    with OrtEngine(built, threads=1) as reference:
        for number in range(40):
            look = Look(mix((ember, moss), (number % 7, 1 + number % 3)), 1.0, 0.0)
            assert difference(engine.stylise(image, look), reference.stylise(image, look)) <= 1
    assert gpu.captures == 2  # of the guide and of the frame: new styles need no new graph
    assert gpu.enqueued == 2 + 2  # once to run, once to be captured


def test_an_unchanged_style_is_not_copied_again(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    look, image = Look(built.style("ember"), smoothing=0.0), noise(80, 96)
    engine.stylise(image, look)
    before = gpu.uploads
    engine.stylise(image, look)
    assert gpu.uploads - before == 2 + 6  # guide, colour map; and frame, small, guidance, colour map, both memories


def test_a_style_that_is_on_its_way_is_not_written_over(gpu: Any) -> None:
    cuda = Cuda()
    stream = cuda.stream()
    fixed = trt_part.Fixed(cuda, stream, TensorInfo("strength", "float32", ()))
    first = cuda.pinned((), "float32")
    fixed.write(0.25)
    cuda.download(first, fixed.address, stream)
    fixed.write(0.75)
    cuda.wait(stream)
    assert first.array == 0.25


def test_memory_is_allocated_once_and_freed(built: Bundle, gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_part, "SIZES_KEPT", 2)
    look = Look(built.style("ember"))
    engine = TensorRtEngine(built)
    for width in (64, 80, 96):
        engine.stylise(noise(64, width), look)
    used = gpu.used
    for _ in range(3):
        for width in (64, 80, 96):
            for number in range(3):
                engine.stylise(noise(64, width, number), look)
    assert gpu.used == used
    kept = engine.stylise(noise(64, 96), look)
    engine.close()
    engine.close()
    assert gpu.used == 0
    assert gpu.queues == {}
    assert gpu.graphs == {}
    assert kept.mean() > 0  # the caller's own
    with pytest.raises(EngineError, match="the tensorrt engine is closed"):
        engine.stylise(noise(64, 64), look)


def test_sessions_have_a_memory_of_their_own(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    ember, moss = Look(built.style("ember"), 1.0, 1.0), Look(built.style("moss"), 1.0, 1.0)
    image = noise(80, 96)
    other = engine.session()
    alone = engine.stylise(image, ember)
    for _ in range(3):
        other.stylise(image, moss)
        assert difference(engine.stylise(image, ember), alone) <= 1
    third = other.session()
    other.close()
    third.stylise(image, moss)
    assert difference(engine.stylise(image, ember), alone) <= 1
    engine.close()
    for closed in (third, other):
        with pytest.raises(EngineError, match="the tensorrt engine is closed; open a new one"):
            closed.stylise(image, moss)
        with pytest.raises(EngineError, match="closed"):
            closed.session()
    third.close()
    assert gpu.used == 0


def test_sessions_paint_in_threads(engine: TensorRtEngine, built: Bundle) -> None:
    looks = [Look(built.style(name), 1.0, 0.7) for name in ("ember", "moss")]
    found: dict[int, list[NDArray[np.uint8]]] = {}

    def paint(index: int, session: Any) -> None:
        found[index] = [session.stylise(noise(80, 96, number), looks[index % 2]) for number in range(12)]

    threads = [threading.Thread(target=paint, args=(index, engine.session())) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(4):
        with OrtEngine(built, threads=1) as reference:
            for number, painted in enumerate(found[index]):
                assert difference(painted, reference.stylise(noise(80, 96, number), looks[index % 2])) <= 1


def test_sizes_outside_the_plans(engine: TensorRtEngine, built: Bundle) -> None:
    look = Look(built.style("ember"))
    for size in ((129, 160), (128, 161), (480, 640)):
        with pytest.raises(InputError, match=r"plans are for 64x64:96x80:160x128; build others: .*--size"):
            engine.stylise(noise(*size), look)
    assert engine.stylise(noise(128, 160), look).shape == (128, 160, 3)


def test_frames_and_styles_that_cannot_be_painted(engine: TensorRtEngine, built: Bundle) -> None:
    look = Look(built.style("moss"))
    for image in (np.zeros((63, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)):
        with pytest.raises(InputError):
            engine.stylise(image, look)  # type: ignore[arg-type]
    with pytest.raises(StyleError, match="was made by bundle"):
        engine.stylise(noise(64, 64), Look(replace(look.style, bundle_id="0" * 16)))


def test_plans_of_another_tensorrt_or_gpu(built: Bundle, gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_gpu  # type: ignore[import-not-found]  # noqa: PLC0415 (on the path since the fixture)

    gpu.driver = 12040  # another driver runs them all the same
    TensorRtEngine(built).close()
    gpu.name = "NVIDIA Other"
    told = r"built by TensorRT 10\.3\.0 for NVIDIA Fake 9000 \(8\.9\), and here is TensorRT 10\.3\.0 for NVIDIA Other"
    with pytest.raises(EngineError, match=rf"{told} .*; build it again here: brushcast-export tensorrt "):
        open_engine("tensorrt", built)
    gpu.name, gpu.version = "NVIDIA Fake 9000", "11.0.0"
    fake_gpu.reinstall(monkeypatch, gpu)
    with pytest.raises(EngineError, match=r"and here is TensorRT 11\.0\.0"):
        TensorRtEngine(built)
    gpu.version = "8.6.1"
    fake_gpu.reinstall(monkeypatch, gpu)
    with pytest.raises(EngineError, match="too old; 10 or newer"):
        TensorRtEngine(built)


def test_plans_of_another_graph(built: Bundle) -> None:
    frame = onnx.load(built.frame_graph)
    frame.doc_string = "another"
    onnx.save(frame, built.frame_graph)
    with pytest.raises(EngineError, match=r"plan frame\.plan was built from another frame\.onnx; build it again here"):
        TensorRtEngine(seal(built.folder, built.manifest))


def test_a_plan_with_other_tensors(built: Bundle) -> None:
    plans = built.folder / "plans"
    (plans / "frame.plan").write_bytes((plans / "guide.plan").read_bytes())
    with pytest.raises(EngineError, match=r"frame\.plan is of another graph \(see its .*painted"):
        TensorRtEngine(seal(built.folder, built.manifest))
    (plans / "frame.plan").write_bytes(b"nothing\n")
    with pytest.raises(EngineError, match=r"TensorRT cannot load frame\.plan: Version tag does not match\.$"):
        TensorRtEngine(seal(built.folder, built.manifest))


def test_an_input_that_tensorrt_leaves_out(built: Bundle, gpu: Any) -> None:
    gpu.unused = {"style.tokens"}
    image = noise(80, 96)
    with TensorRtEngine(built) as engine:
        assert engine.stylise(image, Look(built.style("ember"))).shape == image.shape


@pytest.mark.parametrize("text", ["{", '{"format": 9}', '{"format": 1}', '{"format": 1, "host": 3}'])
def test_garbled_plans(built: Bundle, text: str) -> None:
    (built.folder / "plans" / "plans.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"plans\.json .*(JSON|format|garbles)"):
        load_plans(built)


def test_a_bundle_without_plans(gpu: Any, tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="holds no TensorRT plans; build them here: brushcast-export tensorrt"):
        open_engine("tensorrt", tiny_bundle)


def test_precision_is_that_of_the_plans(built: Bundle) -> None:
    TensorRtEngine(built, precision="fp32").close()
    with pytest.raises(EngineError, match=r"are fp32; fp16 ones have to be built: .* --precision fp16"):
        open_engine("tensorrt", built, precision="fp16")


def test_gpus_by_number(built: Bundle, gpu: Any) -> None:
    assert [device_index(name) for name in (None, "cuda", "CUDA:3", "gpu:1")] == [0, 0, 3, 1]
    with pytest.raises(EngineError, match="no GPU 'cpu'; the tensorrt engine runs on cuda, cuda:0"):
        TensorRtEngine(built, provider="cpu")
    with pytest.raises(EngineError, match="no GPU 1; CUDA sees 1"):
        TensorRtEngine(built, provider="cuda:1")
    gpu.count = 2
    with TensorRtEngine(built, provider="cuda:1") as engine:
        assert engine.provider == "cuda:1"
    gpu.driver_there = False
    with pytest.raises(EngineError, match="CUDA: cudaGetDeviceCount failed"):
        TensorRtEngine(built)


def test_without_memory_on_the_gpu(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    look = Look(built.style("ember"), render_scale=16.0)
    gpu.workspace_per_pixel = 1000
    gpu.total = gpu.used + (30 << 20)
    with pytest.raises(EngineError, match=r"out of device memory: 59 MB are needed, .* at 160x128: about \d+x\d+ fits"):
        engine.stylise(noise(128, 160), look)
    before = gpu.used
    with pytest.raises(EngineError, match="out of device memory"):
        engine.stylise(noise(128, 160), look)
    assert gpu.used == before  # nothing of the attempt is left
    assert engine.stylise(noise(64, 64), look).shape == (64, 64, 3)  # and the next frame may fit


def test_other_sizes_buffers_make_room(engine: TensorRtEngine, built: Bundle, gpu: Any) -> None:
    look = Look(built.style("ember"), render_scale=16.0)
    gpu.workspace_per_pixel = 1000
    engine.stylise(noise(64, 64), look)
    engine.stylise(noise(64, 80), look)
    gpu.total = gpu.used + (20 << 20)
    assert engine.stylise(noise(64, 96), look).shape == (64, 96, 3)


def test_without_cuda_graphs_it_paints_all_the_same(
    engine: TensorRtEngine, built: Bundle, gpu: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.can_capture = False
    look = Look(built.style("ember"))
    with OrtEngine(built, threads=1) as reference:
        for number in range(6):
            image = noise(80, 96, number)
            assert difference(engine.stylise(image, look), reference.stylise(image, look)) <= 1
    assert gpu.launched == 0
    assert sum("without a CUDA graph" in record.message for record in caplog.records) == 2


def test_a_failing_gpu(engine: TensorRtEngine, built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Look(built.style("ember"))
    image = noise(80, 96)
    first = engine.stylise(image, look)
    call = Cuda.call

    def failing(self: Cuda, name: str, *arguments: Any) -> Any:
        if name == "cudaStreamSynchronize":
            raise EngineError("CUDA: cudaStreamSynchronize failed: an illegal memory access was encountered")
        return call(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Cuda, "call", failing)
        with pytest.raises(EngineError, match="illegal memory access"):
            engine.stylise(image, look)
    assert difference(engine.stylise(image, look), first) <= 1  # it has forgotten the last painting


@pytest.mark.parametrize("package", ["tensorrt", "cuda.bindings"])
def test_what_is_not_installed(built: Bundle, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=rf'{package} is not installed; run: pip install "brushcast\[tensorrt\]"'):
        open_engine("tensorrt", built)


def test_every_name_of_the_cuda_runtime_is_a_real_one() -> None:
    """The fake could have names that the library has not."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
    source = (Path(trt_part.__file__).parent / "cuda_runtime.py").read_text(encoding="utf-8")
    names = set(source.replace('"', " ").replace("(", " ").replace(".", " ").split())
    used = {name.strip(",)") for name in names if name.startswith("cuda") and name.strip(",)").isalnum()} - {"cuda"}
    enums = (runtime, runtime.cudaError_t, runtime.cudaMemcpyKind, runtime.cudaStreamCaptureMode)
    assert len(used) > 20
    assert [name for name in used if not any(hasattr(place, name) for place in enums)] == []
