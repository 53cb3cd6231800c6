"""Providers that this machine has not, by an ONNX Runtime that keeps how it was asked and computes on the CPU."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import EngineError, InputError
from engines.ort import OrtEngine
from engines.providers import find_provider, why_not_running
from engines.sizes import SizeRange

ON_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
SHORT = ("cuda", "tensorrt", "directml", "coreml", "openvino")


def frame(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(40, 215, (height // 16 + 2, width // 16 + 2, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, :width])


def paintings(bundle: Bundle, provider: str | None) -> list[NDArray[np.uint8]]:
    """Of frames of two sizes with two styles, one of them over people, and of a second stream."""
    ember, moss = (Look(bundle.style(name), 0.9, 0.8, kernel_interval=2) for name in ("ember", "moss"))
    split = Look(ember.style, background=moss.style)
    made = []
    with OrtEngine(bundle, threads=1, provider=provider) as engine:
        made += [engine.stylise(frame(64, 80), look) for look in (ember, ember, moss)]
        with engine.session() as other:
            made += [other.stylise(frame(64, 80, 1), moss), engine.stylise(frame(64, 80), moss)]
            made += [other.stylise(frame(97, 131), ember), other.stylise(frame(97, 131), ember)]
        mask = np.zeros((16, 20), np.float32)
        mask[:, :10] = 1
        made.append(engine.stylise(frame(64, 80), split, mask))
    return made


@pytest.mark.parametrize("provider", SHORT)
def test_every_provider_paints_what_the_cpu_paints(tiny_bundle: Bundle, devices: Any, provider: str) -> None:
    ours, theirs = paintings(tiny_bundle, provider), paintings(tiny_bundle, None)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert all(session.strict and session.provider == find_provider(provider).name for session in devices.sessions)


def test_pinned_memory_changes_nothing_but_the_way(tiny_bundle: Bundle, devices: Any) -> None:
    theirs = paintings(tiny_bundle, "cuda")
    assert devices.copies == 0
    devices.pinned = True
    from engines.ort_device import pinned_memory  # noqa: PLC0415 (what it found before is not to hold)

    pinned_memory.cache_clear()
    ours = paintings(tiny_bundle, "cuda")
    assert devices.copies > 8 * 4
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_cuda_is_opened_for_graphs_and_finds_algorithms_by_heuristics(tiny_bundle: Bundle, devices: Any) -> None:
    with OrtEngine(tiny_bundle, provider="cuda:1") as engine:
        assert engine.provider == "CUDAExecutionProvider"
        assert devices.sessions[0].provider_options == {
            "device_id": "1",
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "enable_cuda_graph": "1",
        }
        engine.stylise(frame(64, 80), Look(tiny_bundle.style("moss")))
        with engine.session() as other:
            other.stylise(frame(64, 80), Look(tiny_bundle.style("moss")))
    (captured,) = [
        session.graphs for session in devices.sessions if len(session.graphs) == 2 and "painted" in str(session.graphs)
    ]
    assert len({addresses["painted"] for addresses in captured.values()}) == 2  # each stream has its own


def test_tensorrt_keeps_its_engines_and_timings(tiny_bundle: Bundle, devices: Any, own_cache: Path) -> None:
    with OrtEngine(tiny_bundle, provider="tensorrt"):
        guide, painter = (session.provider_options for session in devices.sessions[:2])
    kept = own_cache / "providers" / "tensorrt" / onnxruntime.__version__
    assert guide["trt_engine_cache_enable"] == guide["trt_timing_cache_enable"] == "True"
    assert guide["trt_cuda_graph_enable"] == "True"
    assert Path(guide["trt_engine_cache_path"]).parent == Path(painter["trt_engine_cache_path"]).parent == kept
    assert guide["trt_engine_cache_path"] != painter["trt_engine_cache_path"]
    assert guide["trt_timing_cache_path"] == painter["trt_timing_cache_path"] == str(kept / "timings")
    assert not any(name.startswith("trt_profile") for name in guide)  # any size: one engine for each


def test_tensorrt_builds_one_engine_for_a_bundle_s_range(
    tiny_bundle: Bundle, devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = SizeRange((64, 64), (160, 96), (320, 240))
    ranged = replace(tiny_bundle, sizes=sizes)
    look = Look(tiny_bundle.style("moss"))
    with OrtEngine(ranged, provider="tensorrt") as engine:
        for size in ((64, 64), (97, 131), (240, 320)):
            assert engine.stylise(frame(*size), look).shape == (*size, 3)
        with pytest.raises(InputError, match="400x64"):
            engine.stylise(frame(64, 400), look)
    told = [session.provider_options for session in devices.sessions]
    assert len(told) == 3  # guide, frame, regions
    shapes = {
        name: dict(entry.split(":") for entry in told[1][f"trt_profile_{name}_shapes"].split(","))
        for name in ("min", "opt", "max")
    }
    assert shapes["min"]["frame"] == "64x64x3" and shapes["max"]["frame"] == "240x320x3"
    assert shapes["max"]["small"] == "60x80x3" and "strength" not in shapes["max"]
    assert all("guide:" in told[0][f"trt_profile_{name}_shapes"] for name in ("min", "opt", "max"))


def test_directml_runs_in_sequence_without_patterns_of_memory(tiny_bundle: Bundle, devices: Any) -> None:
    with OrtEngine(tiny_bundle, provider="directml"):
        options = devices.sessions[0].options
    assert devices.sessions[0].provider_options == {"device_id": "0"}
    assert options.enable_mem_pattern is False
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def test_coreml_and_openvino_have_their_documented_options(tiny_bundle: Bundle, devices: Any) -> None:
    with OrtEngine(tiny_bundle, provider="coreml"), OrtEngine(tiny_bundle, provider="openvino:GPU", threads=2):
        apple, intel = (
            next(session for session in devices.sessions if session.provider.startswith(name))
            for name in ("CoreML", "OpenVINO")
        )
    assert apple.provider_options.pop("ModelCacheDirectory")
    assert apple.provider_options == {
        "ModelFormat": "MLProgram",
        "MLComputeUnits": "ALL",
        "RequireStaticInputShapes": "1",
    }
    assert intel.provider_options.pop("cache_dir")
    assert intel.provider_options == {"device_type": "GPU", "num_of_threads": "2"}


# What cannot run, and what is told of it.


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("cudda", "did you mean cuda"),
        ("cuda:first", "counts its devices, for example cuda:0"),
        ("cpu:1", "has one device"),
    ],
)
def test_providers_that_cannot_be_meant(devices: Any, asked: str, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        find_provider(asked)


def test_a_provider_that_does_not_start(tiny_bundle: Bundle, devices: Any) -> None:
    """What onnxruntime-gpu does without a GPU: it names CUDA, makes the session, and runs on the CPU."""
    devices.absent.add("CUDAExecutionProvider")
    for allowed in (False, True):
        with pytest.raises(EngineError, match=r"CUDAExecutionProvider did not start .*brushcast\[gpu\]"):
            OrtEngine(tiny_bundle, provider="cuda", allow_cpu_fallback=allowed)
    assert "did not start" in str(why_not_running("cuda"))
    assert why_not_running("tensorrt") is None and why_not_running("cpu") is None


@pytest.mark.parametrize("provider", ["cuda", "openvino", "tensorrt"])
def test_parts_run_on_the_cpu_if_that_is_allowed_and_it_is_told(
    tiny_bundle: Bundle, devices: Any, provider: str
) -> None:
    full = find_provider(provider).name
    devices.partial.add(full)
    with pytest.raises(EngineError, match=rf"guide\.onnx cannot be run by {full}: fallback .*user\.$"):
        OrtEngine(tiny_bundle, provider=provider)
    look = Look(tiny_bundle.style("moss"))
    with OrtEngine(tiny_bundle, provider=provider, allow_cpu_fallback=True) as engine, OrtEngine(tiny_bundle) as plain:
        instead = "CUDAExecutionProvider or CPU" if provider == "tensorrt" else "CPU"
        assert engine.provider == f"{full} (parts on {instead}ExecutionProvider)"
        assert np.array_equal(engine.stylise(frame(64, 80), look), plain.stylise(frame(64, 80), look))
    assert not any(session.captures for session in devices.sessions if session.opened)


def test_a_real_provider_that_takes_nothing(tiny_bundle: Bundle) -> None:
    """Azure's is in ONNX Runtime's own packages, and computes on no machine of the user's."""
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no AzureExecutionProvider")
    with pytest.raises(EngineError, match=r"cannot be run by AzureExecutionProvider.*fallback to CPU EP"):
        OrtEngine(tiny_bundle, provider="AzureExecutionProvider")
    with OrtEngine(tiny_bundle, provider="AzureExecutionProvider", allow_cpu_fallback=True) as engine:
        assert engine.provider == "AzureExecutionProvider (parts on CPUExecutionProvider)"
        assert engine.stylise(frame(64, 80), Look(tiny_bundle.style("moss"))).shape == (64, 80, 3)


def test_runs_that_cannot_be_captured_are_launched_one_by_one_and_it_is_told(tiny_bundle: Bundle, devices: Any) -> None:
    devices.uncaptured.add("CUDAExecutionProvider")
    with OrtEngine(tiny_bundle, provider="cuda") as engine:
        assert engine.provider == "CUDAExecutionProvider (no CUDA graph)"
        engine.stylise(frame(64, 80), Look(tiny_bundle.style("moss")))


def test_out_of_memory_names_a_size_that_fits_and_smaller_frames_go_on(
    tiny_bundle: Bundle, devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.ort.free_memory", lambda provider: 20 * 2**20)
    look = Look(tiny_bundle.style("moss"), render_scale=16)
    with OrtEngine(tiny_bundle, provider="cuda") as engine:
        devices.problem = RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc\nStack trace: ...")
        with pytest.raises(
            EngineError, match=r"640x480, painted at 640x480, takes .*MB are free.*about 416x312"
        ) as told:
            engine.stylise(frame(480, 640), look)
        assert "\n" not in str(told.value) and len(str(told.value)) < 300
        devices.problem = RuntimeError("the kernel failed\nStack trace: ...")
        with pytest.raises(EngineError, match=r"failed: the kernel failed$"):
            engine.stylise(frame(480, 640), look)
        devices.problem = None
        assert engine.stylise(frame(312, 416), look).shape == (312, 416, 3)


def test_streams_of_a_device_take_turns(tiny_bundle: Bundle, devices: Any) -> None:
    """One session of a device that captures graphs is for one thread at a time; the fake refuses two."""
    look = Look(tiny_bundle.style("moss"))
    with OrtEngine(tiny_bundle, provider="cuda") as engine:
        streams = [engine.session() for _ in range(4)]
        problems: list[BaseException] = []

        def paint(stream: Any) -> None:
            try:
                for _ in range(8):
                    stream.stylise(frame(64, 80), look)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=paint, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for stream in streams:
            stream.close()
    assert not problems
