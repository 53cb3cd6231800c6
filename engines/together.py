"""Frames of several streams painted together: one run of the graphs for all that are of one size."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.around import Asked, GuideAsked, PaintAsked
from engines.errors import EngineError, InputError
from engines.guide import guide_size
from engines.pixels import Picture
from engines.regions import Mask
from engines.working import working_size


@dataclass(frozen=True, slots=True)
class Job:
    """One frame of one stream; see `engines.api.Engine.stylise`.

    session: the stream, one of the sessions of an engine.
    """

    session: Engine
    image: NDArray[np.uint8]
    look: Look
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class WholeAsked:
    """A frame is to be painted with all that is around the graphs, too, by a back end that can; look: smoothing 0."""

    image: Picture
    look: Look


Step: TypeAlias = Asked | WholeAsked
# What a look adds to a frame that is painted as a whole: nothing is computed for what is not in use.
_EXTRAS = ("keep_colours", "oil")


class Batches(Protocol):
    """A back end that paints frames of several streams in one run."""

    # Runs what is done around the graphs of several streams side by side; None: one after the other.
    pool: Executor | None

    def guides(self, asked: Sequence[GuideAsked]) -> Sequence[NDArray[np.float32]]:
        """Guidance for guides of one size. Raises EngineError."""
        ...

    def paints(self, asked: Sequence[PaintAsked]) -> Sequence[tuple[Picture, Picture]]:
        """Paintings and next small sources of frames of one `group`. Raises EngineError."""
        ...

    def wholes(self, asked: Sequence[WholeAsked]) -> Sequence[Picture]:
        """Paintings of frames of one `group`. Raises EngineError."""
        ...


@runtime_checkable
class Batched(Protocol):
    """A session of a back end that can do batches.

    batches: the same object for every session of one engine.
    """

    @property
    def batches(self) -> Batches: ...

    def begin(self, image: Picture, look: Look, mask: Mask | None) -> Generator[Step, Any, Picture]:
        """What the frame needs; raises what `stylise` does, and changes nothing before its first step."""
        ...


def paint_together(jobs: Sequence[Job]) -> list[Picture]:
    """Paint a frame of each stream, and return the paintings in the same order.

    jobs: of different sessions of one engine. Where the engine can do batches, frames of one working size and guide
    size are painted in one run, whatever their styles and numbers are; with all other engines one after the other.
    Raises InputError (a stream twice, streams of different engines, a frame or mask that cannot be used), StyleError,
    EngineError: then streams whose frame was not painted have forgotten their last painting.
    """
    if len({id(job.session) for job in jobs}) < len(jobs):
        raise InputError("a stream can paint one frame at a time; give every job a session of its own")
    if not jobs or not all(isinstance(job.session, Batched) for job in jobs):
        return [job.session.stylise(job.image, job.look, job.mask) for job in jobs]
    sessions: list[Any] = [job.session for job in jobs]
    batches: Batches = sessions[0].batches
    if any(session.batches is not batches for session in sessions):
        raise InputError("streams of different engines cannot be painted together; take sessions of one engine")
    # All are checked before any of them begins.
    steps = [session.begin(job.image, job.look, job.mask) for session, job in zip(sessions, jobs, strict=True)]
    return _Rounds(steps, batches).painted()


def extras_of(look: Look) -> tuple[str, ...]:
    """The names of what a look adds to a frame that is painted as a whole."""
    return tuple(name for name in _EXTRAS if getattr(look, name) > 0)


def group(asked: Step) -> Hashable:
    """What has to be the same for two things asked to be answered by one run of a graph."""
    if isinstance(asked, GuideAsked):
        return "guide", asked.guide.shape
    if isinstance(asked, WholeAsked):
        look = asked.look
        working = working_size(asked.image.shape[0], asked.image.shape[1], look.render_scale)
        return "whole", asked.image.shape, working, guide_size(*working, look.stroke), extras_of(look)
    # Without smoothing there is no memory to mix in, and the graph is a smaller one.
    kind = "frame" if asked.mask is None else "regions"
    return kind, asked.working.shape, asked.guided.guidance.shape, asked.look.smoothing > 0


class _Rounds:
    """Takes all frames on, as far as each goes without a graph; then runs the graphs; and so on."""

    def __init__(self, steps: Sequence[Generator[Step, Any, Picture]], batches: Batches) -> None:
        self._steps, self._batches = steps, batches
        self._asked: dict[int, Step] = {}
        self._painted: dict[int, Picture] = {}

    def painted(self) -> list[Picture]:
        self._go_on(range(len(self._steps)), lambda steps, place: next(steps))
        try:
            while self._asked:
                self._answer()
        except EngineError as error:
            for place in self._asked:  # they forget, see `Around.steps`
                try:
                    self._steps[place].throw(error)
                except EngineError:
                    continue
            raise
        return [self._painted[place] for place in range(len(self._steps))]

    def _answer(self) -> None:
        """One run for every group of what is asked now; guides first, so that frames can be painted together."""
        guides = [place for place, asked in self._asked.items() if isinstance(asked, GuideAsked)]
        groups: dict[Hashable, list[int]] = {}
        for place in guides or self._asked:
            groups.setdefault(group(self._asked[place]), []).append(place)
        answers: dict[int, Any] = {}
        for places in groups.values():
            asked: list[Any] = [self._asked[place] for place in places]
            answers.update(zip(places, self._run(asked), strict=True))
        self._go_on(list(answers), lambda steps, place: steps.send(answers[place]))

    def _run(self, asked: list[Any]) -> Sequence[Any]:
        runs: dict[type, Callable[[list[Any]], Sequence[Any]]] = {
            GuideAsked: self._batches.guides,
            PaintAsked: self._batches.paints,
            WholeAsked: self._batches.wholes,
        }
        return runs[type(asked[0])](asked)

    def _go_on(self, places: Sequence[int], step: Callable[[Generator[Step, Any, Picture], int], Step]) -> None:
        def go(place: int) -> tuple[Step | None, Picture | None]:
            try:
                return step(self._steps[place], place), None
            except StopIteration as stopped:
                return None, stopped.value

        pool = self._batches.pool if len(places) > 1 else None
        for place, (asked, picture) in zip(places, (map if pool is None else pool.map)(go, places), strict=True):
            if asked is not None:
                self._asked[place] = asked
            else:
                assert picture is not None
                self._asked.pop(place, None)
                self._painted[place] = picture
