"""Serve a model repository with the Triton server that PyPI's nvidia-pytriton carries, without a container.

    python scripts/triton_server.py REPOSITORY --python TRITON/bin/python [--grpc-port 8001] [--http-port 8000]

`export.commands.triton` says how the environment TRITON is made. That server has the Python back end alone. It stops
with this program (Ctrl+C). Exit code: the server's, or 2 where it cannot be started.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from engines.errors import BrushcastError, InputError

_ASK = "import sys, pytriton; print(pytriton.__path__[0], '%d.%d' % sys.version_info[:2], sep='\\n')"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--python", type=Path, required=True, help="of the environment that has nvidia-pytriton")
    parser.add_argument("--grpc-port", type=int, default=8001)
    parser.add_argument("--http-port", type=int, default=8000)
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with served(asked.repository, asked.python, grpc_port=asked.grpc_port, http_port=asked.http_port) as server:
            return server.wait()
    except KeyboardInterrupt:
        return 0
    except BrushcastError as error:
        print(f"triton_server: {error}", file=sys.stderr)
        return error.exit_code


@contextmanager
def served(
    repository: Path, python: Path, *, grpc_port: int, http_port: int, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The server's process, on this machine's own address; it is ended with the block.

    log: where its lines go; None: where this program's do. Raises InputError: no nvidia-pytriton there.
    """
    with TemporaryDirectory() as folder:
        home = _home(python, Path(folder))
        libraries = home.pop("libraries")
        environment = {
            **os.environ,
            # The back end starts the first python3 of the PATH, and so finds that environment's packages.
            "PATH": f"{python.absolute().parent}:{os.environ.get('PATH', '')}",
            "LD_LIBRARY_PATH": ":".join(filter(None, (libraries, os.environ.get("LD_LIBRARY_PATH")))),
        }
        command = [
            home["server"],
            f"--model-repository={repository.absolute()}",
            f"--backend-directory={home['backends']}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={grpc_port}",
            "--http-address=127.0.0.1",
            f"--http-port={http_port}",
            "--allow-metrics=false",
            "--exit-timeout-secs=5",
        ]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield server
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _home(python: Path, folder: Path) -> dict[str, str]:
    """The server, its libraries, and a folder of back ends that has the stub of that Python's version."""
    try:
        answer = subprocess.run([python, "-c", _ASK], check=True, capture_output=True, text=True, timeout=60)
        package, version = answer.stdout.split("\n")[:2]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InputError(
            f"{python} has no nvidia-pytriton; see export/commands/triton.py for its environment"
        ) from error
    home = Path(package) / "tritonserver"
    stub = home / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise InputError(f"nvidia-pytriton at {package} has no Python back end for Python {version}")
    back_end = folder / "backends" / "python"
    shutil.copytree(home / "backends" / "python", back_end)
    shutil.copy(stub, back_end)
    return {
        "server": str(home / "bin" / "tritonserver"),
        "backends": str(back_end.parent),
        "libraries": str(Path(package).parent / "nvidia_pytriton.libs"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
