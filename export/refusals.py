"""Options that what is asked for has no use for are refused: whoever gave one expects something of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from engines.errors import InputError

_FLAGS = {"sizes": "size"}  # whose attribute has another name


def refuse(asked: argparse.Namespace, options: Sequence[str], beside: str) -> None:
    """Raises InputError where one of `options` was told beside what takes none of them.

    options: as attributes of `asked`, None or empty if not told. beside: what takes none, for people.
    """
    given = [
        f"--{_FLAGS.get(name, name.replace('_', '-'))}" for name in options if getattr(asked, name) not in (None, [])
    ]
    if given:
        raise InputError(f"{beside} takes no {', '.join(given)}; leave that out")
