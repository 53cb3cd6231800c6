"""The browser as an output and as a control desk.

All but this module needs the extra `web` (aiohttp), and is imported only when asked for.
"""

import re

from engines.errors import InputError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
LEAST_TOKEN, MOST_TOKEN = 8, 128


def checked_token(token: str) -> str:
    """`token`, if it can be a part of an address and is not guessed at once. Raises InputError."""
    if not re.fullmatch(rf"[A-Za-z0-9_.~-]{{{LEAST_TOKEN},{MOST_TOKEN}}}", token):
        raise InputError(
            f"{token!r} is no token; it must be {LEAST_TOKEN} to {MOST_TOKEN} letters and digits, or any of - _ . ~"
        )
    return token
