"""What commands that write files check before they begin: an output must not be one of the files that are read."""

from __future__ import annotations

from pathlib import Path

from engines.errors import InputError
from engines.paths import expanded, is_file, is_there


def check_apart(output: Path, *read: str | Path | None) -> None:
    """Raise InputError if `output` is one of the files that are `read`, under whatever name.

    read: paths, URLs and names as the user wrote them; None, and what is no file here, is left out. A file is written
    in the end, when the one of that name has been read: it would be gone, and the painting in its place.
    """
    if is_there(output) and any(_is_file(output, str(one)) for one in read if one is not None):
        raise InputError(f"{output} is an input itself; give another name for what is written")


def _is_file(output: Path, text: str) -> bool:
    # FFmpeg reads file:///a/b as /a/b; a name like file:b is one of a file here.
    path = expanded(text.removeprefix("file:") if text.startswith("file://") else text)
    try:
        return is_file(path) and path.samefile(output)
    except OSError:  # the output may not be looked at
        return False
