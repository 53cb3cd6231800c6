"""Video whose frames never leave the GPU: NVIDIA's decoder, the engine and NVIDIA's encoder hand one another memory.

The loop is the usual one; only what its frames are is another thing: `engines.surface.Surface` in place of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from engines.api import Engine, Look
from engines.errors import EngineError, InputError, SourceError
from engines.surface import Surface
from realtime import pyav
from realtime.files import FileSource
from realtime.frames import VideoInfo
from realtime.recording import Recording

LEAST_PYAV = (18, 1)  # encodes frames of the GPU, and shares PyTorch's CUDA context
_FORMAT = "nv12"
_MATRICES = {1: "bt709", 5: "bt601", 9: "bt2020"}  # by swscale's numbers


@dataclass(frozen=True, slots=True)
class Hardware:
    """What decodes, and what encodes.

    accelerate: makes PyAV's HWAccel; None: decoded on the CPU. frame: makes a frame of luma and chroma. encoder: its
    name, pixel_format and options.
    """

    accelerate: Callable[[], Any] | None
    frame: Callable[[Any, Any], Any]
    encoder: str
    pixel_format: str
    options: dict[str, str]


def nvidia(device: int) -> Hardware:
    """NVDEC and NVENC on a GPU by its number, in the CUDA context of this thread, which PyTorch has made.

    Raises EngineError: a PyAV that cannot.
    """
    found = tuple(int(part) for part in av.__version__.split(".")[:2])
    if found < LEAST_PYAV:
        wanted = ".".join(map(str, LEAST_PYAV))
        raise EngineError(f"--zero-copy needs PyAV {wanted}, here is {av.__version__}; run: pip install 'av>={wanted}'")
    from av.codec.hwaccel import HWAccel  # noqa: PLC0415 (older ones have none)
    from av.video.frame import CudaContext, VideoFrame  # noqa: PLC0415

    # FFmpeg would make a primary context with flags of its own, which fails once PyTorch has one.
    context = CudaContext(device_id=device, primary_ctx=False, current_ctx=True)
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return Hardware(
        lambda: HWAccel("cuda", device=device, is_hw_owned=True, allow_software_fallback=False, options=options),
        lambda luma, chroma: VideoFrame.from_dlpack((luma, chroma), format=_FORMAT, cuda_context=context),
        "h264_nvenc",
        "cuda",
        {"preset": "p4", "rc": "vbr", "cq": "21"},
    )


def surfaces_of(engine: Engine, look: Look) -> Engine:
    """The engine for surfaces. Raises EngineError, InputError: where frames have to come to the CPU."""
    if look.smoothing > 0:
        raise InputError("--zero-copy needs --smoothing 0: the motion is estimated on the CPU")
    if look.behind is not None:
        raise InputError("--zero-copy paints one style: people are found on the CPU; leave the background out")
    make = getattr(engine, "surfaces", None)
    if make is None or not engine.provider.startswith("cuda"):
        here = f"{engine.name} on {engine.provider}"
        raise EngineError(f"--zero-copy needs --engine torch --provider cuda; here is {here}")
    made: Engine = make()
    return made


class SurfaceSource(FileSource):
    """A video file, decoded by hardware; its frames' images are surfaces.

    Raises SourceError, beside what FileSource does: the hardware cannot decode it, or what it gives cannot be painted
    as it is (more than 8 bits, no chroma subsampling, full range, turned, odd sides).
    """

    def __init__(self, where: str, hardware: Hardware) -> None:
        try:
            super().__init__(where, accelerate=hardware.accelerate)
        except (NotImplementedError, RuntimeError) as error:
            raise SourceError(f"{where} cannot be decoded by this GPU: {pyav.reason(error)}") from error
        try:
            self._check(where)
        except BaseException:
            self.close()
            raise

    def _check(self, where: str) -> None:
        wrong = None
        if self._matrix != (1, 0, 0, 1):
            wrong = "it is stored turned"
        elif self.info.colour.range == pyav.FULL:
            wrong = "its colours have full range"
        elif self._swscale not in _MATRICES:
            wrong = "its colour matrix is a rare one"
        elif self.info.width_px % 2 or self.info.height_px % 2:
            wrong = "it has a side of an odd number of pixels"
        elif self._next is not None and (name := _surface_format(self._next)) != _FORMAT:
            wrong = f"its frames are {name}, not {_FORMAT}"
        if wrong:
            raise SourceError(f"{where} cannot stay on the GPU: {wrong}; leave --zero-copy out")

    def _image(self, decoded: Any) -> Any:
        return Surface(decoded.planes[0], decoded.planes[1], _MATRICES[self._swscale])


class SurfaceRecording(Recording):
    """A recording of surfaces by a hardware encoder; else see `Recording`."""

    def __init__(self, path: Path, info: VideoInfo, hardware: Hardware, **options: Any) -> None:
        self._hardware = hardware
        super().__init__(path, info, **options)

    def _codec(self, preset: str) -> tuple[str, str, dict[str, str]]:
        hardware = self._hardware
        return hardware.encoder, hardware.pixel_format, hardware.options

    def _open(self) -> None:
        """Nothing: the encoder is opened with its first frame, which tells it where frames lie."""

    def _frame(self, image: Any) -> Any:
        frame = self._hardware.frame(image.luma, image.chroma)
        self._check_size(frame.width, frame.height)
        return frame


def _surface_format(frame: Any) -> str:
    """The pixel format of what a decoded frame holds, wherever it lies."""
    held = getattr(frame, "sw_format", None) or frame.format
    return str(held.name)
