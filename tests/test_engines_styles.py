from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engines.bundle import Bundle
from engines.errors import StyleError
from engines.styles import Style, fade, load_style, mix, save_style, write_beside


def made(name: str, value: float, bundle_id: str = "0123") -> Style:
    return Style(
        name=name,
        tensors={"keys": np.full((2, 3), value, np.float32), "palette": np.full(4, -value, np.float32)},
        thumbnail=np.full((4, 6, 3), int(value), np.uint8),
        bundle_id=bundle_id,
        title="A Title",
        painter="Büscher",
        extra={"colour": "red"},
    )


def test_a_saved_style_comes_back_as_it_was(tmp_path: Path) -> None:
    style = made("a", 3.25)
    save_style(style, tmp_path / "a.safetensors")
    back = load_style(tmp_path / "a.safetensors")
    assert replace(back, tensors={}, thumbnail=style.thumbnail) == replace(style, tensors={})
    assert np.array_equal(back.thumbnail, style.thumbnail)
    for name, tensor in style.tensors.items():
        assert back.tensors[name].dtype == np.float32
        assert np.array_equal(back.tensors[name], tensor)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_same_style_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(8):
        save_style(made("a", 3.25), tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_style_file_with_nan_is_refused(tmp_path: Path) -> None:
    style = made("a", 1.0)
    style.tensors["keys"][1, 1] = np.nan
    save_style(style, tmp_path / "a.safetensors")
    with pytest.raises(StyleError, match=r"NaN or infinity in style\.keys"):
        load_style(tmp_path / "a.safetensors")


def test_a_changed_style_file_has_a_wrong_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_style(made("a", 1.0), path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StyleError, match="SHA-256"):
        load_style(path)


def test_files_that_are_no_style_files(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(StyleError, match="does not exist"):
        load_style(path)
    for data in (b"", b"not a style at all"):
        path.write_bytes(data)
        with pytest.raises(StyleError, match="cannot be read"):
            load_style(path)
    save_style(made("a", 1.0), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(StyleError, match="cannot be read"):
        load_style(path)
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(StyleError, match="not a style file of this version"):
        load_style(path)
    with pytest.raises(StyleError, match="cannot be read"):
        load_style(tmp_path)


def test_a_style_of_another_bundle_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(StyleError, match="was made by bundle ffff"):
        tiny_bundle.check_style(replace(tiny_bundle.style("moss"), bundle_id="ffff"))


def test_mix_is_the_weighted_mean() -> None:
    mixed = mix((made("a", 2.0), made("b", 10.0)), (3, 1))
    assert np.allclose(mixed.tensors["keys"], 4.0)
    assert np.allclose(mixed.tensors["palette"], -4.0)
    assert mixed.name == "a:0.75+b:0.25"
    assert mixed.bundle_id == "0123"


def test_fade_ends_in_its_styles() -> None:
    a, b = made("a", 2.0), made("b", 10.0)
    assert fade(a, b, 0.0) is a
    assert fade(a, b, 1.0) is b
    assert np.allclose(fade(a, b, 0.25).tensors["keys"], 4.0)


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_bad_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(StyleError, match="weight"):
        mix((made("a", 1.0), made("b", 2.0)), weights)


def test_styles_of_two_bundles_do_not_mix() -> None:
    with pytest.raises(StyleError, match="only styles of one bundle"):
        mix((made("a", 1.0), made("b", 2.0, "4567")), (1, 1))
    with pytest.raises(StyleError, match="0 styles"):
        mix((), ())


def test_fade_position_outside_its_range() -> None:
    with pytest.raises(StyleError, match="from 0 to 1"):
        fade(made("a", 1.0), made("b", 2.0), 1.5)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_write_beside_gives_the_usual_mode_and_leaves_the_umask_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            # It is that of all threads: what they make meanwhile would be writable by everybody.
            patched.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
            write_beside(tmp_path / "there", b"data")
    finally:
        os.umask(before)
    assert (tmp_path / "there").read_bytes() == b"data"
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_write_beside_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError):
        write_beside(tmp_path / "there", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
