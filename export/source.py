"""What is exported: a training checkpoint, or a bundle that was made of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from engines.nets import catalogue
from engines.paths import is_file
from engines.torch_eager import load_network
from engines.training import checkpoints
from export.first import is_bundle
from export.metadata import read_graph


@dataclass(frozen=True, slots=True)
class Source:
    """A trained network and what is known of its training.

    net: any of `engines.nets.catalogue`. styles: the names of those that it has learned, in the order of its table;
    empty where any picture is one. bundle: the dynamic one that it comes from, if any.
    """

    net: Any
    training: dict[str, Any]
    styles: tuple[str, ...] = ()
    bundle: Bundle | None = None


def open_source(asked: str) -> Source:
    """A checkpoint file, or a bundle's folder or name. Raises InputError, BundleError (baked, damaged, no such)."""
    path = Path(asked)
    if path.suffix == ".onnx" and is_file(path):
        read_graph(path)  # says what is wrong with a file that is not one of ours
        raise BundleError(f"{path} is one graph of a bundle; give the bundle's folder, {path.resolve().parent}")
    if is_bundle(asked):
        bundle = Bundle.load(asked)
        _ = bundle.weights  # a baked one has none, and says so
        training, table = dict(bundle.manifest.get("training", {})), tuple(bundle.manifest.get("table", ()))
        return Source(load_network(bundle), training, table, bundle)
    return load_checkpoint(path)


def load_checkpoint(path: Path) -> Source:
    """Read a training checkpoint: its averaged weights ("ema"), rounded to fp16 as they will be released.

    Raises InputError: missing, not a checkpoint, weights that do not fit or are not finite.
    """
    told = checkpoints.load(path)
    net = catalogue.build(told["config"])
    try:
        net.load_state_dict({key: weight.float() for key, weight in told["ema"].items()})
    except (KeyError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path} does not fit this version's network; train it anew") from error
    for name, weight in net.state_dict().items():
        rounded = weight.half().float() if weight.is_floating_point() else weight
        if not bool(torch.isfinite(rounded).all()):
            raise InputError(f"{path}: the weight {name} is not finite in fp16; train on or take another checkpoint")
        weight.copy_(rounded)
    training = {key: told[key] for key in ("step", "seconds") if isinstance(told.get(key), int | float)}
    info = told.get("info", {})
    if "method" in info:
        training["method"] = info["method"]
    return Source(net.eval(), training, checkpoints.styles_of(told))
