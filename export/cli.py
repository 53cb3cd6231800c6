"""The command brushcast-export: a checkpoint (or a bundle) becomes what an engine loads, in one of several formats."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from engines.bundle import PRECISIONS, near
from engines.errors import BrushcastError, InputError
from engines.registry import missing_package
from export.sizes import parse_sizes

PROG = "brushcast-export"
# Imported only when asked for. Each has NAME, HELP, what it does where --precision and --size are not told (PRECISION,
# SIZES, for people), add_arguments(parser) and run(asked, tell).
COMMANDS = {name: f"export.commands.{name}" for name in ("onnx", "openvino", "tensorrt", "triton")}
# Known, and not there: why, and what to take instead.
REFUSED = {
    "coreml": "Core ML's converter reads PyTorch and TensorFlow, no ONNX, and runs what it made on macOS alone, so "
    "nothing could be compared; use onnx with --provider coreml, ONNX Runtime's own way to Core ML",
    "tflite": "no kept-up converter takes these graphs (ONNX, free sizes, opset 20) to TensorFlow Lite in one step; "
    "use onnx, which ONNX Runtime runs on Android and iOS as well",
}
EXAMPLE = "brushcast-export onnx live -o my-model"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake."""
        raise InputError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, or 2 with a one-line error on stderr."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    out: Path | None = None
    try:
        command, rest = _command(told)
        asked = _parser(command).parse_args(rest)
        out = asked.out
        asked.sizes = None if asked.size is None else parse_sizes(asked.size)
        command.run(asked, _tell)
    except BrushcastError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{PROG}: {out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return BrushcastError.exit_code
    except KeyboardInterrupt:
        print(f"{PROG}: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _command(told: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The format's module, and the arguments behind its name. Exits after --help."""
    if not told or told[0] in ("-h", "--help"):
        print(_overview())
        raise SystemExit(0 if told else BrushcastError.exit_code)
    name = told[0]
    if name in REFUSED:
        raise InputError(f"the format {name} is missing: {REFUSED[name]}")
    if name not in COMMANDS:
        if any(option in told for option in ("-o", "--out")) and not any(word in COMMANDS for word in told):
            raise InputError(f"the format comes first: brushcast-export onnx {' '.join(told)}")
        raise InputError(f"no format {name!r}; {near(name, [*COMMANDS, *REFUSED])}")
    return _imported(name), told[1:]


def _imported(name: str) -> Any:
    try:
        return import_module(COMMANDS[name])
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu,export") from error


def _overview() -> str:
    lines = [
        f"usage: {PROG} FORMAT CHECKPOINT|BUNDLE -o OUT [options]   (all options: {PROG} FORMAT --help)",
        "",
        "Export a trained network. What comes out is compared with what it was made of, and refused if it differs.",
        f"For example: {EXAMPLE}",
        "",
        "formats:",
    ]
    for name in COMMANDS:
        try:
            lines.append(f"  {name:<10} {_imported(name).HELP}")
        except BrushcastError as error:
            lines.append(f"  {name:<10} {error}")
    return "\n".join(lines)


def _parser(command: Any) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{PROG} {command.NAME}",
        description=f"Export {command.HELP}.",
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT|BUNDLE", help="a checkpoint of scripts/train.py, or a bundle (folder or name)"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write; what is there is replaced")
    parser.add_argument(
        "--style",
        metavar="NAME|PICTURE",
        help="bake this style in as constants: the fastest form, which paints nothing else",
    )
    parser.add_argument(
        "--size",
        metavar="WxH|MIN:OPT:MAX",
        help="sizes of the frames: one, such as 1280x720, or least:usual:most, such as 320x180:640x360:1920x1080 "
        f"(default: {command.SIZES})",
    )
    parser.add_argument("--precision", choices=PRECISIONS, help=f"of the arithmetic (default: {command.PRECISION})")
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    command.add_arguments(parser)
    return parser


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
