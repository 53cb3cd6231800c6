"""brushcast-export onnx: a checkpoint, or a bundle, becomes a bundle of ONNX graphs, compared with eager PyTorch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from engines.bundle import CARD, MANIFEST, Bundle, Precision
from engines.encoder import resolve_style
from engines.errors import BundleError, InputError, StyleError
from engines.paths import expanded, is_file
from engines.registry import missing_package
from export import COPY, GENERATED
from export.refusals import refuse

NAME = "onnx"
HELP = "a bundle of ONNX graphs, which `brushcast --model FOLDER` paints with"
PRECISION = "fp32, whatever the bundle has"
SIZES = "any, whatever the bundle has"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this format alone."""
    parser.add_argument("--card", type=Path, metavar="FILE", help="CARD.md to put in (default: keep a written one)")
    parser.add_argument(
        "--pictures",
        type=Path,
        nargs="+",
        default=[],
        metavar="PICTURE",
        help="pictures that a network of named styles was trained with, where they do not come with the program",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="pictures that int8 is calibrated on, like what will be painted (default: those that come along)",
    )


def run(asked: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Write the bundle. Raises BrushcastError (a source that cannot be read, parity, checks), OSError."""
    try:
        from export.eager import looks_at_pictures  # noqa: PLC0415 (torch and onnx are an extra)
        from export.frames import frames_of  # noqa: PLC0415
        from export.parity import table  # noqa: PLC0415
        from export.ready import Wanted  # noqa: PLC0415
        from export.source import open_source  # noqa: PLC0415
        from export.speed import any_style, speed_of  # noqa: PLC0415
        from export.summary import files_table  # noqa: PLC0415
        from export.writer import write_baked, write_dynamic  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu,export") from error
    start_s = time.perf_counter()
    precision: Precision = asked.precision or "fp32"
    if asked.calibration is not None and precision != "int8":
        raise InputError("--calibration is for --precision int8; leave it out")
    if asked.style is not None:
        refuse(asked, ["card", "pictures"], "--style")  # a card of its own comes with it
    pictures = frames_of(asked.calibration) if precision == "int8" else ()
    wanted = Wanted(precision, asked.sizes, pictures)
    name = asked.name or asked.out.resolve().name
    source = open_source(asked.checkpoint)
    if source.bundle is not None:
        refuse(asked, ["pictures"], "a bundle, which has its styles,")
    if looks_at_pictures(source.net):
        refuse(asked, ["pictures"], "a network that any picture tells a style")
    keep = source.bundle or _bundle_in(asked.out)
    if asked.style is None:
        bundle, rows = write_dynamic(
            source,
            asked.out,
            name=name,
            wanted=wanted,
            card=_card(asked.card, keep),
            keep=keep,
            pictures=asked.pictures,
            tell=tell,
        )
    elif source.bundle is not None:
        style = resolve_style(asked.style, source.bundle, tell=tell)
        bundle, rows = write_baked(source, style, asked.out, name=name, wanted=wanted, tell=tell)
    else:
        if not is_file(expanded(asked.style)):
            raise StyleError(f"{asked.style} does not exist; a checkpoint has no named styles: give a picture file")
        with TemporaryDirectory() as folder:
            whole, _ = write_dynamic(source, Path(folder) / "dynamic", name=name, wanted=Wanted(), tell=tell)
            style = resolve_style(asked.style, whole, tell=tell)
            source = open_source(str(whole.folder))
            bundle, rows = write_baked(source, style, asked.out, name=name, wanted=wanted, tell=tell)
    tell("measuring")
    speed = speed_of(bundle, any_style(bundle), wanted.usual)
    tell(f"{files_table(bundle)}\n\n{table(rows, 'parity with PyTorch')}\n\n{speed}")
    told = f"{bundle.form}, {bundle.precision}, {bundle.sizes or 'any size'}, opset {bundle.manifest['opset']}"
    tell(f"wrote {asked.out} ({told}, id {bundle.id}) in {time.perf_counter() - start_s:.0f} s")


def _bundle_in(folder: Path) -> Bundle | None:
    """The bundle that will be replaced, for its card and styles; None if there is none or it is damaged."""
    try:
        return Bundle.load(folder) if (folder / MANIFEST).is_file() else None
    except BundleError:
        return None


def _card(told: Path | None, keep: Bundle | None) -> str | None:
    if told is None:
        if keep is None or not (keep.folder / CARD).is_file():
            return None
        former = (keep.folder / CARD).read_text(encoding="utf-8").partition(COPY)[0]
        return None if GENERATED in former else former  # figures of another export are not carried on
    try:
        return told.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{told} cannot be read as a card; give a Markdown file") from error
