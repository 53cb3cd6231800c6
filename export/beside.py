"""An exported folder is written beside the one that it replaces, and takes its place only when all is well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from engines.bundle import MANIFEST
from engines.errors import InputError


@contextmanager
def beside(out: Path, marker: str = MANIFEST, what: str = "bundle") -> Iterator[Path]:
    """A new folder beside `out` that takes its place when the block ends well, and vanishes when it does not.

    marker: the file that tells a folder which may be replaced; what: what such a folder is, for people.
    Raises InputError (`out` is something else), OSError (cannot be written).
    """
    check_replaceable(out, marker, what)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        folder.chmod(0o755)
        yield folder
        former = folder.with_name(f"{folder.name}.former")
        if out.exists():
            out.rename(former)
        try:
            folder.rename(out)
        except BaseException:
            if former.exists():  # out of the way for a moment: without the new one it has to stand where it stood
                former.rename(out)
            raise
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(out: Path, marker: str = MANIFEST, what: str = "bundle") -> None:
    """Raise InputError where `beside` could not put a folder, for those who work for minutes before they come to it."""
    if out.exists() and not (out.is_dir() and ((out / marker).is_file() or not any(out.iterdir()))):
        raise InputError(f"{out} exists and is no {what}; give another folder")
    there = next(parent for parent in out.absolute().parents if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InputError(f"{out} cannot be written: {there} is no folder that may be written to; give another")
