from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import triton_server_fake as fake
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.bundle import Bundle
from engines.errors import EngineError, InputError, StyleError
from engines.ort import OrtEngine
from engines.registry import open_engine
from engines.styles import mix
from engines.triton_wire import START
from realtime.cli import main

pytest.importorskip("tritonclient.grpc", reason="the extra triton is not installed")
pytest.importorskip("onnx", reason="the extra export is not installed")

from engines.triton import Address
from export.triton import Hosting, write_repository


def picture(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(40, 215, (height // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, :width])


@pytest.fixture(scope="module")
def repository(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("triton") / "repository"
    write_repository(tiny_bundle, out, Hosting(threads=1, idle_s=30))
    return out


@pytest.fixture
def server(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    opened = fake.FakeTriton(repository, "brushcast", monkeypatch)
    yield opened
    opened.close()


@pytest.fixture
def engine(server: Any, tiny_bundle: Bundle) -> Iterator[Engine]:
    with open_engine(server.url, tiny_bundle) as opened:
        yield opened


def test_it_tells_what_paints(engine: Engine, server: Any) -> None:
    assert engine.name == "triton"
    assert engine.provider == f"brushcast/1 at 127.0.0.1:{server.port}: ort, CPUExecutionProvider"


def test_two_streams_are_painted_as_here(engine: Engine, server: Any, tiny_bundle: Bundle) -> None:
    looks = [
        Look(tiny_bundle.style("ember"), smoothing=1.0),
        Look(tiny_bundle.style("moss"), strength=0.7, smoothing=0.9, keep_colours=0.3, oil=0.5, kernel_interval=1),
    ]
    with engine.session() as other, OrtEngine(tiny_bundle, threads=1) as one, OrtEngine(tiny_bundle, threads=1) as two:
        for number in range(6):
            image = picture(number // 3)[:, ::2] if number > 4 else picture(number // 3)  # a new size, not contiguous
            for look, there, here in zip(looks, (engine, other), (one, two), strict=True):
                before = image.copy()
                painted = there.stylise(image, look)
                assert np.array_equal(painted, here.stylise(image, look)) and np.array_equal(image, before)
                painted[...] = 0  # the caller's own
        assert len(server.running) == 2
    assert len(server.running) == 1


def test_a_style_goes_over_the_wire_once(engine: Engine, server: Any, tiny_bundle: Bundle) -> None:
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    for look in (Look(ember), Look(ember, strength=0.5), Look(moss), Look(mix((ember, moss), (1, 1))), Look(moss)):
        engine.stylise(picture(0), look)
    assert ["style.mean" in asked for asked in server.asked] == [True, False, True, True, True]
    assert [asked[START] for asked in server.asked] == [True, False, False, False, False]


def test_a_reset_begins_the_sequence_anew(engine: Engine, server: Any, tiny_bundle: Bundle) -> None:
    ember, moss = (Look(tiny_bundle.style(name), smoothing=1.0) for name in ("ember", "moss"))
    image = picture(0)
    first = engine.stylise(image, ember)
    engine.stylise(image, moss)
    assert not np.array_equal(engine.stylise(image, ember), first)
    engine.reset()
    assert np.array_equal(engine.stylise(image, ember), first)
    assert [asked[START] for asked in server.asked] == [True, False, False, True]
    assert len(server.running) == 1


def test_a_background_and_its_mask(engine: Engine, tiny_bundle: Bundle) -> None:
    image, mask = picture(0), np.zeros((24, 32), np.float32)
    mask[:, 16:] = 1
    ember, moss = tiny_bundle.style("ember"), tiny_bundle.style("moss")
    looks = [Look(ember), Look(ember, background=moss), Look(ember, background_strength=0.2), Look(ember)]
    with OrtEngine(tiny_bundle, threads=1) as here:
        for look in looks:
            assert np.array_equal(engine.stylise(image, look, mask), here.stylise(image, look, mask))
    with pytest.raises(InputError, match="needs a mask"):
        engine.stylise(image, looks[1])


def test_a_baked_bundle(baked_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_repository(baked_bundle, tmp_path / "repository", Hosting(threads=1))
    server = fake.FakeTriton(tmp_path / "repository", "brushcast", monkeypatch)
    look = Look(baked_bundle.style("moss"))
    with open_engine(server.url, baked_bundle) as engine, OrtEngine(baked_bundle, threads=1) as here:
        for _ in range(2):
            assert np.array_equal(engine.stylise(picture(0), look), here.stylise(picture(0), look))
        with pytest.raises(StyleError, match="baked for moss"):
            engine.stylise(picture(0), replace(look, style=replace(look.style, name="ember")))
        with pytest.raises(EngineError, match="it has no other style for a background"):
            engine.stylise(picture(0), replace(look, background_strength=0.5), np.ones((24, 32), np.float32))
    assert set(server.asked[0]) & {"STYLE", "BACKGROUND"} == set()
    server.close()


def test_frames_and_styles_that_cannot_be_painted_are_not_sent(
    engine: Engine, server: Any, tiny_bundle: Bundle
) -> None:
    look = Look(tiny_bundle.style("moss"))
    with pytest.raises(InputError, match="each side must be"):
        engine.stylise(np.zeros((32, 64, 3), np.uint8), look)
    with pytest.raises(StyleError, match="was made by bundle"):
        engine.stylise(picture(0), replace(look, style=replace(look.style, bundle_id="0" * 16)))
    assert not server.asked


def test_a_stream_that_paused_long_begins_anew(
    engine: Engine, server: Any, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, real = Look(tiny_bundle.style("moss")), time.monotonic
    engine.stylise(picture(0), look)
    monkeypatch.setattr(time, "monotonic", lambda: real() + 29)  # the server forgets after 30 s
    engine.stylise(picture(0), look)
    assert [asked[START] for asked in server.asked] == [True, True]


def test_closing_ends_the_sequences(server: Any, tiny_bundle: Bundle) -> None:
    look = Look(tiny_bundle.style("moss"))
    engine = open_engine(server.url, tiny_bundle)
    sessions = [engine.session(), engine.session().session()]
    for one in (engine, *sessions):
        one.stylise(picture(0), look)
    assert len(server.running) == 3
    sessions[0].close()
    sessions[0].close()
    assert len(server.running) == 2
    engine.stylise(picture(0), look)
    engine.close()
    assert not server.running
    for one in (engine, *sessions):
        with pytest.raises(EngineError, match="the triton engine is closed"):
            one.stylise(picture(0), look)
        with pytest.raises(EngineError, match="the triton engine is closed"):
            one.session()
        one.close()


def test_after_a_failure_the_next_frame_begins_anew(engine: Engine, server: Any, tiny_bundle: Bundle) -> None:
    look = Look(tiny_bundle.style("moss"))
    engine.stylise(picture(0), look)
    server.running.clear()  # as if it had been started again
    with pytest.raises(EngineError, match=r"refused brushcast: .* must specify the START flag"):
        engine.stylise(picture(0), look)
    engine.stylise(picture(0), look)
    assert [asked[START] for asked in server.asked] == [True, True]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda array: array[:, :64], r"gave uint8 \(1, 64, 128, 3\) for a frame \(96, 128, 3\)"),
        (lambda array: array.astype(np.float32), "gave float32"),
        (lambda array: None, "gave no PAINTED"),
    ],
)
def test_an_answer_of_no_use(engine: Engine, server: Any, tiny_bundle: Bundle, spoil: Any, told: str) -> None:
    def spoilt(outputs: dict[str, Any]) -> dict[str, Any]:
        made = {name: spoil(array) for name, array in outputs.items()}
        return {name: array for name, array in made.items() if array is not None}

    server.spoil = spoilt
    with pytest.raises(EngineError, match=told) as error:
        engine.stylise(picture(0), Look(tiny_bundle.style("moss")))
    assert "\n" not in str(error.value)


def test_a_server_of_no_use_is_found_at_once(server: Any, tiny_bundle: Bundle) -> None:
    server.spoil = lambda outputs: {"PAINTED": outputs["PAINTED"]}
    with open_engine(server.url, tiny_bundle) as engine:
        assert engine.provider.endswith(": unknown")
    server.spoil = lambda outputs: {"COMPUTES": np.array([[b"\xff"]], np.object_)}
    with pytest.raises(EngineError, match="gave an answer that cannot be read"):
        open_engine(server.url, tiny_bundle)


def test_a_server_that_is_slow(server: Any, tiny_bundle: Bundle) -> None:
    with open_engine(f"{server.url}?timeout=0.5", tiny_bundle) as engine:
        server.slow_s = 1.0
        with pytest.raises(EngineError, match=r"did not answer in 0\.5 s; it is slow, or all of its 16 sequences"):
            engine.stylise(picture(0), Look(tiny_bundle.style("moss")))
        server.slow_s = 0.0


def test_a_server_that_goes_away(server: Any, tiny_bundle: Bundle) -> None:
    with open_engine(server.url, tiny_bundle) as engine:
        server.stop()
        with pytest.raises(EngineError, match=rf"Triton at 127\.0\.0\.1:{server.port} cannot be reached: "):
            engine.stylise(picture(0), Look(tiny_bundle.style("moss")))


def test_a_server_that_is_not_there(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"Triton at 127\.0\.0\.1:1 cannot be reached"):
        open_engine("triton://127.0.0.1:1", tiny_bundle)


def test_a_model_that_is_not_there_not_ready_or_not_ours(server: Any, tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"no model 'brushkast' at .*; did you mean brushcast\?"):
        open_engine(f"triton://127.0.0.1:{server.port}/brushkast", tiny_bundle)
    server.ready = False
    with pytest.raises(EngineError, match=r"model brushcast at .* is not ready; look at the server's log"):
        open_engine(server.url, tiny_bundle)
    server.ready = True
    with pytest.raises(EngineError, match=r"is of bundle 0{16}, not tiny \("):
        server.config.parameters["bundle"].string_value, own = "0" * 16, tiny_bundle.id
        open_engine(server.url, tiny_bundle)
    server.config.parameters["bundle"].string_value = own
    del server.config.input[:]
    with pytest.raises(EngineError, match="is no frame model that brushcast-export triton wrote"):
        open_engine(server.url, tiny_bundle)


def test_addresses() -> None:
    assert Address.parse("triton://gpu.local") == Address("gpu.local", 8001, "brushcast", 10.0)
    assert Address.parse("triton://[::1]:9/paint?timeout=2.5") == Address("[::1]", 9, "paint", 2.5)
    for url in ("triton://", "triton://host:x", "triton://host/a/b", "triton://host?wait=3", "triton://u@host"):
        with pytest.raises(EngineError, match=r"give triton://host\[:port\]"):
            Address.parse(url)
    for timeout in ("0", "-1", "nan", "inf"):
        with pytest.raises(EngineError, match="the timeout must be"):
            Address.parse(f"triton://host?timeout={timeout}")


def test_what_the_server_chooses_cannot_be_asked_for(server: Any, tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="computes as its repository says; leave provider 'cuda' out"):
        open_engine(server.url, tiny_bundle, provider="cuda")


def test_a_package_that_is_not_installed(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engines.triton")
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(EngineError, match=r'is not installed; run: pip install "brushcast\[triton\]"'):
        open_engine("triton://127.0.0.1:1", tiny_bundle)


def test_the_command_paints_on_a_server_and_tells_in_one_line_what_is_wrong(
    server: Any, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "painted.png"
    cv2.imwrite(str(photo), picture(0))
    words = ["image", str(photo), str(out), "--model", str(tiny_bundle.folder), "--style", "moss"]
    assert main([*words, "--engine", server.url]) == 0
    with OrtEngine(tiny_bundle, threads=1) as here:
        wanted = here.stylise(picture(0)[..., ::-1], Look(tiny_bundle.style("moss"), smoothing=0.0))
    assert np.array_equal(cv2.imread(str(out))[..., ::-1], wanted)
    out.unlink()
    capsys.readouterr()
    assert main([*words, "--engine", "triton://127.0.0.1:1"]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("brushcast: Triton at 127.0.0.1:1 cannot be reached") and "\n" not in told
    assert not out.exists()


def test_a_back_end_that_cannot_import_us_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fake.load_model(repository / "brushcast" / "1" / "model.py", monkeypatch)
    monkeypatch.setitem(sys.modules, "engines.triton_serving", None)
    with pytest.raises(RuntimeError, match=r"brushcast cannot be imported by this back end's Python 3.*; install"):
        model.initialize({})
