"""The doctor's part on back ends: every engine and every ONNX Runtime provider, by trying it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engines.bundle import Bundle
from engines.errors import first_line
from engines.registry import ENGINES, why_no_provider, why_not
from realtime.commands.finding import Finding


def engine_findings(bundle: Bundle, more: tuple[str, ...] = ()) -> list[Finding]:
    """Whether each engine can be opened for the bundle here. more: by URL, as those on a Triton server are."""
    names = dict.fromkeys((*ENGINES, *more))
    return [_tried(f"engine {name}", partial(why_not, name, bundle)) for name in names]


def provider_findings() -> list[Finding]:
    """Whether each ONNX Runtime provider that Brushcast has options for runs here."""
    try:
        from engines.providers import PROVIDERS  # noqa: PLC0415 (ONNX Runtime is an extra)
    except ImportError:
        return []  # told already, as what is missing
    return [_tried(f"provider {name}", partial(why_no_provider, name)) for name in PROVIDERS]


def _tried(topic: str, why: Callable[[], str | None]) -> Finding:
    try:
        reason = why()
    except Exception as error:  # whatever a broken installation raises: it is told, not traced
        reason = f"{type(error).__name__}: {first_line(error)}"
    if reason is None:
        return Finding(topic, "runs")
    return Finding(topic, f"does not run: {reason}", there=False)
