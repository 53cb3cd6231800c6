"""Parts of a network that learn faster or slower than the rest."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from engines.errors import InputError


def rate_groups(net: nn.Module, rates: list[str]) -> list[dict[str, Any]]:
    """What is trained, in groups for an optimiser, each with the "factor" of its rate. Raises InputError."""
    factors = dict(_rate_of(text) for text in rates)
    named = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        factor = next((factors[part] for part in reversed(factors) if name.startswith(part)), 1.0)
        groups.setdefault(factor, []).append(parameter)
    for part in factors:
        if not any(name.startswith(part) for name in named):
            raise InputError(f"--rates {part}: nothing that learns has such a name; name a part, as in decoder=0.1")
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def _rate_of(text: str) -> tuple[str, float]:
    """Of "PART=FACTOR". Raises InputError."""
    part, _, told = text.partition("=")
    try:
        factor = float(told)
    except ValueError:
        factor = -1.0
    if not part or not 0 <= factor < math.inf:
        raise InputError(f"--rates {text}: that is not PART=FACTOR; give a number from 0, as in decoder=0.1")
    return part, factor
