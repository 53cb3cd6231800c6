"""Inference sessions of ONNX Runtime: on the provider that is asked for, or an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engines.api import check_threads
from engines.errors import EngineError, first_line
from engines.providers import (
    CPU,
    ON_CUDA,
    Provider,
    did_not_start,
    open_with,
    prepare,
    provider_options,
    session_options,
    why_not_running,
)

__all__ = ["CPU", "Opened", "open_best", "open_session"]

# Of ONNX Runtime's messages: a part of the graph would run on the CPU; runs cannot be captured in a CUDA graph.
_REFUSED, _UNCAPTURED = "fallback to CPU EP has been explicitly disabled", "cannot use the graph capture feature"


@dataclass(frozen=True, slots=True)
class Opened:
    """An inference session. captures: its runs are captured in CUDA graphs. told: what of it is not as it could be."""

    session: Any
    captures: bool = False
    told: str = ""


def open_session(
    graph: Path,
    provider: str,
    *,
    threads: int | None = None,
    fixed: Mapping[str, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """An inference session that runs on `provider` (a full name) alone, or EngineError.

    fixed: sizes of free dimensions, by their names; None leaves them free. options: attributes of
    ONNX Runtime's SessionOptions that go before the engine's own, for those who measure it.
    """
    return _open(graph, Provider(provider), threads, fixed, options=options)


def open_best(
    graph: Path,
    provider: Provider,
    *,
    threads: int | None = None,
    fixed: Mapping[str, int] | None = None,
    profile: Mapping[str, str] | None = None,
    allow_cpu_fallback: bool = False,
) -> Opened:
    """An inference session on `provider`, with its runs captured where it can do that; or EngineError.

    profile: options of the TensorRT provider for free sizes. allow_cpu_fallback: parts that the provider does not take
    may run on the CPU; a provider that does not start is an error all the same.
    """
    opened = partial(_open, graph, provider, threads, fixed, profile=profile)
    if provider.name in ON_CUDA:
        try:
            return Opened(opened(capture=True), captures=True)
        except EngineError as error:
            reason = str(error)
        if _UNCAPTURED not in reason and not (_REFUSED in reason and allow_cpu_fallback):
            raise EngineError(reason)
    told = "no CUDA graph" if provider.name in ON_CUDA else ""
    try:
        return Opened(opened(), told=told)
    except EngineError as error:
        if not allow_cpu_fallback or _REFUSED not in str(error):
            raise
    session = opened(strict=False)
    return Opened(session, told=f"parts on {' or '.join(session.get_providers()[1:])}")


def _open(
    graph: Path,
    provider: Provider,
    threads: int | None,
    fixed: Mapping[str, int] | None,
    *,
    profile: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    capture: bool = False,
    strict: bool = True,
) -> Any:
    check_threads(threads)
    prepare(provider)
    asked = session_options(provider, threads=threads, strict=strict)
    for name, pixels in (fixed or {}).items():
        asked.add_free_dimension_override_by_name(name, pixels)
    for name, value in (options or {}).items():
        setattr(asked, name, value)
    key = "" if provider.name == CPU else _key(graph, fixed)
    more = {**provider_options(provider, key=key, threads=threads, capture=capture), **(profile or {})}
    try:
        session = open_with(str(graph), asked, provider, more, strict=strict)
    except Exception as error:
        text = first_line(error)
        if _REFUSED in text and (reason := why_not_running(provider.asked)) is not None:
            raise EngineError(reason) from error  # not a part of the graph, but all of it
        raise EngineError(f"{graph.name} cannot be run by {provider.name}: {text}") from error
    # What was asked for and what runs are two things: a provider that fails to start is left out with a mere log line.
    running = session.get_providers()
    if running[0] != provider.name:
        raise EngineError(did_not_start(provider.name, running[0]))
    return session


def _key(graph: Path, fixed: Mapping[str, int] | None) -> str:
    """Of a graph at its sizes, for what providers keep of it."""
    try:
        content = hashlib.sha256(graph.read_bytes())
    except OSError as error:
        raise EngineError(f"{graph} cannot be read: {error.strerror}") from error
    content.update(repr(sorted((fixed or {}).items())).encode())
    return content.hexdigest()[:16]
