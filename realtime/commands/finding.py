"""What `brushcast doctor` found, line by line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    good: False means that painting suffers. there: False means that it cannot be used here, and nothing else suffers.
    help: what would cure it.
    """

    topic: str
    text: str
    good: bool = True
    help: str = ""
    there: bool = True

    @property
    def mark(self) -> str:
        """What the line begins with."""
        if not self.good:
            return "!!"
        return "ok" if self.there else "--"
