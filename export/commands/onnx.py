"""brushcast-export onnx: a checkpoint, or a bundle, becomes a bundle of ONNX graphs, compared with eager PyTorch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engines.bundle import CARD, MANIFEST, Bundle, Precision
from engines.encoder import resolve_style
from engines.errors import BundleError, InputError, StyleError
from engines.paths import expanded, is_file
from engines.registry import missing_package
from engines.styles import Style
from export import COPY, GENERATED
from export.beside import check_replaceable
from export.refusals import refuse

if TYPE_CHECKING:  # torch and onnx are an extra
    from export.source import Source

NAME = "onnx"
HELP = "a bundle of ONNX graphs, which `brushcast --model FOLDER` paints with"
PRECISION = "fp32, whatever the bundle has"
SIZES = "any, whatever the bundle has"
TUNE_STEPS = 300


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
    parser.add_argument(
        "--tune",
        type=count,
        nargs="?",
        const=TUNE_STEPS,
        metavar="STEPS",
        help="with --style, a picture or the name of a work: train the network on for it before it is baked in, in "
        f"minutes: strokes of its own, less flicker (default: {TUNE_STEPS}; extra train)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="with --tune: photos to learn on, some hundred if you can (default: pictures that come with the program)",
    )
    parser.add_argument("--device", help="with --tune: where PyTorch trains, such as cuda (default: cpu)")


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
    if asked.tune is None:
        refuse(asked, ["photos", "device"], "what is not tuned (--tune)")
    elif asked.style is None:
        raise InputError("--tune is for one style; give it with --style")
    if asked.style is not None:
        refuse(asked, ["card", "pictures"], "--style")  # a card of its own comes with it
    check_replaceable(asked.out)
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
    else:
        with TemporaryDirectory() as folder:
            source, style = _one_style(asked, source, Path(folder) / "dynamic", name, tell)
            bundle, rows = write_baked(source, style, asked.out, name=name, wanted=wanted, tell=tell)
    tell("measuring")
    speed = speed_of(bundle, any_style(bundle), wanted.usual)
    tell(f"{files_table(bundle)}\n\n{table(rows, 'parity with PyTorch')}\n\n{speed}")
    told = f"{bundle.form}, {bundle.precision}, {bundle.sizes or 'any size'}, opset {bundle.manifest['opset']}"
    tell(f"wrote {asked.out} ({told}, id {bundle.id}) in {time.perf_counter() - start_s:.0f} s")


def count(text: str) -> int:
    """A number of steps, from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps; give a whole number from 1")
    return int(text)


def _one_style(
    asked: argparse.Namespace, source: Source, folder: Path, name: str, tell: Callable[[str], None]
) -> tuple[Source, Style]:
    """The style that is asked for, and the source whose bundle made it, which may be written to `folder` for it."""
    from export.frames import everything, frames_of  # noqa: PLC0415 (torch and onnx are an extra)
    from export.ready import Wanted  # noqa: PLC0415
    from export.source import open_source  # noqa: PLC0415
    from export.writer import write_dynamic  # noqa: PLC0415

    if asked.tune is not None:
        try:
            from export.tuned import write_tuned  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise missing_package(error, "train") from error
        photos = everything() if asked.photos is None else frames_of(asked.photos)
        device = asked.device or "cpu"
        return write_tuned(source, asked.style, folder, photos=photos, steps=asked.tune, device=device, tell=tell)
    if source.bundle is None:
        if not is_file(expanded(asked.style)):
            raise StyleError(f"{asked.style} does not exist; a checkpoint has no named styles: give a picture file")
        whole, _ = write_dynamic(source, folder, name=name, wanted=Wanted(), tell=tell)
        source = open_source(str(whole.folder))
    assert source.bundle is not None
    return source, resolve_style(asked.style, source.bundle, tell=tell)


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
