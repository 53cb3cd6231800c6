"""The command brushcast-export: a checkpoint (or a bundle) becomes a dynamic or baked bundle."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from engines.bundle import CARD, MANIFEST, RELEASED, Bundle
from engines.encoder import resolve_style
from engines.errors import BrushcastError, BundleError, InputError, StyleError
from engines.registry import missing_package
from export import GENERATED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, or 2 with a one-line error on stderr."""
    asked = _parser().parse_args(arguments)
    try:
        _export(asked)
    except BrushcastError as error:
        print(f"brushcast-export: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"brushcast-export: {asked.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return BrushcastError.exit_code
    except KeyboardInterrupt:
        print("brushcast-export: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brushcast-export",
        description="Export a trained network as a bundle that `brushcast --model FOLDER` paints with. "
        "The export is compared with eager PyTorch on frames of several sizes, and refused if it differs.",
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint of scripts/train.py, or a bundle (folder or name)"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write; a bundle there is replaced")
    parser.add_argument(
        "--style",
        metavar="NAME|PICTURE",
        help="bake this style in as constants: the fastest form, which paints nothing else",
    )
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="CARD.md to put in (default: keep a written one)",
    )
    return parser


def _export(asked: argparse.Namespace) -> None:
    try:
        from engines.torch_eager import load_network  # noqa: PLC0415 (torch and onnx are an extra)
        from export.writer import Checkpoint, load_checkpoint, write_baked, write_dynamic  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu,export") from error
    start_s = time.perf_counter()
    name = asked.name or asked.out.resolve().name
    given = Path(asked.checkpoint)
    former = _bundle_in(asked.out)
    keep = former
    if given.is_dir() or (not given.exists() and (RELEASED / asked.checkpoint / MANIFEST).is_file()):
        keep = Bundle.load(asked.checkpoint)
        checkpoint = Checkpoint(load_network(keep), dict(keep.manifest.get("training", {})))
    else:
        checkpoint = load_checkpoint(given)
    if asked.style is None:
        bundle, rows = write_dynamic(
            checkpoint, asked.out, name=name, card=_card(asked.card, keep), keep=keep, tell=_tell
        )
    elif keep is not None and not given.is_file():
        style = resolve_style(asked.style, keep, tell=_tell)
        bundle, rows = write_baked(keep, style, checkpoint.net, asked.out, name=name, tell=_tell)
    else:
        if not Path(asked.style).expanduser().is_file():
            raise StyleError(f"{asked.style} does not exist; a checkpoint has no named styles: give a picture file")
        with TemporaryDirectory() as folder:
            whole, _ = write_dynamic(checkpoint, Path(folder) / "dynamic", name=name, tell=_tell)
            style = resolve_style(asked.style, whole, tell=_tell)
            bundle, rows = write_baked(whole, style, checkpoint.net, asked.out, name=name, tell=_tell)
    print(_summary(bundle, [(row.what, row.worst, row.mean, row.allowed) for row in rows]))
    print(f"wrote {asked.out} ({bundle.form}, id {bundle.id}) in {time.perf_counter() - start_s:.0f} s")


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
        former = (keep.folder / CARD).read_text(encoding="utf-8")
        return None if GENERATED in former else former  # figures of another export are not carried on
    try:
        return told.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{told} cannot be read as a card; give a Markdown file") from error


def _summary(bundle: Bundle, rows: list[tuple[str, float, float, float]]) -> str:
    lines = [f"{'file':<32} {'KiB':>8}  SHA-256"]
    files: dict[str, dict[str, object]] = bundle.manifest["files"]
    total = 0
    for name, entry in files.items():
        size = int(str(entry["bytes"]))
        total += size
        lines.append(f"{name:<32} {size / 1024:>8.1f}  {str(entry['sha256'])[:16]}")
    lines += [
        f"{'total':<32} {total / 1024:>8.1f}",
        "",
        f"{'parity with PyTorch':<32} {'worst':>9} {'mean':>9} {'allowed':>9}",
    ]
    lines += [f"{what:<32} {worst:>9.3g} {mean:>9.3g} {allowed:>9g}" for what, worst, mean, allowed in rows]
    return "\n".join(lines)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
