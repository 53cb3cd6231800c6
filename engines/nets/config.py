"""Sizes of style-kernel networks: `live`, which a CPU paints with, and `studio`, the paper's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class StyleKernelConfig:
    """Sizes of one style-kernel network. Widths are channels at 1/2, 1/4 and 1/8 of the frame."""

    encoder: Literal["compact", "vgg"] = "compact"
    widths: tuple[int, int, int] = (16, 32, 64)
    style_levels: int = 3  # of VGG, that the style side sees: 3 is up to relu3_1, 4 up to relu4_1
    style_width: int = 96
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    style_blocks: int = 2
    key_width: int = 64
    code_width: int = 192
    standardised: bool = False  # what the code is made of; networks from before that have few living units
    standardised_tokens: bool = False  # what the tokens are made of; before that all styles had the same, dead ones
    hidden_width: int = 96
    grid: int = 16
    kernel_size: int = 3  # taps of a kernel at 1/8
    kernel_size4: int = 1  # taps at 1/4; 1 is a gain for every place
    groups4: int = 8
    groups8: int = 16
    shuffle_groups: int = 4
    banks: tuple[int, ...] = ()  # widths of the filter banks at 1/4, one after the other
    texture: int = 0  # side in cells at 1/4 of a pattern that is laid over the frame's features; 0: there is none
    halos: bool = False  # whether its paintings have any that engines are to remove (`engines.halos`)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StyleKernelConfig:
        """The inverse of `as_dict`; lists (from JSON) become tuples."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a bundle's description."""
        return asdict(self)


CONFIGS: dict[str, StyleKernelConfig] = {
    "live": StyleKernelConfig(code_width=448, standardised=True, standardised_tokens=True, banks=(48, 48), halos=True),
    # The paper's shape: VGG features up to relu4_1 for frame and style, a decoder that mirrors the encoder.
    "studio": StyleKernelConfig(
        encoder="vgg",
        widths=(64, 128, 256),
        style_levels=4,
        style_width=192,
        encoder_blocks=0,
        decoder_blocks=2,
        key_width=128,
        code_width=256,
        standardised=True,
        standardised_tokens=True,
        hidden_width=192,
        kernel_size4=3,
        groups4=16,
        groups8=64,
        shuffle_groups=8,
        banks=(32, 32),
    ),
}
