"""How far an exported graph may be from eager PyTorch in fp32, per precision, with the reasons, in one place.

Painted frames are compared in steps of 1/255, guidance and style tensors relative to each tensor's largest value.

fp32: sums are taken in another order, which moves a value by some 1e-6 and so now and then to the next of the 256
steps; a second step is left for the blend with the memory, which rounds again. 1e-3 of guidance and style tensors is
far below what can be seen, and above what sums over a whole picture differ by.

fp16: eleven bits. A painting's values in 0..255 are rounded to 1/8 where they are large, a few times on the way, which
takes some to the next step; where the network is steep (edges) to one further. Guidance is a sum of many products, each
good to 1/2048. Measured on the released model: 1 step, 0.09 in the mean, SSIM 0.9991; guidance 0.003.

int8: a convolution's activations have 255 values, so that every pixel is off by a little and a single one by more,
mostly where the network is steep; the largest difference tells of clipped activations, and is bounded widely. What the
eye sees is bounded tightly: the mean, about twice what kernels for every second frame cost, and the structure (SSIM).
Measured on the released model: 34 steps, 2.1 in the mean, SSIM 0.984; guidance 0.09.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.bundle import Precision


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is allowed of frames (steps: largest, mean; ssim: least) and of other tensors (relative: largest, mean)."""

    steps: float
    mean_steps: float
    ssim: float
    relative: float
    mean_relative: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(steps=2, mean_steps=0.02, ssim=0.9999, relative=1e-3, mean_relative=1e-4),
    "fp16": Tolerance(steps=4, mean_steps=0.25, ssim=0.997, relative=0.02, mean_relative=1e-3),
    "int8": Tolerance(steps=48, mean_steps=2.5, ssim=0.95, relative=0.2, mean_relative=0.02),
}
