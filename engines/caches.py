"""Where what can be made again is kept for one user: encoded styles, engines that a provider built."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_VARIABLE = "BRUSHCAST_CACHE"


def cache_folder() -> Path:
    """$BRUSHCAST_CACHE, or the platform's folder for caches of one user."""
    told = os.environ.get(CACHE_VARIABLE)
    return Path(told) if told else user_cache_path("brushcast", appauthor=False)
