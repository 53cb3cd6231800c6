from __future__ import annotations

import math
from pathlib import Path

import pytest

from engines.errors import SinkError
from engines.training.journal import Journal


def test_what_was_added_is_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    journal = Journal(path)
    assert "a" not in journal
    journal.add("a", {"style": 0.25, "faces": math.nan})
    journal.add("b", {"style": 1})
    again = Journal(path)
    assert "a" in again and again["a"]["style"] == 0.25 and math.isnan(again["a"]["faces"])
    assert again["b"] == {"style": 1.0}
    assert "NaN" not in path.read_text()


def test_a_half_written_line_does_not_count_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Journal(path).add("a", {"style": 0.25})
    with path.open("a") as file:
        file.write('{"key": "b", "figures": {"sty')
    journal = Journal(path)
    assert "a" in journal and "b" not in journal
    journal.add("b", {"style": 2.0})
    assert Journal(path)["b"] == {"style": 2.0} and Journal(path)["a"] == {"style": 0.25}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="give a folder you may write to"):
        Journal(tmp_path / "file" / "rows.jsonl")
