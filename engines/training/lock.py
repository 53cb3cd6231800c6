"""One training run at a time makes what several share: packed data, and the targets that are kept beside it."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock


def lock(folder: Path) -> FileLock:
    """To be held while something is made in `folder`, which is created. Another program that wants it waits."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")
