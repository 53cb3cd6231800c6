"""brushcast-export openvino: a bundle with its graphs in OpenVINO's own form beside them, compared on this CPU.

No engine of Brushcast reads openvino/: ONNX Runtime's provider `openvino` takes the ONNX graphs. The files are for
those who run OpenVINO themselves, on Intel's GPUs and NPUs.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from engines.bundle import Bundle, seal
from engines.registry import missing_package
from export.first import exported_first, is_bundle

NAME = "openvino"
HELP = "a bundle with its graphs as OpenVINO's .xml and .bin beside them"
# A bundle that is for that already is taken as it is; else it is exported anew, of its weights alone.
PRECISION = "fp32; the bundle's where neither --style nor --size is told"
SIZES = "any; the bundle's where neither --style nor another --precision is told"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Write the bundle. Raises BrushcastError (no OpenVINO, parity), OSError."""
    try:
        from export.beside import beside  # noqa: PLC0415 (openvino and onnx are extras)
        from export.openvino_graphs import FOLDER, compare, paces, write_graphs  # noqa: PLC0415
        from export.parity import SIZES, demand, table  # noqa: PLC0415
        from export.ready import Wanted  # noqa: PLC0415
        from export.speed import any_style  # noqa: PLC0415
        from export.summary import files_table  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu,openvino") from error
    with TemporaryDirectory() as scratch:
        source = _source(asked, Path(scratch) / "bundle", tell)
        wanted = Wanted(source.precision, source.sizes)
        style = any_style(source)
        with beside(asked.out) as folder:
            shutil.copytree(source.folder, folder, dirs_exist_ok=True)
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
            tell("converting")
            written = write_graphs(source, folder / FOLDER)
            tell("comparing with ONNX Runtime")
            rows = compare(source, written, style, wanted.compared(SIZES))
            demand(rows)
            found = paces(source, written, style, wanted.usual)
            seal(folder, {**source.manifest, "name": asked.name or source.name})
    bundle = Bundle.load(asked.out)
    tell(f"{files_table(bundle)}\n\n{table(rows, 'OpenVINO against ONNX Runtime')}\n")
    width, height = wanted.usual
    for pace in found:
        tell(
            f"{pace.graph} of {width}x{height} here: OpenVINO {pace.ours_ms:.1f} ms, ONNX Runtime {pace.theirs_ms:.1f} "
            f"ms, ratio {pace.ratio:.2f} (medians, CPU)"
        )
    tell(f"wrote {asked.out} ({bundle.form}, {bundle.precision}, id {bundle.id})")


def _source(asked: argparse.Namespace, scratch: Path, tell: Callable[[str], None]) -> Bundle:
    """The bundle to convert: the one that is told, or what the onnx format makes of what is asked."""
    if is_bundle(asked.checkpoint) and asked.style is None and asked.sizes is None:
        bundle = Bundle.load(asked.checkpoint)
        if asked.precision in (None, bundle.precision):
            return bundle
    return exported_first(asked, scratch, tell)
