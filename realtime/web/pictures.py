"""The newest painting as a JPEG, for as many viewers as there are: encoded once, and only if somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import cv2

from realtime.frames import Image

QUALITY = 85
AGAIN_AFTER_S = 0.25


class Newest:
    """Holds the newest image of one kind. `put` may be called by any thread, the rest by the event loop's."""

    def __init__(self, first: Image) -> None:
        self._image, self._number = first, 0
        self._jpeg: tuple[int, bytes] = (-1, b"")
        self._encoding = asyncio.Lock()
        self._changed = asyncio.Condition()

    def put(self, image: Image, loop: asyncio.AbstractEventLoop) -> None:
        """A new image, which nobody writes to any more."""
        self._image, self._number = image, self._number + 1
        asyncio.run_coroutine_threadsafe(self._tell(), loop)

    async def jpeg(self) -> bytes:
        """The newest image; encoded in another thread, so that the server goes on answering."""
        async with self._encoding:
            number = self._number
            if self._jpeg[0] != number:
                self._jpeg = number, await asyncio.to_thread(encoded, self._image)
            return self._jpeg[1]

    async def each(self) -> AsyncIterator[bytes]:
        """Every new image while it is the newest: a slow viewer misses some, and holds nobody.

        While nothing new comes the last one is given again: Chrome shows a part only when the next one comes.
        """
        while True:
            number = self._number
            yield await self.jpeg()
            await self.after(number, AGAIN_AFTER_S)

    async def after(self, number: int, within_s: float) -> tuple[int, Image]:
        """The newest image and its number, as soon as that is not `number`, or after `within_s` whatever it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(lambda: self._number != number)
        # In this order: one that is put between the two is given twice rather than missed.
        return self._number, self._image

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def encoded(image: Image, quality: int = QUALITY) -> bytes:
    """RGB uint8 as a JPEG file."""
    good, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert good
    return data.tobytes()
