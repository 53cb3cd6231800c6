from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.api import Look
from engines.bundle import Bundle, near, released, seal
from engines.errors import BundleError, InputError, StyleError


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "copy"))


def edit(folder: Path, **changes: Any) -> None:
    told = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    (folder / "bundle.json").write_text(json.dumps({**told, **changes}), encoding="utf-8")


def test_what_a_bundle_tells(tiny_bundle: Bundle) -> None:
    assert tiny_bundle.form == "dynamic"
    assert tiny_bundle.styles == ("ember", "moss")
    assert [(info.name, info.shape) for info in tiny_bundle.style_tensors] == [("mean", (3,)), ("tokens", (2, 3))]
    assert len(tiny_bundle.id) == 16
    assert tiny_bundle.style("moss").bundle_id == tiny_bundle.id


@pytest.mark.parametrize("name", ["frame.onnx", "style.onnx", "weights.safetensors", "styles/moss.safetensors"])
def test_a_damaged_file_is_found(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=r"does not match its SHA-256"):
        Bundle.load(copy)


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "style.onnx").unlink()
    with pytest.raises(BundleError, match=r"style\.onnx is missing"):
        Bundle.load(copy)


def test_a_manifest_that_lacks_a_graph(copy: Path) -> None:
    told = json.loads((copy / "bundle.json").read_text(encoding="utf-8"))
    del told["files"]["style.onnx"]
    edit(copy, files=told["files"])
    with pytest.raises(BundleError, match=r"lacks style\.onnx"):
        Bundle.load(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "files": {"a": 3}}', "\x00"])
def test_a_manifest_that_is_garbled(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["../frame.onnx", "/etc/hostname", "a\\b", "c:frame.onnx"])
def test_a_manifest_never_leads_out_of_its_folder(copy: Path, name: str) -> None:
    edit(copy, files={name: {"sha256": "0"}})
    with pytest.raises(BundleError, match="own folder"):
        Bundle.load(copy)


def test_another_format_or_id(copy: Path) -> None:
    edit(copy, id="0" * 16)
    with pytest.raises(BundleError, match="which is not its files'"):
        Bundle.load(copy)
    edit(copy, format=2)
    with pytest.raises(BundleError, match="format 2"):
        Bundle.load(copy)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model 'nowhere'"):
        Bundle.load("nowhere")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        Bundle.load(tmp_path)


def test_a_model_of_checkouts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.bundle.RELEASED", tmp_path)
    with pytest.raises(BundleError, match="clone the project and give its folder engines/bundles/studio"):
        Bundle.load("studio")


def test_styles_change_no_id(copy: Path, tiny_bundle: Bundle) -> None:
    (copy / "styles" / "moss.safetensors").unlink()
    bundle = seal(copy, tiny_bundle.manifest)
    assert bundle.id == tiny_bundle.id
    assert bundle.styles == ("ember",)


def test_an_unknown_style_tells_near_names(tiny_bundle: Bundle) -> None:
    with pytest.raises(StyleError, match="did you mean ember"):
        tiny_bundle.style("embers")


def test_near() -> None:
    assert near("cudda", ["cpu", "cuda"]).startswith("did you mean cuda")
    assert near("zzz", ["cpu", "cuda"]) == "known: cpu, cuda"
    assert near("zzz", []) == "none are known"


def test_every_released_bundle_is_whole() -> None:
    for name in released():
        bundle = Bundle.load(name)
        for style in bundle.styles:
            assert bundle.style(style).thumbnail.size


@pytest.mark.parametrize("tokens", ["keys", "values"])
@pytest.mark.parametrize("name", ["live", "studio"])
def test_the_named_styles_have_tokens_of_their_own(name: str, tokens: str) -> None:
    """A network whose tokens died in training paints, too, but its attention has nothing to choose from."""
    if name not in released():
        pytest.skip("the released bundle is not in this checkout")
    bundle = Bundle.load(name)
    of_styles = np.stack([bundle.style(style).tensors[tokens] for style in bundle.styles])
    assert of_styles.std(axis=0).mean() > 0.3 * np.abs(of_styles).mean()


def test_precision_and_sizes_of_older_bundles(copy: Path) -> None:
    assert (Bundle.load(copy).precision, Bundle.load(copy).sizes) == ("fp32", None)
    old = {
        "precision": {"weights": "float16", "compute": "float32"},
        "sizes": {"min_side_px": 64, "max_side_px": 16384},
    }
    edit(copy, **old)
    assert (Bundle.load(copy).precision, Bundle.load(copy).sizes) == ("fp32", None)
    Bundle.load(copy).check_size(64, 16384, 2.0, 0.25)


def test_precision_is_read_and_checked(copy: Path) -> None:
    edit(copy, precision="int8")
    assert Bundle.load(copy).precision == "int8"
    edit(copy, precision="fp4")
    with pytest.raises(BundleError, match="'fp4' is not known; known: fp32, fp16, int8"):
        Bundle.load(copy)


def test_sizes_are_read_and_checked(copy: Path) -> None:
    edit(copy, sizes={"least": [320, 180], "usual": [640, 360], "most": [1280, 720]})
    bundle = Bundle.load(copy)
    bundle.check_size(180, 320, 2.0, 16.0)
    with pytest.raises(InputError, match="a frame is 1920x1080, and tiny is for 320x180:640x360:1280x720"):
        bundle.check_size(1080, 1920)
    edit(copy, sizes={"least": [320, 180]})
    with pytest.raises(BundleError, match="lacks or garbles"):
        Bundle.load(copy)


def test_one_size_is_for_the_usual_look(copy: Path) -> None:
    edit(copy, sizes={"least": [640, 360], "usual": [640, 360], "most": [640, 360]})
    bundle = Bundle.load(copy)
    bundle.check_size(360, 640)
    for stroke, render_scale in ((2.0, 1.0), (1.0, 0.5), (1.0, 16.0)):
        with pytest.raises(InputError, match="at stroke 1 and render-scale 1 alone"):
            bundle.check_size(360, 640, stroke, render_scale)
        with pytest.raises(InputError, match="at stroke 1 and render-scale 1 alone"):
            bundle.check_look(Look(bundle.style("moss"), stroke=stroke, render_scale=render_scale))
    bundle.check_look(Look(bundle.style("moss"), strength=0.5))


def test_a_bundle_of_a_later_program(copy: Path) -> None:
    edit(copy, format=9)
    with pytest.raises(BundleError, match="format 9; this program reads 5: update Brushcast"):
        Bundle.load(copy)


def test_a_bundle_that_nobody_may_look_at_is_told(
    tiny_bundle: Bundle, tmp_path: Path, closed: Callable[[Path], None]
) -> None:
    closed(tmp_path)
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read \(Permission denied\)"):
        Bundle.load(tmp_path / "model")


def test_what_no_model_can_be_called_is_an_unknown_model() -> None:
    for name in ("model" * 80, ""):
        with pytest.raises(BundleError, match="known: "):
            Bundle.load(name)
