"""The engine against the real Triton server that PyPI's nvidia-pytriton carries.

    BRUSHCAST_TRITON_PYTHON=TRITON/bin/python pytest -m slow tests/test_engines_triton_real.py

export/commands/triton.py says how the environment TRITON is made.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from triton_server import served

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.encoder import StyleEncoder
from engines.errors import EngineError
from engines.registry import open_engine
from engines.triton_wire import text

pytest.importorskip("tritonclient.grpc", reason="the extra triton is not installed")
pytest.importorskip("onnx", reason="the extra export is not installed")

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from export.triton import Hosting, write_repository

VENV = "BRUSHCAST_TRITON_PYTHON"  # the Python of an environment with nvidia-pytriton


def picture(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(40, 215, (height // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, :width])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def triton_python() -> Path:
    told = os.environ.get(VENV)
    if not told or not Path(told).exists():
        pytest.skip(f"{VENV} names no Python with nvidia-pytriton; export/commands/triton.py says how to make one")
    return Path(told)


@pytest.fixture(scope="module")
def real(triton_python: Path, live_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server of the released bundle."""
    folder = tmp_path_factory.mktemp("real")
    write_repository(live_bundle, folder / "repository", Hosting(threads=1, streams=4, wait_ms=20))
    port, log = free_port(), folder / "log"
    with (
        log.open("wb") as lines,
        served(folder / "repository", triton_python, grpc_port=port, http_port=free_port(), log=lines) as process,
    ):
        end_s = time.monotonic() + 120
        while True:
            try:
                open_engine(f"triton://127.0.0.1:{port}", live_bundle).close()
                break
            except EngineError as error:
                assert process.poll() is None and time.monotonic() < end_s, f"{error}\n{log.read_text()[-3000:]}"
                time.sleep(0.5)
        yield f"triton://127.0.0.1:{port}"


FRAMES, CUT = 12, 8
# Run by the server's Python: what its own engine paints, with its versions of NumPy, OpenCV and ONNX Runtime.
REFERENCE = """
import sys
import numpy as np
from engines.api import Look
from engines.bundle import Bundle
from engines.registry import open_engine
frames, out, bundle = np.load(sys.argv[1]), sys.argv[2], Bundle.load("live")
painted = []
for name, strength, smoothing in (("red-fuji", 1.0, 0.9), ("water-lilies", 0.8, 0.6)):
    look = Look(bundle.style(name), strength, smoothing)
    with open_engine("ort", bundle, threads=1) as engine:
        painted.append([engine.stylise(frame, look) for frame in frames])
np.save(out, np.array(painted))
"""


def moving_scene() -> NDArray[np.uint8]:
    """A picture that moves on, and then is another one."""
    scenes = [cv2.GaussianBlur(picture(seed, 400, 600), (0, 0), 3) for seed in (0, 1)]
    frames = [scenes[k >= CUT][4 + k : 4 + k + 270, 2 * k : 2 * k + 480] for k in range(FRAMES)]
    return np.ascontiguousarray(frames, np.uint8)


@pytest.mark.slow
def test_the_real_server_paints_streams_at_once_each_in_its_style(
    real: str, live_bundle: Bundle, triton_python: Path, tmp_path: Path
) -> None:
    frames = moving_scene()
    looks = [Look(live_bundle.style("red-fuji")), Look(live_bundle.style("water-lilies"), 0.8, 0.6)]
    painted: list[list[NDArray[np.uint8]]] = [[], []]
    with open_engine(real, live_bundle) as first, first.session() as second:
        assert first.provider.endswith("ort, CPUExecutionProvider")

        def paint(engine: Engine, look: Look, to: list[NDArray[np.uint8]]) -> None:
            to.extend(engine.stylise(frame, look) for frame in frames)

        threads = [
            threading.Thread(target=paint, args=told) for told in zip((first, second), looks, painted, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The sequence begun anew paints as a new one does.
        first.reset()
        assert np.array_equal(first.stylise(frames[0], looks[0]), painted[0][0])
        # A stream that comes later is not touched by the one before it.
        with first.session() as third:
            assert np.array_equal(third.stylise(frames[0], looks[1]), painted[1][0])
    # To the last bit what the server's own Python paints by itself.
    np.save(tmp_path / "frames.npy", frames)
    words = [triton_python, "-c", REFERENCE, tmp_path / "frames.npy", tmp_path / "painted.npy"]
    subprocess.run(words, check=True, timeout=300, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "painted.npy"), np.array(painted))
    # And nearly what is painted here: another OpenCV (4.11 there, as NumPy 1 asks for) estimates and applies motion a
    # little differently, by 0.15 of 255 at the mean in what is moved along; the other style differs by more than 20.
    for look, theirs, others in zip(looks, painted, reversed(painted), strict=True):
        with open_engine("ort", live_bundle, threads=1) as here:
            ours = np.array([here.stylise(frame, look) for frame in frames]).astype(int)
        assert np.abs(ours[0] - theirs[0]).max() <= 1
        assert np.abs(ours - np.array(theirs)).mean() < 0.5
        assert np.abs(ours - np.array(others)).mean() > 20


@pytest.mark.slow
def test_the_real_server_makes_batches_and_keeps_to_its_number_of_streams(real: str, live_bundle: Bundle) -> None:
    look, frame = Look(live_bundle.style("red-fuji")), moving_scene()[0]
    with open_engine(f"{real}?timeout=30", live_bundle) as engine:
        sessions = [engine.session() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda session: [session.stylise(frame, look) for _ in range(6)], sessions))
        with triton.InferenceServerClient(real.removeprefix("triton://")) as client:
            told = client.get_inference_statistics("brushcast").model_stats[0]
        sizes = {entry.batch_size: entry.compute_infer.count for entry in told.batch_stats}
        print(f"batches by size: {sizes}")
        assert max(sizes) > 1
        # All four are taken: a fifth stream waits, and is told so when its time is up.
        with pytest.raises(
            EngineError, match=r"did not answer in 1 s; it is slow, or all of its 4 sequences are taken"
        ):
            open_engine(f"{real}?timeout=1", live_bundle)
        sessions[0].close()
        with open_engine(f"{real}?timeout=30", live_bundle) as fifth:
            assert fifth.stylise(frame, look).shape == frame.shape


@pytest.mark.slow
def test_the_real_server_encodes_styles_and_tells_what_is_wrong(real: str, live_bundle: Bundle) -> None:
    image = moving_scene()[0]

    def asked(name: str, array: NDArray[Any]) -> Any:
        return triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array)

    with triton.InferenceServerClient(real.removeprefix("triton://")) as client:
        answer = client.infer("brushcast_style", [asked("PICTURE", image)])
        wanted = StyleEncoder(live_bundle, threads=1).encode(image, "wanted")
        for name, tensor in wanted.tensors.items():
            np.testing.assert_allclose(answer.as_numpy(f"style.{name}"), tensor, atol=1e-4)
        with pytest.raises(InferenceServerException, match="a style picture is uint8"):
            client.infer("brushcast_style", [asked("PICTURE", image[:8])])
        for tensors, told in (
            ([], "a sequence begins with a style"),
            ([asked("STYLE", text("red-fugi"))], "no style 'red-fugi' in live; did you mean red-fuji"),
            ([asked("STYLE", text("red-fuji")), asked("STRENGTH", np.full((1, 1), 9.0))], "strength is 9"),
        ):
            frame = asked("FRAME", image[None])
            with pytest.raises(InferenceServerException, match=told):
                client.infer("brushcast", [frame, *tensors], sequence_id=5, sequence_start=True, sequence_end=True)
