"""The browser as an output and as a control desk; needs the extra `web` (aiohttp), imported only when asked for."""
