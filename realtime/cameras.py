"""Cameras through OpenCV: found by index or name, asked for MJPG first, and read back for what they really give."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from engines.errors import SourceError
from realtime.frames import Frame, VideoInfo
from realtime.sources import LIVE_TIME_BASE, Source, fit

DEFAULT_SIZE = (640, 360)
DEFAULT_RATE = 30
MAX_FAILED_READS = 5
_PROBED_INDICES = 4
_SYS_CLASS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that the system knows. name: as the system tells it; "" where OpenCV cannot know it."""

    index: int
    name: str


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used: what a test has to imitate."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name

    def set(self, prop: int, value: float) -> bool: ...

    def get(self, prop: int) -> float: ...

    def read(self) -> tuple[bool, Any]: ...

    def release(self) -> None: ...


def list_cameras(sys_class: Path = _SYS_CLASS) -> list[Camera]:
    """The cameras of this machine, by index. On Linux nothing is opened; elsewhere the first few indices are tried."""
    if sys.platform == "linux":
        return _linux_cameras(sys_class)
    _quiet()
    found = []
    for index in range(_PROBED_INDICES):
        capture = cv2.VideoCapture(index)
        if capture.isOpened():
            found.append(Camera(index, ""))
        capture.release()
    return found


def find_camera(text: str | None, cameras: list[Camera] | None = None) -> int:
    """The index of the camera that the user means: an index, (part of) a name, or None: the first there is.

    Raises SourceError: no such camera, or more than one.
    """
    known = list_cameras() if cameras is None else cameras
    told = ", ".join(f"{camera.index} {camera.name}".strip() for camera in known)
    if text is None:
        if not known:
            raise SourceError("no camera was found; connect one, or use --input synthetic or --input FILE")
        return known[0].index
    if text.isdecimal():
        index = int(text)
        if sys.platform == "linux" and index not in {camera.index for camera in known}:
            raise SourceError(f"there is no camera {index}; {f'there are: {told}' if told else 'none was found'}")
        return index
    exact = [camera for camera in known if camera.name.lower() == text.lower()]
    fitting = exact or [camera for camera in known if text.lower() in camera.name.lower()]
    if not fitting:
        raise SourceError(f"no camera is called {text!r}; {f'there are: {told}' if told else 'none was found'}")
    if len(fitting) > 1:
        raise SourceError(f"{len(fitting)} cameras are called {text!r} ({told}); give its index")
    return fitting[0].index


class CameraSource(Source):
    """A camera. Wrap it in `Reopened`, so that a lost one comes back.

    size: (width, height) asked for; frames are cut and scaled to it if the camera gives another. None: about 640x360,
    and what the camera gives is kept. `info` tells what was really given.
    Raises SourceError: it cannot be opened, gives no picture, or (in `read`) is lost.
    """

    live = True

    def __init__(
        self,
        index: int,
        *,
        size: tuple[int, int] | None = None,
        rate: int = DEFAULT_RATE,
        open_capture: Callable[[int], Capture] = cv2.VideoCapture,
    ) -> None:
        _quiet()
        self._name = f"camera {index}"
        self._index = 0
        try:
            self._capture = open_capture(index)
            try:
                if not self._capture.isOpened():
                    raise SourceError(f"{self._name} cannot be opened; check that it is connected and not in use")
                self._ask(size or DEFAULT_SIZE, rate)
                image = self._grab()
                given_rate = self._capture.get(cv2.CAP_PROP_FPS)
            except BaseException:
                # Nobody else knows of it yet: a device that is kept open could not be opened again.
                self._capture.release()
                raise
        except cv2.error as error:
            raise SourceError(f"{self._name} cannot be opened: {str(error).splitlines()[0]}") from error
        height, width = image.shape[:2]
        self._size = size or (width, height)
        known_rate = Fraction(round(given_rate * 1000), 1000) if 1 <= given_rate <= 1000 else None
        self.info = VideoInfo(self._name, self._size[0], self._size[1], known_rate, LIVE_TIME_BASE)

    def read(self) -> Frame | None:
        begin = time.perf_counter()
        image = self._grab()
        now = time.perf_counter()
        rgb = np.asarray(cv2.cvtColor(fit(image, self._size), cv2.COLOR_BGR2RGB), np.uint8)
        if self._index == 0:
            self._start_s = now
        ticks = round((now - self._start_s) / LIVE_TIME_BASE)
        frame = Frame(rgb, self._index, ticks * LIVE_TIME_BASE, now, time.perf_counter() - begin)
        self._index += 1
        return frame

    def close(self) -> None:
        self._capture.release()

    def _ask(self, size: tuple[int, int], rate: int) -> None:
        # The order matters: many cameras offer large sizes and high rates in MJPG only, and a size resets the rate.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        self._capture.set(cv2.CAP_PROP_FPS, rate)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _grab(self) -> Any:
        """The next picture, BGR. A camera may miss some; one that gives nothing any more is lost."""
        for _ in range(MAX_FAILED_READS):
            try:
                good, image = self._capture.read()
            except cv2.error as error:
                raise SourceError(f"{self._name} failed: {str(error).splitlines()[0]}") from error
            if good and image is not None:
                return image
        raise SourceError(f"{self._name} gives no picture; check that it is connected and not in use")


def _linux_cameras(sys_class: Path) -> list[Camera]:
    found = []
    for folder in sys_class.glob("video*") if sys_class.is_dir() else ():
        number = folder.name.removeprefix("video")
        if not number.isdecimal():
            continue
        # One camera has several nodes; the first (index 0) gives pictures, the others give metadata.
        if _text(folder / "index") in ("", "0"):
            found.append(Camera(int(number), _text(folder / "name")))
    return sorted(found, key=lambda camera: camera.index)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _quiet() -> None:
    """Keep OpenCV from printing warnings about devices: our errors say what is wrong."""
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)
