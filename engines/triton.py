"""Paints on an NVIDIA Triton Inference Server that has a repository which `brushcast-export triton` wrote.

The engine's name is an address: triton://host[:port][/model][?timeout=SECONDS], gRPC, port 8001 and model "brushcast"
unless told. A stream is a sequence of the server, which keeps its style and its memory; a style goes over the wire only
when it is another one. Nothing is tried again: what fails is told, and the next frame begins the sequence anew.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException, np_to_triton_dtype  # type: ignore[import-untyped]

from engines.api import Engine, Look, check_image, closed_error
from engines.bundle import STYLE_PREFIX, Bundle, near
from engines.checked import CheckedStyles
from engines.errors import EngineError
from engines.regions import Mask, check_mask
from engines.styles import Style
from engines.triton_wire import (
    BACKGROUND,
    BUNDLE,
    BUNDLE_ID,
    COMPUTES,
    FRAME,
    MASK,
    MODEL,
    PAINTED,
    Tensors,
    numbers_of,
    tensors_of,
    text,
    text_of,
)

PORT = 8001
TIMEOUT_S = 10.0
_GOODBYE = {FRAME: np.zeros((1, 1, 1, 3), np.uint8)}
_GOODBYE_S = 1.0
_RESTED = 0.9  # of the server's limit: from here on a sequence may be gone by the time a frame is there

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is. host: as in an address, IPv6 in brackets. timeout_s: for each answer."""

    host: str
    port: int = PORT
    model: str = MODEL
    timeout_s: float = TIMEOUT_S

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Of triton://host[:port][/model][?timeout=SECONDS]. Raises EngineError."""
        form = "give triton://host[:port][/model][?timeout=SECONDS]"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or PORT
            asked = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            timeout_s = float(asked.pop("timeout", [str(TIMEOUT_S)])[-1])
        except ValueError as error:
            raise EngineError(f"{url} cannot be read ({error}); {form}") from error
        model = parts.path.strip("/")
        if parts.scheme != "triton" or not host or asked or parts.username or parts.fragment or "/" in model:
            raise EngineError(f"{url} is no Triton server's address; {form}")
        if not 0 < timeout_s < float("inf"):
            raise EngineError(f"{url}: the timeout must be a number of seconds above 0")
        return cls(f"[{host}]" if ":" in host else host, port, model or MODEL, timeout_s)


class TritonEngine(Engine):
    """Paints on a server. One object is one sequence there; sessions share the connection.

    bundle: the same one that the server has, for its styles and its id. threads: not read, the server has its own.
    Raises EngineError: an address that cannot be read, no server, one that is slow, a model that is not there or not
    ready, one of another kind or bundle, a provider (the server's repository says which).
    """

    name = "triton"

    def __init__(self, bundle: Bundle, *, url: str, threads: int | None = None, provider: str | None = None) -> None:
        del threads
        if provider is not None:
            raise EngineError(f"a Triton server computes as its repository says; leave provider {provider!r} out")
        self._begin(_Link(Address.parse(url), bundle), owns=True)

    def _begin(self, link: _Link, *, owns: bool) -> None:
        """What each stream has of its own. owns: closing it closes the connection."""
        self._link, self._owns, self.provider = link, owns, link.provider
        self._sequence = _new_sequence()
        self._closed = False
        self._checked = CheckedStyles(link.bundle)
        self._told: tuple[Style | None, Style | None] = (None, None)  # what the server has
        self._answered_s = -float("inf")  # while the sequence runs; else never

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`. Raises EngineError, too: no answer, or one of no use."""
        self._check_open()
        bundle = self._link.bundle
        self._checked.check(look)
        check_image(image)
        tensors: dict[str, NDArray[Any]] = {FRAME: image[None], **numbers_of(look)}
        if look.behind is not None:
            tensors[MASK] = check_mask(mask, image.shape[0], image.shape[1])[None]
        start = time.monotonic() - self._answered_s > self._link.rest_s
        if start:
            self._told = (None, None)
            tensors[BUNDLE] = text(bundle.id)  # it may have been started anew, with another one
        if bundle.takes != "one":
            tensors |= self._styles(look)
        self._answered_s = -float("inf")  # if this fails, what the server has is not known
        painted = self._link.paint(tensors, self._sequence, start=start)
        if painted.dtype != np.uint8 or painted.shape != (1, *image.shape):
            raise EngineError(
                f"Triton at {self._link.address} gave {painted.dtype} {painted.shape} for a frame {image.shape}; "
                f"it must be uint8 {(1, *image.shape)}"
            )
        self._told, self._answered_s = (look.style, look.background), time.monotonic()
        return np.array(painted[0])

    def _styles(self, look: Look) -> dict[str, NDArray[Any]]:
        """What of the look's styles the server has not."""
        tensors: dict[str, NDArray[Any]] = {}
        if look.style is not self._told[0]:
            tensors |= tensors_of(look.style)
        if look.background is not self._told[1]:
            background = look.background
            tensors |= {BACKGROUND: text("")} if background is None else tensors_of(background, background=True)
        return tensors

    def session(self) -> TritonEngine:
        """Another sequence of the same server; see `engines.api.Engine.session`."""
        self._check_open()
        other = TritonEngine.__new__(TritonEngine)
        other._begin(self._link, owns=False)
        return other

    def reset(self) -> None:
        """Forget the last painting: the next frame begins the sequence anew."""
        self._answered_s = -float("inf")

    def close(self) -> None:
        """End the sequence, and with the engine that was opened also the connection."""
        if self._closed:
            return
        self._closed = True
        self._link.end(self._sequence)
        if self._owns:
            self._link.close()

    def _check_open(self) -> None:
        if self._closed or self._link.closed:
            raise closed_error(self.name)


class _Link:
    """The connection to one model of a server. For several threads."""

    def __init__(self, address: Address, bundle: Bundle) -> None:
        self.address, self.bundle, self.closed = address, bundle, False
        self.provider, self.rest_s, self.streams = "", 0.0, 0  # until the server has told
        self._running: set[int] = set()  # sequences that the server has
        self._guard = threading.Lock()
        self._client: Any = InferenceServerClient(str(address))
        try:
            self._look()
        except BaseException as error:
            self._client.close()
            if isinstance(error, InferenceServerException):
                raise self._error(error) from error
            if isinstance(error, ValueError):
                raise EngineError(f"Triton at {address} gave an answer that cannot be read: {error}") from error
            raise

    def _look(self) -> None:
        """See that the model is there, and is what the bundle needs. Raises EngineError, InferenceServerException."""
        address, client, limit_s = self.address, self._client, self.address.timeout_s
        if not client.is_server_live(client_timeout=limit_s):
            raise EngineError(f"Triton at {address} is not live; look at its log")
        if not client.is_model_ready(address.model, client_timeout=limit_s):
            models = client.get_model_repository_index(client_timeout=limit_s).models
            known = sorted(model.name for model in models)
            if address.model in known:
                raise EngineError(f"model {address.model} at {address} is not ready; look at the server's log")
            raise EngineError(f"no model {address.model!r} at {address}; {near(address.model, known)}")
        config = client.get_model_config(address.model, client_timeout=limit_s).config
        told = {key: parameter.string_value for key, parameter in config.parameters.items()}
        names = {entry.name for entry in config.input}
        styles = STYLE_PREFIX if self.bundle.takes != "one" else ""
        if FRAME not in names or not any(name.startswith(styles) for name in names) or BUNDLE_ID not in told:
            raise EngineError(
                f"model {address.model} at {address} is no frame model that brushcast-export triton wrote"
            )
        if told[BUNDLE_ID] != self.bundle.id:
            raise EngineError(
                f"model {address.model} at {address} is of bundle {told[BUNDLE_ID]}, not {self.bundle.name} "
                f"({self.bundle.id}); give that bundle with --model, or export this one"
            )
        self.rest_s = _RESTED * config.sequence_batching.max_sequence_idle_microseconds / 1e6
        self.streams = config.sequence_batching.oldest.max_candidate_sequences
        versions = client.get_model_metadata(address.model, client_timeout=limit_s).versions
        version = versions[-1] if versions else "?"
        # A sequence of one goodbye: whether it answers at all, and what it computes with.
        answer = self._ask(_GOODBYE, _new_sequence(), True, True, (PAINTED, COMPUTES), limit_s)
        self.provider = f"{address.model}/{version} at {address}: {text_of(answer.as_numpy(COMPUTES)) or 'unknown'}"

    def paint(self, tensors: Tensors, sequence: int, *, start: bool) -> NDArray[Any]:
        """What the server paints. Raises EngineError."""
        with self._guard:
            self._running.add(sequence)
        try:
            painted = self._ask(tensors, sequence, start, False, (PAINTED,), self.address.timeout_s).as_numpy(PAINTED)
        except InferenceServerException as error:
            raise self._error(error) from error
        except ValueError as error:  # the channel was closed by another thread; or bytes that do not fill the shape
            if self.closed:
                raise closed_error(TritonEngine.name) from error
            raise EngineError(f"Triton at {self.address} gave an answer that cannot be read: {error}") from error
        if painted is None:
            raise EngineError(f"Triton at {self.address} gave no {PAINTED}")
        return np.asarray(painted)

    def _ask(
        self, tensors: Tensors, sequence: int, start: bool, end: bool, outputs: tuple[str, ...], limit_s: float
    ) -> Any:
        """tritonclient's InferResult. Raises InferenceServerException, ValueError (a closed channel)."""
        inputs = []
        for name, array in tensors.items():
            entry = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            inputs.append(entry.set_data_from_numpy(array))
        return self._client.infer(
            self.address.model,
            inputs,
            outputs=[InferRequestedOutput(name) for name in outputs],
            sequence_id=sequence,
            sequence_start=start,
            sequence_end=end,
            timeout=int(limit_s * 1e6),  # after which the server need not begin
            client_timeout=limit_s,
        )

    def end(self, sequence: int) -> None:
        """Tell the server that a sequence is over, if it has it; that it does not hear it is no error."""
        with self._guard:
            if sequence not in self._running or self.closed:
                return
            self._running.discard(sequence)
        try:
            self._ask(_GOODBYE, sequence, False, True, (PAINTED,), min(_GOODBYE_S, self.address.timeout_s))
        except (InferenceServerException, ValueError) as error:
            _log.debug("a sequence was not ended: %s", error)

    def close(self) -> None:
        for sequence in list(self._running):
            self.end(sequence)
        self.closed = True
        self._client.close()

    def _error(self, error: InferenceServerException) -> EngineError:
        said = " ".join(str(error.message()).split())[:300]
        kind = str(error.status()).rpartition(".")[2]
        # A request that waits for a free sequence is given up by the server itself, which calls that unavailable.
        if kind == "DEADLINE_EXCEEDED" or (kind == "UNAVAILABLE" and said.startswith("timeout of the")):
            of_streams = f", or all of its {self.streams} sequences are taken" if self.streams else ""
            return EngineError(
                f"Triton at {self.address} did not answer in {self.address.timeout_s:g} s; it is slow{of_streams} "
                "(?timeout=SECONDS waits longer)"
            )
        if kind == "UNAVAILABLE":
            return EngineError(f"Triton at {self.address} cannot be reached: {said}")
        return EngineError(f"Triton at {self.address} refused {self.address.model}: {said}")


def _new_sequence() -> int:
    """A number that no other client of the server has, either."""
    return secrets.randbits(62) + 1
