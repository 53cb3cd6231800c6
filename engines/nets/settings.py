"""What the frozen descriptions of networks share: they become plain values and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Settings:
    """Base of a network's configuration: its fields are numbers, texts, truth values and tuples of them."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; lists (from JSON) become tuples. Raises TypeError for a field it does not have."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a bundle's description."""
        return asdict(self)
