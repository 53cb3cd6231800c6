"""The browser as an output and as a control desk.

All but this module needs the extra `web` (aiohttp), and is imported only when asked for.
"""

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
