"""Presets in a folder: kept, found, forgotten, and what happens to damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import InputError
from engines.styles import Style
from realtime.presets import Preset, Presets, key_or_name, usual_folder


def style(name: str) -> Style:
    return Style(name, {"mean": np.full(3, 0.5, np.float32)}, np.zeros((4, 4, 3), np.uint8), "b")


def test_presets_outlive_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    presets = Presets(folder)
    assert presets.kept == {} and list(presets.styles()) == []
    presets.save(3, "  evening\n", {"strength": 0.5}, [style("my cat"), style("../dog")])
    presets.save(1, "Süß", {"style": "ember"}, [])
    again = Presets(folder)
    assert again.kept == {1: Preset("Süß", {"style": "ember"}), 3: Preset("evening", {"strength": 0.5})}
    assert [kept.name for kept in again.styles()] == ["../dog", "my cat"]
    assert {path.parent for path in tmp_path.rglob("*.safetensors")} == {folder / "styles"}
    assert again.find(3) == again.find("EVENING") == Preset("evening", {"strength": 0.5})
    again.forget(3)
    assert list(Presets(folder).kept) == [1]


def test_what_cannot_be_kept_or_found(tmp_path: Path) -> None:
    presets = Presets(tmp_path)
    for slot in (0, 10, -1):
        with pytest.raises(InputError, match="keys are 1 to 9"):
            presets.save(slot, "x", {}, [])
    with pytest.raises(InputError, match="needs a name"):
        presets.save(1, " \n", {}, [])
    with pytest.raises(InputError, match="no preset 4; there are: none yet"):
        presets.find(4)
    presets.save(2, "a", {}, [])
    with pytest.raises(InputError, match="no preset 'b'; there are: 2 a"):
        presets.find("b")
    with pytest.raises(InputError, match="no preset 1"):
        presets.forget(1)


def test_two_programs_keep_theirs_in_one_folder(tmp_path: Path) -> None:
    one, other = Presets(tmp_path), Presets(tmp_path)
    one.save(1, "evening", {"style": "cat"}, [style("cat")])
    other.save(2, "noon", {"style": "dog"}, [style("dog")])
    one.save(3, "night", {"style": "ember"}, [])
    assert one.kept == Presets(tmp_path).kept and list(one.kept) == [1, 2, 3]
    other.forget(1)
    assert list(Presets(tmp_path).kept) == [2, 3] and [kept.name for kept in one.styles()] == ["dog"]
    with pytest.raises(InputError, match="no preset 1; there are: 2 noon, 3 night"):
        one.forget(1)


def test_a_preset_takes_the_place_of_the_one_that_was_seen(tmp_path: Path) -> None:
    presets = Presets(tmp_path)
    presets.save(1, "evening", {}, [], instead_of="")
    presets.save(1, "night", {}, [], instead_of="evening")
    with pytest.raises(InputError, match="key 1 was given to night in the meantime"):
        presets.save(1, "noon", {}, [], instead_of="")
    with pytest.raises(InputError, match="key 2 was freed in the meantime"):
        presets.save(2, "noon", {}, [], instead_of="evening")
    assert Presets(tmp_path).kept == {1: Preset("night", {})}


def test_styles_whose_names_differ_in_signs_alone_stay_apart(tmp_path: Path) -> None:
    presets = Presets(tmp_path)
    names = ["sea 1", "sea_1", "sea/1", "sea_1-2"]
    for slot, name in enumerate(names, 1):
        presets.save(slot, name, {"style": name}, [style(name)])
    presets.save(9, "again", {"style": "sea_1"}, [style("sea_1")])
    assert sorted(kept.name for kept in Presets(tmp_path).styles()) == sorted(names)
    assert len(list((tmp_path / "styles").iterdir())) == 4


def test_a_style_goes_with_the_last_preset_that_needs_it(tmp_path: Path) -> None:
    presets, mixed = Presets(tmp_path), {"mix": {"cat": 0.5, "dog": 0.5}, "background": "bee", "drive_to": "ant"}
    presets.save(1, "mixed", mixed, [style(name) for name in ("cat", "dog", "bee", "ant")])
    presets.save(2, "cat", {"style": "cat"}, [style("cat")])
    presets.save(3, "elk", {"style": "elk"}, [style("elk")])
    presets.save(3, "ant", {"style": "ant"}, [style("ant")])  # over the one before
    assert [kept.name for kept in presets.styles()] == ["ant", "bee", "cat", "dog"]
    presets.forget(1)
    assert [kept.name for kept in presets.styles()] == ["ant", "cat"]
    again = Presets(tmp_path)
    again.forget(2)
    again.forget(3)
    assert list((tmp_path / "styles").iterdir()) == []


def test_a_digit_is_a_key_and_all_else_a_name() -> None:
    assert [key_or_name(told) for told in ("4", "0", "2024", "evening", "", "²", "9" * 5000)] == [
        *(4, 0, "2024", "evening", "", "²"),
        "9" * 5000,
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": {}}', '{"12": {"name": "a", "values": {}}}', '{"1": {"name": "a"}}']
)
def test_damaged_presets_are_said_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "presets.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"presets.json cannot be read as presets"):
        Presets(tmp_path)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Presets(file).save(1, "a", {}, [])


def test_damaged_styles_are_left_out(tmp_path: Path) -> None:
    Presets(tmp_path).save(1, "a", {}, [style("good")])
    (tmp_path / "styles" / "bad.safetensors").write_bytes(b"no")
    assert [kept.name for kept in Presets(tmp_path).styles()] == ["good"]


def test_the_usual_folder_is_the_user_s() -> None:
    assert usual_folder().name == "brushcast"
