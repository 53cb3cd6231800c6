"""From options to remotes: what is asked for is opened and closed, and what is missing says how to get it."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InputError, SinkError
from realtime.desk import Desk
from realtime.remotes import opening
from realtime.remotes.opening import Remotes, add_arguments, open_remotes


def parsed(*words: str, presets: Path | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(words)
    args.presets = presets
    return args


def opened(desk: Desk, *words: str, presets: Path | None = None, told: list[str] | None = None) -> Remotes:
    with ExitStack() as stack:
        return open_remotes(parsed(*words, presets=presets), desk, [].append if told is None else told.append, stack)


def test_nothing_is_opened_unless_it_is_asked_for(small_desk: Desk) -> None:
    assert opened(small_desk) == Remotes()


def test_osc_is_opened_and_closed(small_desk: Desk) -> None:
    told: list[str] = []
    before = threading.active_count()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    osc = opened(small_desk, "--osc", str(port), told=told).osc
    assert osc is not None and osc.port == port and told == [f"OSC: 127.0.0.1:{port}"]
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("9000", ("127.0.0.1", 9000)),
        ("0.0.0.0:9000", ("0.0.0.0", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("desk.local:1", ("desk.local", 1)),
    ],
)
def test_addresses_of_osc(text: str, where: tuple[str, int]) -> None:
    assert parsed("--osc", text).osc == where


@pytest.mark.parametrize("text", ["", "host", "0", "65536", "127.0.0.1:", "::1:9000", "-1", "9000x"])
def test_addresses_that_osc_cannot_have(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(f"--osc={text}")
    assert "it must be PORT or HOST:PORT, PORT 1 to 65535" in capsys.readouterr().err


def test_options_with_and_without_a_value() -> None:
    args = parsed("--midi", "--obs")
    assert args.midi == "" and args.obs == "ws://127.0.0.1:4455"
    args = parsed("--midi", "nano", "--obs", "ws://10.0.0.2:4455")
    assert args.midi == "nano" and args.obs == "ws://10.0.0.2:4455"


@pytest.mark.parametrize(
    ("option", "module", "package", "extra"),
    [
        (("--osc", "39018"), "osc", "pythonosc", "osc"),
        (("--midi",), "midi", "mido", "midi"),
        (("--obs",), "obs", "aiohttp", "obs"),
    ],
)
def test_what_is_not_installed_says_how_to_get_it(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...], module: str, package: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    for name in (module, "obs_link"):
        monkeypatch.delitem(sys.modules, f"realtime.remotes.{name}", raising=False)
        monkeypatch.delattr(f"realtime.remotes.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SinkError, match=rf'is not installed; run: pip install "brushcast\[{extra}\]"'):
        opened(small_desk, *option)


def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What OBS would have been opened with."""
    told: list[Any] = []

    def obs(url: str, password: str, *rest: object) -> ExitStack:
        told.extend([url, password])
        return ExitStack()

    monkeypatch.setattr(opening, "_obs", obs)
    return told


def test_the_password_of_obs_is_never_on_the_command_line(
    small_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = seen(monkeypatch)
    monkeypatch.delenv("BRUSHCAST_OBS_PASSWORD", raising=False)
    opened(small_desk, "--obs")
    monkeypatch.setenv("BRUSHCAST_OBS_PASSWORD", "from the environment")
    opened(small_desk, "--obs")
    (tmp_path / "password").write_text("from a file \n")
    opened(small_desk, "--obs", "--obs-password-file", str(tmp_path / "password"))
    assert told[1::2] == ["", "from the environment", "from a file "]


def test_a_password_file_that_cannot_be_read(small_desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read from .*password \(No such file"):
        opened(small_desk, "--obs", "--obs-password-file", str(tmp_path / "password"))
    (tmp_path / "password").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is no text"):
        opened(small_desk, "--obs", "--obs-password-file", str(tmp_path / "password"))
    with pytest.raises(InputError, match="give both"):
        opened(small_desk, "--obs-password-file", str(tmp_path / "password"))


def test_what_is_not_asked_for_is_not_imported() -> None:
    code = (
        "import sys, realtime.remotes.opening; "
        "sys.exit(any(name in sys.modules for name in ('pythonosc', 'mido', 'rtmidi', 'aiohttp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
