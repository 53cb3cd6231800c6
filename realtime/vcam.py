"""The virtual camera sink: paintings become a camera that OBS, Zoom, Discord or a browser can choose.

pyvirtualcam (GPL-2) is an extra and imported only here, when asked for.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from engines.errors import SinkError
from realtime.frames import Image, Painted, VideoInfo
from realtime.sinks import Sink, slate

DEFAULT_RATE = 30.0
_ADVICE = {
    "Linux": "make a device first: sudo modprobe v4l2loopback exclusive_caps=1 card_label=Brushcast",
    "Windows": "install OBS Studio, and start and stop its virtual camera once",
    "Darwin": "install OBS Studio 30 or newer, and start and stop its virtual camera once",
}
_BUSY = "close the program that uses it, or name another device with --to vcam:DEVICE"


class VirtualCamera(Sink):
    """Sends paintings to a virtual camera, which has one size from its opening on.

    Before the first painting it shows a slate, and between two paintings the last one: what watches it never sees a
    stopped camera, and never the real one. info: of the source. device: of pyvirtualcam, None for the first that is
    there. backend: of pyvirtualcam, by its name. Raises SinkError, with what to do about it.
    """

    def __init__(self, info: VideoInfo, *, device: str | None = None, backend: str | None = None) -> None:
        library = _library()
        if backend is not None and backend not in library.camera.BACKENDS:
            raise SinkError(f"pyvirtualcam knows no back end {backend!r}; known: {_known(library)}")
        rate = float(info.rate) if info.rate else DEFAULT_RATE
        try:
            self._camera: Any = library.Camera(
                info.width_px, info.height_px, rate, fmt=library.PixelFormat.RGB, device=device, backend=backend
            )
        except Exception as error:
            raise SinkError(_told(error, device)) from error
        self.device = str(self._camera.device)
        self._shown = slate(info.height_px, info.width_px, "Brushcast")
        self._send(self._shown)

    def write(self, painted: Painted) -> bool:
        self._shown = painted.image
        self._send(self._shown)
        return True

    def idle(self) -> bool:
        """The last painting again: some programs take a camera that sends nothing for a broken one."""
        self._send(self._shown)
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def _send(self, image: Image) -> None:
        try:
            self._camera.send(np.ascontiguousarray(image))
        except Exception as error:
            raise SinkError(f"the virtual camera {self.device} failed: {_line(error)}; start it again") from error


def _library() -> Any:
    try:
        import pyvirtualcam  # noqa: PLC0415 (GPL: only for those who ask for it)
    except ModuleNotFoundError as error:
        raise SinkError('pyvirtualcam is not installed; run: pip install "brushcast[vcam]"') from error
    return pyvirtualcam


def _known(library: Any) -> str:
    return ", ".join(sorted(library.camera.BACKENDS)) or "none"


def _told(error: Exception, device: str | None, system: Callable[[], str] = platform.system) -> str:
    """What went wrong and what would help, in one line."""
    reason = _line(error)
    words = reason.lower()
    name = device or "a virtual camera"
    if "busy" in words or "in use" in words or "already" in words:
        return f"{name} is in use ({reason}); {_BUSY}"
    if "permission" in words:
        return f"{name} may not be opened ({reason}); add yourself to the group video, or change its permissions"
    return f"{name} cannot be opened ({reason}); {_ADVICE.get(system(), 'see pyvirtualcam for what it needs here')}"


def _line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300] or type(error).__name__
