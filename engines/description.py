"""What a model is, in words and numbers: its method and paper, what it paints in, what it weighs, what it can do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from safetensors import SafetensorError, safe_open

from engines.bundle import CARD, MANIFEST, Bundle, Takes
from engines.errors import BundleError

MEMORY_PREFIX = "memory."


@dataclass(frozen=True, slots=True)
class Method:
    """Where a network comes from. name: in a word or two; authors: with the year; paper: title, place and arXiv number.

    All but the name are empty for a network that is not in `METHODS`.
    """

    name: str
    authors: str = ""
    paper: str = ""


METHODS = {
    "style_kernel": Method(
        "style kernels",
        "Xu, Long, Nie 2023",
        "Learning Dynamic Style Kernels for Artistic Style Transfer, CVPR 2023, arXiv 2304.00414",
    ),
    "johnson": Method(
        "one style's network",
        "Johnson, Alahi, Fei-Fei 2016",
        "Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016, arXiv 1603.08155",
    ),
    "cin": Method(
        "conditional norm",
        "Dumoulin, Shlens, Kudlur 2017",
        "A Learned Representation for Artistic Style, ICLR 2017, arXiv 1610.07629",
    ),
    "adain": Method(
        "AdaIN",
        "Huang, Belongie 2017",
        "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, ICCV 2017, arXiv 1703.06868",
    ),
    "ghiasi": Method(
        "style prediction",
        "Ghiasi, Lee, Kudlur, Dumoulin, Shlens 2017",
        "Exploring the structure of a real-time, arbitrary neural artistic stylization network, BMVC 2017, "
        "arXiv 1705.06830",
    ),
    "reconet": Method(
        "ReCoNet",
        "Gao, Gu, Zhang, Yu 2018",
        "ReCoNet: Real-time Coherent Video Style Transfer Network, ACCV 2018, arXiv 1807.01197",
    ),
}


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do.

    any_picture: any picture is a style. mix: styles can be mixed and faded. fit: a picture becomes a style by fitting
    it (`brushcast style fit`). background: people and what is behind them in styles of their own. strokes: their size
    can be chosen. memory: it remembers its last painting and moves it along, which keeps steady what stands still.
    """

    any_picture: bool
    mix: bool
    fit: bool
    background: bool
    strokes: bool
    memory: bool

    def words(self) -> str:
        """Those that it has, with commas between; any_picture is told by `Description.styles_words`."""
        told = {name: value for name, value in asdict(self).items() if name != "any_picture"}
        return ", ".join(name for name, value in told.items() if value) or "-"


@dataclass(frozen=True, slots=True)
class Description:
    """One model. parameters: numbers in its weights' file, None without one. megabytes: all its files, 10^6 bytes."""

    name: str
    network: str
    method: Method
    takes: Takes
    styles: tuple[str, ...]
    parameters: int | None
    megabytes: float
    licence: str
    can: Abilities

    def styles_words(self) -> str:
        """What it paints in: "any picture, 25 named", "25 named styles", "its own: red-fuji"."""
        if self.takes == "one":
            return f"its own: {', '.join(self.styles) or 'unnamed'}"
        if self.takes == "many":
            return f"{len(self.styles)} named styles"
        return f"any picture, {len(self.styles)} named"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def describe(bundle: Bundle) -> Description:
    """All that is known of a bundle without running it. Raises BundleError: its weights' file cannot be read."""
    fixed = bundle.sizes is not None and bundle.sizes.fixed
    return Description(
        name=bundle.name,
        network=bundle.network,
        method=METHODS.get(bundle.network, Method(bundle.network)),
        takes=bundle.takes,
        styles=bundle.styles,
        parameters=parameters_of(bundle),
        megabytes=round(bytes_of(bundle) / 1e6, 2),
        licence=str(bundle.manifest.get("licence") or "not stated"),
        can=Abilities(
            any_picture=bundle.takes == "any",
            mix=bundle.takes != "one",
            fit=bundle.takes != "one",
            background=bundle.regions is not None,
            strokes=not fixed,
            memory=any(info.name.startswith(MEMORY_PREFIX) for info in bundle.frame.inputs),
        ),
    )


def parameters_of(bundle: Bundle) -> int | None:
    """Numbers in the weights' file, those that are frozen too; None if baked: its weights are folded into the graphs.

    Only the file's header is read. Raises BundleError.
    """
    if bundle.form == "baked":
        return None
    try:
        with safe_open(bundle.weights, "numpy") as file:
            # Not a mapping: it has to be asked for its keys.
            return sum(int(math.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{bundle.weights} cannot be read; export the bundle anew") from error


def bytes_of(bundle: Bundle) -> int:
    """What the bundle's files take on the disk, bundle.json too."""
    listed = sum(int(entry["bytes"]) for entry in bundle.manifest["files"].values())
    return listed + (bundle.folder / MANIFEST).stat().st_size


def card_of(bundle: Bundle) -> str:
    """The bundle's card, a Markdown text; empty where it has none. Raises BundleError."""
    path = bundle.folder / CARD
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read as text; export the bundle anew") from error


def parameters_words(parameters: int | None) -> str:
    """ "1.82 M", "740 k", "3"; "-" where they are not known."""
    if parameters is None:
        return "-"
    if parameters >= 1_000_000:
        return f"{parameters / 1e6:.3g} M" if parameters < 1e9 else f"{parameters / 1e6:.0f} M"
    return f"{parameters / 1e3:.0f} k" if parameters >= 1_000 else str(parameters)


def rate_words(rate: float) -> str:
    """Frames per second: one decimal, two below 1."""
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"
