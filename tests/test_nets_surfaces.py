"""NV12 for tensors, as FFmpeg's own conversion has it."""

from __future__ import annotations

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace

from engines.nets.surfaces import rgb, surfaces

SIZE = (96, 128)


def picture() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def test_it_is_what_ffmpeg_makes() -> None:
    frame = av.VideoFrame.from_ndarray(picture(), "rgb24").reformat(
        format="nv12", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    theirs = frame.to_ndarray()  # (3/2 H, W)
    luma, chroma = surfaces(torch.from_numpy(picture())[None], "bt709")
    assert np.abs(luma[0].numpy().astype(int) - theirs[: SIZE[0]]).max() <= 2
    interleaved = theirs[SIZE[0] :].reshape(SIZE[0] // 2, SIZE[1] // 2, 2)
    assert np.abs(chroma[0].numpy().astype(int) - interleaved).max() <= 2


def test_there_and_back_is_nearly_the_same() -> None:
    image = torch.from_numpy(picture())[None]
    back = rgb(*surfaces(image, "bt601"), "bt601")
    assert back.shape == image.shape and back.dtype == torch.uint8
    assert (back.float() - image.float()).abs().mean() < 1.5
