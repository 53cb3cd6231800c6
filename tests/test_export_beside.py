"""Whatever goes wrong, a folder is the former or the new one, whole, and nothing else is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import InputError
from export.beside import beside

MARKER = "mark.json"


def write(out: Path, text: str) -> None:
    with beside(out, MARKER, "box") as folder:
        (folder / MARKER).write_text(text, encoding="utf-8")


def test_a_new_folder_takes_the_place_of_the_former(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for text in ("former", "new"):
        write(out, text)
        assert (out / MARKER).read_text("utf-8") == text
        assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_went_wrong_leaves_the_former(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "former")
    with pytest.raises(KeyboardInterrupt), beside(out, MARKER, "box") as folder:
        (folder / MARKER).write_text("new", encoding="utf-8")
        raise KeyboardInterrupt
    assert (out / MARKER).read_text("utf-8") == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("former", [True, False])
def test_a_folder_that_cannot_take_its_place_leaves_the_former_there(
    former: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename

    def refused(path: Path, target: Path) -> Path:
        if target == out and (path / MARKER).read_text("utf-8") == "new":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    if former:
        write(out, "former")
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        write(out, "new")
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if former else [])
    assert not former or (out / MARKER).read_text("utf-8") == "former"


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="exists and is no box; give another folder"):
        write(tmp_path, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
