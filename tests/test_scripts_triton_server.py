from __future__ import annotations

import sys
from pathlib import Path

import pytest
import triton_server as program


@pytest.mark.parametrize("python", [sys.executable, "/no/such/python"])
def test_an_environment_without_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str], python: str) -> None:
    assert program.main([str(tmp_path), "--python", python]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"triton_server: {python} has no nvidia-pytriton; see export/commands/triton.py")
    assert "\n" not in told


def test_the_back_end_runs_that_environment_s_python(tmp_path: Path) -> None:
    """A server of ours in the place of Triton's: it tells how it was started."""
    package = tmp_path / "site" / "pytriton"
    home, version = package / "tritonserver", f"{sys.version_info[0]}.{sys.version_info[1]}"
    for folder in (home / "bin", home / "backends" / "python", home / "python_backend_stubs" / version):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (home / "python_backend_stubs" / version / "triton_python_backend_stub").touch()
    (home / "backends" / "python" / "libtriton_python.so").touch()
    server, told = home / "bin" / "tritonserver", tmp_path / "told"
    server.write_text(f"#!/bin/sh\necho $PATH > {told}\necho $LD_LIBRARY_PATH >> {told}\necho $@ >> {told}\nexit 7\n")
    server.chmod(0o755)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} $@\n".replace("$@", '"$@"'))
    python.chmod(0o755)
    assert program.main([str(tmp_path), "--python", str(python), "--grpc-port", "7001"]) == 7
    path, libraries, arguments = told.read_text().splitlines()
    assert path.split(":")[0] == str(python.parent)
    assert libraries.split(":")[0] == str(package.parent / "nvidia_pytriton.libs")
    assert f"--model-repository={tmp_path}" in arguments and "--grpc-port=7001" in arguments
