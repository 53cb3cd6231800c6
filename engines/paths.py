"""What lies at a path that somebody typed: asked without an error where nobody may look, or where no path can be."""

from __future__ import annotations

import errno
import re
from pathlib import Path

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP, errno.ENAMETOOLONG)


def is_there(path: Path) -> bool:
    """Whether something lies at `path`; so it is said of what may not be looked at, too: who reads it tells why not."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in _ABSENT
    except ValueError:  # of signs that no path can have
        return False
    return True


def is_file(path: Path) -> bool:
    """Whether a file lies at `path`; not of what may not be looked at."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder lies at `path`; not of what may not be looked at."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def may_be_folder(path: Path) -> bool:
    """Whether a folder lies at `path`, or what may not be looked at: who reads it tells why not."""
    return is_there(path) and not is_file(path)


def expanded(text: str) -> Path:
    """The path of what was typed, "~" as its owner's home; the name of a file may begin with it as well."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # a home that is not known
        return Path(text)


def readable_name(text: str) -> str:
    """A file's name, or a part of it, as text: "?" for bytes that are no UTF-8, as old archives have them."""
    return re.sub("[\ud800-\udfff]", "?", text)
