from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engines.paths import expanded, is_file, is_folder, is_there, may_be_folder, readable_name


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert is_there(file)
    assert is_file(file)
    assert not is_folder(file)
    assert is_there(tmp_path)
    assert is_folder(tmp_path)
    assert not is_file(tmp_path)
    assert may_be_folder(tmp_path) and not may_be_folder(file)
    for absent in (tmp_path / "none", file / "below", tmp_path / ("a" * 300), tmp_path / "a\0b"):
        assert not is_there(absent)
        assert not is_file(absent)
        assert not is_folder(absent)
        assert not may_be_folder(absent)


def test_what_nobody_may_look_at_is_there(tmp_path: Path, closed: Callable[[Path], None]) -> None:
    closed(tmp_path)
    assert is_there(tmp_path / "file")
    assert not is_file(tmp_path / "file")
    assert not is_folder(tmp_path / "file")
    assert may_be_folder(tmp_path / "file")


def test_a_name_may_begin_as_a_home_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert expanded("~/sea.png") == Path("/home/me/sea.png")
    assert expanded("~draft of nobody.png") == Path("~draft of nobody.png")


def test_a_name_of_other_bytes_becomes_text() -> None:
    assert readable_name("café 海") == "café 海"
    assert readable_name("caf\udce9") == "caf?"
