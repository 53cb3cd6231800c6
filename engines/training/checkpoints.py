"""Checkpoints that rebuild their own network and let a run go on: two files, each written beside and renamed.

One holds all that painting needs, the other what only training needs: of `live`, either alone may travel where files of
up to 16 MiB may.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets import catalogue
from engines.nets.catalogue import StyleNet
from engines.paths import is_there


class Ema:
    """Exponential moving average of a network's parameters; its copy is what is shown and released."""

    def __init__(self, net: StyleNet, decay: float = 0.998) -> None:
        self.net = deepcopy(net).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, net: StyleNet, step: int) -> None:
        """Follow faster at the start, where the average would otherwise remember the random weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, other in zip(self.net.parameters(), net.parameters(), strict=True):
            mine.lerp_(other, 1 - decay)


def save(
    path: Path,
    net: StyleNet,
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    step: int,
    seconds: float,
    info: dict[str, Any],
    critic: tuple[nn.Module, torch.optim.Optimizer] | None = None,
) -> None:
    """Write a checkpoint: Adam's moments in bfloat16, the average and the frozen in fp16.

    The network is kept as its distance to that average, in fp16 too: a small number loses little by it. The moments go
    to `optimiser_of(path)`, which is written first; an optimiser without any, that has made no step, goes along.
    critic: that of an adversarial loss, and its own optimiser: kept beside the other, as they are.
    """
    state = optimiser.state_dict()
    state["state"] = {
        k: {name: v.bfloat16() if v.ndim else v for name, v in s.items()} for k, s in state["state"].items()
    }
    if critic is not None:
        state["critic"] = {"net": critic[0].state_dict(), "optimiser": critic[1].state_dict()}
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    average = {k: v.half() for k, v in ema.net.state_dict().items()}
    content = {
        "kind": catalogue.kind_of(net.config),
        "config": {k: list(v) if isinstance(v, tuple) else v for k, v in net.config.as_dict().items()},
        "away": {k: (v - average[k].float()).half() for k, v in net.state_dict().items() if k not in frozen},
        "ema": average,
        "step": step,
        "seconds": seconds,
        "info": info,
    }
    if state["state"]:
        _write(state, optimiser_of(path))
    else:
        content["optimiser"] = state
    _write(content, path)


def optimiser_of(path: Path) -> Path:
    """Where the optimiser of a checkpoint lies: beside it."""
    return path.with_suffix(f".optimiser{path.suffix}")


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint (never running code from it). Raises InputError when it is missing or not one of ours.

    "optimiser" is not in it where the file of that has been left behind: a run cannot go on then, a network can paint.
    "critic" ("net", "optimiser") is in it where there was one.
    """
    if not is_there(path):
        raise InputError(f"{path} does not exist; give a checkpoint written by scripts/train.py")
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        # Style kernels came first: their checkpoints did not say what they are of.
        content["config"] = catalogue.configuration_from(content.setdefault("kind", "style_kernel"), content["config"])
        if "away" in content:  # older checkpoints hold the network itself
            away = content.pop("away")
            content["net"] = {k: v.float() + away[k].float() if k in away else v for k, v in content["ema"].items()}
        if "optimiser" not in content and optimiser_of(path).is_file():
            content["optimiser"] = torch.load(optimiser_of(path), weights_only=True, map_location="cpu")
        if "critic" in content.get("optimiser", {}):
            content["critic"] = content["optimiser"].pop("critic")
    except Exception as error:
        raise InputError(f"{path} is not a checkpoint of this program ({type(error).__name__})") from error
    return content


def styles_of(content: dict[str, Any]) -> tuple[str, ...]:
    """The styles that a checkpoint's network has learned, by name, in its table's order; () if it takes any."""
    return tuple(Path(name).stem for name in content.get("info", {}).get("style_names", ()))


def load_network(path: Path) -> StyleNet:
    """The averaged network of a checkpoint, of whatever kind, for painting. Raises InputError as `load` does."""
    content = load(path)
    net = catalogue.build(content["config"])
    try:
        ema: dict[str, Tensor] = content["ema"]
        net.load_state_dict({k: v.float() for k, v in ema.items()})
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{path} is not a checkpoint of this program ({type(error).__name__})") from error
    return net.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """A bundle's weights.safetensors as float32. Raises InputError when they cannot be read."""
    try:
        return {k: v.float() for k, v in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise no_weights(path) from error


def load_weights(path: Path, net: StyleNet) -> None:
    """Put a bundle's weights.safetensors into `net`. Raises InputError when they cannot be read or do not fit."""
    try:
        net.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise no_weights(path) from error


def no_weights(path: Path) -> InputError:
    """What is raised for a file that holds no weights of the network that they are asked for."""
    return InputError(f"{path} does not hold weights of this network; give weights.safetensors of a bundle")


def _write(content: dict[str, Any], path: Path) -> None:
    beside = path.with_suffix(".part")
    torch.save(content, beside)
    beside.replace(path)
