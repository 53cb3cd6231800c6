"""For formats that are made of a bundle: what is given, or what the onnx format makes of it first."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from engines.bundle import CHECKOUT_ONLY, MANIFEST, RELEASED, Bundle
from engines.paths import is_file, is_folder, is_there


def is_bundle(asked: str) -> bool:
    """Whether a source is a bundle, by its folder or its name; else it is a checkpoint's file."""
    path = Path(asked)
    return is_folder(path) or (not is_there(path) and (asked in CHECKOUT_ONLY or is_file(RELEASED / asked / MANIFEST)))


def exported_first(asked: argparse.Namespace, out: Path, tell: Callable[[str], None], **changes: Any) -> Bundle:
    """The bundle that `brushcast-export onnx` makes of what is asked, in the folder `out`.

    asked: the arguments of another format; what only onnx has is as it is when it is not told. changes: in place of
    arguments that were told. Raises as that format does.
    """
    onnx = import_module("export.commands.onnx")  # torch and onnx are an extra
    own = argparse.ArgumentParser()
    onnx.add_arguments(own)
    told = {**vars(own.parse_args([])), **vars(asked), "out": out, "name": asked.name or asked.out.resolve().name}
    onnx.run(argparse.Namespace(**{**told, **changes}), tell)
    return Bundle.load(out)
