"""brushcast-export triton: a bundle becomes a model repository for NVIDIA Triton Inference Server.

With --backend python (the default) the server runs the whole engine, and `brushcast --engine triton://host:port` paints
on it. Its Python back end must be able to import Brushcast. A server without a container, from PyPI, which has the
Python back end alone and wants NumPy 1 (so an environment of its own, the Python's libpython3.X.so installed):

    python3.11 -m venv TRITON
    TRITON/bin/pip install nvidia-pytriton "numpy<2" "opencv-python-headless<5" onnxruntime safetensors platformdirs
    TRITON/bin/pip install --no-deps -e .          # Brushcast itself
    brushcast-export triton live -o repository
    python scripts/triton_server.py repository --python TRITON/bin/python

In NVIDIA's container the same packages are installed with its own pip, and `tritonserver --model-repository repository`
serves. With --backend onnxruntime the graphs are served as they are, for clients with a memory of their own; that
configuration is checked against the graphs, but no server with that back end has run it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from engines.bundle import Bundle
from engines.errors import InputError
from engines.registry import ENGINES, missing_package
from engines.triton_wire import MODEL
from export.first import exported_first, is_bundle
from export.refusals import refuse

NAME = "triton"
HELP = "a model repository for NVIDIA Triton Inference Server"
# A bundle is taken as it is unless one of the three options is told; then it is exported anew, of its weights alone.
PRECISION = "fp32; the bundle's where neither --style nor --size is told"
SIZES = "any; the bundle's where neither --style nor --precision is told"
# Options that --backend python alone has a use for, where they are not told.
USUAL = {"engine": "ort", "threads": None, "streams": 16, "idle": 60.0, "batch_wait": 0.0}
MOST_STREAMS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that only this format has."""
    parser.add_argument(
        "--backend",
        choices=("python", "onnxruntime"),
        default="python",
        help="python: whole engines, a sequence for every stream; onnxruntime: the graphs as they are (default python)",
    )
    parser.add_argument("--model", default=MODEL, metavar="NAME", help="the models' name there (default %(default)s)")
    parser.add_argument("--engine", metavar="NAME", help="what paints on the server (default ort)")
    parser.add_argument("--provider", metavar="NAME", help="what computes on the server: cpu, cuda, ... (default cpu)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the server's engine")
    parser.add_argument("--streams", type=int, metavar="N", help=f"streams at once (default {USUAL['streams']})")
    parser.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help=f"how long a stream may pause before the server forgets its last painting (default {USUAL['idle']:g})",
    )
    parser.add_argument(
        "--batch-wait",
        type=float,
        metavar="MS",
        help="milliseconds that a frame waits for frames of other streams, to be painted in one batch; worth it on a "
        "GPU with several streams (default: only what waits anyway)",
    )


def run(asked: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Write the repository. Raises BrushcastError; OSError: it cannot be written."""
    if asked.backend != "python":
        refuse(asked, list(USUAL), f"--backend {asked.backend}")
    told = {name: value for name, value in vars(asked).items() if value is not None}
    asked = argparse.Namespace(**{**vars(asked), **USUAL, **told})
    _check(asked)
    try:
        from export.triton import Hosting, write_repository  # noqa: PLC0415 (onnx is an extra)
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu,export") from error
    hosting = Hosting(
        asked.model, asked.engine, asked.provider, asked.threads, asked.streams, asked.idle, asked.batch_wait
    )
    with TemporaryDirectory() as folder:
        bundle = _bundle(asked, Path(folder), tell)
        models = write_repository(bundle, asked.out, hosting, asked.backend)
    tell(
        f"wrote {asked.out} for Triton's {asked.backend} back end: {', '.join(models)} ({bundle.name}, id {bundle.id})"
    )
    if asked.backend == "python":
        model = "" if asked.model == MODEL else f"/{asked.model}"
        tell(
            f"serve it with tritonserver --model-repository {asked.out}, paint with --engine triton://HOST:8001{model}"
        )
    else:
        tell("checked against the graphs; no server with that back end has run it")


def _check(asked: argparse.Namespace) -> None:
    if asked.engine not in ENGINES:
        raise InputError(f"no engine {asked.engine!r} for the server; known: {', '.join(ENGINES)}")
    if not asked.model or any(not (letter.isalnum() or letter in "-_") for letter in asked.model):
        raise InputError(f"model is {asked.model!r}; a name has letters, digits, - and _")
    if asked.threads is not None and asked.threads < 1:
        raise InputError(f"threads is {asked.threads}; it must be at least 1")
    if not 1 <= asked.streams <= MOST_STREAMS:
        raise InputError(f"streams is {asked.streams}; it must be 1 to {MOST_STREAMS}")
    if not 1 <= asked.idle <= 86_400:
        raise InputError(f"idle is {asked.idle:g}; it must be 1 to 86400 seconds")
    if not 0 <= asked.batch_wait <= 1000:
        raise InputError(f"batch-wait is {asked.batch_wait:g}; it must be 0 to 1000 milliseconds")


def _bundle(asked: argparse.Namespace, folder: Path, tell: Callable[[str], None]) -> Bundle:
    """The bundle asked for; one that is not there as it is wanted is exported into `folder` first."""
    wanted = any(getattr(asked, option, None) is not None for option in ("style", "sizes", "precision"))
    if is_bundle(asked.checkpoint) and not wanted:
        refuse(asked, ["name"], "a bundle that is taken as it is")  # what the server calls it is --model
        return Bundle.load(asked.checkpoint)
    # That it wrote a folder which is gone in a moment is no news.
    return exported_first(asked, folder / "bundle", lambda line: None if line.startswith("wrote ") else tell(line))
