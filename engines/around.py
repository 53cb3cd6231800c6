"""What engines do around their graphs: working size, guide, memory; then colours, detail, halos, size of the frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.antialiasing import Antialiaser
from engines.api import Look, check_image
from engines.balance import Balancer
from engines.bands import FINE, Detailer, FineDetailer
from engines.bundle import TensorInfo
from engines.chroma import with_colours_of
from engines.errors import EngineError
from engines.guide import Guide, guide_size
from engines.halos import HaloRemover
from engines.memory import Memory, Recalled, small_size
from engines.oil import OilPainter
from engines.pixels import Picture
from engines.recolour import MOST_MEMORY, Recolourer
from engines.regions import Mask, belongs, blended, check_mask, mixed_guidance, sized
from engines.renewal import UNGUIDED, Guided, Renewal
from engines.sharpening import Sharpener, gain_to
from engines.styles import Style
from engines.tone import Toner
from engines.working import DETAIL, Working, painted_scale


class Graphs(Protocol):
    """The graphs of a model; see `engines.nets.frame_graph`. Raise EngineError."""

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """Guidance for a guide (gh, gw, 3), good until the call after the next."""
        ...

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        """Paint a working frame (h, w, 3): painting and next small source, good until the call after the next.

        smoothing: instead of the look's.
        """
        ...

    def paint_regions(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[Picture, Picture]:
        """The same with the look's background where the mask (ceil(h/4), ceil(w/4)) is 0, both at full strength."""
        ...


@dataclass(frozen=True, slots=True)
class GuideAsked:
    """A guide's graph is to be run; see `Graphs.guide`. Answered by its guidance."""

    guide: Picture
    colour_map: NDArray[np.float32]
    style: Style

    def by(self, graphs: Graphs) -> NDArray[np.float32]:
        return graphs.guide(self.guide, self.colour_map, self.style)


@dataclass(frozen=True, slots=True)
class PaintAsked:
    """A frame is to be painted; see `Graphs.paint`, and with a mask `Graphs.paint_regions`. Answered as these do."""

    working: Picture
    guided: Guided
    recalled: Recalled
    look: Look
    smoothing: float
    mask: Mask | None

    def by(self, graphs: Graphs) -> tuple[Picture, Picture]:
        told = (self.working, self.guided, self.recalled, self.look, self.smoothing)
        return graphs.paint(*told) if self.mask is None else graphs.paint_regions(*told, self.mask)


def frame_inputs(
    taken: Iterable[TensorInfo], working: Picture, guided: Guided, recalled: Recalled, more: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """What a graph that paints a frame is fed with, the numbers and styles apart: what it takes of it, by their names.

    more: what regions need besides.
    """
    told = {
        "frame": working,
        "small": recalled.small,
        "guidance": guided.guidance,
        "colour_map": guided.colour_map,
        "memory.painting": recalled.painting,
        "memory.source": recalled.source,
        **more,
    }
    names = {entry.name for entry in taken}
    return {name: array for name, array in told.items() if name in names}


Asked: TypeAlias = GuideAsked | PaintAsked
# What a frame needs of the graphs, one after the other; each is sent its answer, and the painting is returned.
Steps: TypeAlias = Generator[Asked, Any, Picture]


class _Colours:
    """Tones, then balance: what brings a stream's paintings nearer to the colours of a style."""

    def __init__(self) -> None:
        self._toner, self._balancer = Toner(), Balancer()

    def of(
        self,
        painting: Picture,
        style: Mapping[str, NDArray[Any]],
        strength: float,
        memory: float,
        where: NDArray[np.bool_] | None = None,
    ) -> Picture:
        """See `Toner.of` and `Balancer.of`. style: its tensors."""
        toned = self._toner.of(painting, style["tones"].reshape(3, -1), strength, memory, where)
        return self._balancer.of(toned, style["palette"], strength, memory, where)

    def reset(self) -> None:
        """Forget the former paintings."""
        self._toner.reset()
        self._balancer.reset()


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame at its own size, at the working size (it may be the same array), and at a quarter of that one's sides."""

    image: Picture
    working: Picture
    small: Picture


@dataclass(frozen=True, slots=True)
class _Detail:
    """What is wanted of a painting's detail: bands (BANDS, 3, LEVELS) and spectrum SPECTRUM."""

    bands: NDArray[np.float32]
    spectrum: NDArray[np.float32] | None

    @classmethod
    def of(cls, style: Style, behind: Style | None = None, share: float = 1.0) -> _Detail | None:
        """A style's, or of two the mean, `share` of the first; None: the model's styles do not tell it."""

        def told(name: str) -> NDArray[np.float32] | None:
            ours = style.tensors.get(name)
            if ours is None:
                return None
            if behind is not None:
                theirs = behind.tensors[name]
                ours = theirs + np.float32(share) * (ours - theirs)
            return np.asarray(ours[0], np.float32)

        bands = told("bands")
        return None if bands is None else cls(bands, told("spectrum"))


class Around:
    """Paints the frames of one stream with a model's graphs. Not for several threads."""

    def __init__(self, *, guided: bool = True, halos: bool = False) -> None:
        """guided: the model has a guide's graph; without one every frame is painted by itself, memory apart.

        halos: its paintings have some, which are removed where its styles tell bands of detail.
        """
        self._has_guide = guided
        self._working, self._guide = Working(), Guide()
        self._memory, self._renewal = Memory(), Renewal()
        self._recolourer, self._sharpener = Recolourer(), Sharpener()
        self._halo_remover = HaloRemover() if halos else None
        self._colours, self._background_colours, self._detailer = _Colours(), _Colours(), Detailer()
        self._oil_painter, self._antialiaser, self._fine_detailer = OilPainter(), Antialiaser(), FineDetailer()
        self._shape = (0, 0, 0)

    def paint(self, image: Picture, look: Look, graphs: Graphs, mask: Mask | None = None) -> Picture:
        """See `engines.api.Engine.stylise`, whose work this is."""
        return answered(self.steps(image, look, mask), lambda asked: asked.by(graphs))

    def steps(self, image: Picture, look: Look, mask: Mask | None = None) -> Steps:
        """The same for whoever runs the graphs himself, for several streams at once: see `engines.together`.

        Arrays that are asked about are good until the next frame. An EngineError thrown in clears the memory.
        """
        check_image(image)
        checked = None if look.behind is None else check_mask(mask, image.shape[0], image.shape[1])
        image = np.ascontiguousarray(image)
        if image.shape != self._shape:  # another stream of pictures, as far as anyone can tell
            self._shape = image.shape
            self.reset()
        scale = painted_scale(look.render_scale, look.stroke, guided=self._has_guide)
        working = self._working.of(image, scale)
        recalled = self._memory.before(working, look.smoothing)
        small_mask = None if checked is None else sized(checked, *small_size(working.shape[0], working.shape[1]))
        try:
            guided = yield from self._known(working, look, recalled, small_mask)
            memory = self._renewal.hold if self._has_guide else MOST_MEMORY * look.smoothing
            if memory == 0:  # another scene: also for what this look has no need of, and the next one may have
                self._forget_measures()
            smoothing = look.smoothing if recalled.holds else 0.0
            seen = self._sharpened(working, guided, look, small_mask, memory)
            painting, source = yield PaintAsked(seen, guided, recalled, look, smoothing, small_mask)
        except EngineError:
            self.reset()
            raise
        # What follows comes after the memory, which is to remember what the network painted: it would be applied again
        # and again.
        self._memory.after(painting, source)
        frame = _Frame(image, working, recalled.small)
        if small_mask is None:
            return self._finished(frame, painting, look, memory)
        return self._finished_regions(frame, painting, look, small_mask, memory)

    def _known(
        self, working: Picture, look: Look, recalled: Recalled, mask: Mask | None
    ) -> Generator[GuideAsked, Any, Guided]:
        """What is known of a working frame from its guide: kept from a frame before, or asked anew."""
        if not self._has_guide:
            return UNGUIDED
        size = guide_size(working.shape[0], working.shape[1], look.stroke)
        guided = self._renewal.kept(size, look, recalled)
        if guided is None:
            guided = self._renewal.took((yield from self._guided(working, look, mask)), size, look)
        return guided

    def _guided(self, working: Picture, look: Look, mask: Mask | None) -> Generator[GuideAsked, Any, Guided]:
        """What a working frame's guide tells, asked anew."""
        guide = self._guide.of(working, look.stroke)
        self._recolourer.see(guide, self._renewal.hold)
        colour_map = self._recolourer.map_to(look.style.tensors["palette"])
        guidance = yield GuideAsked(guide, colour_map, look.style)
        if look.behind is None or mask is None:
            return Guided(guidance, colour_map)
        background_map = self._recolourer.map_to(look.behind.tensors["palette"])
        behind = yield GuideAsked(guide, background_map, look.behind)
        return Guided(mixed_guidance(guidance, behind, mask), colour_map, background_map)

    def _sharpened(self, working: Picture, guided: Guided, look: Look, mask: Mask | None, memory: float) -> Picture:
        """A working frame as the network is to see it: good until the next one."""
        ours = look.style.tensors
        if "bands" not in ours or (look.strength == 0 and mask is None):
            return working
        self._sharpener.see(working)

        def gain() -> float:
            seen = self._sharpener.places(working)
            front = gain_to(seen, guided.colour_map, ours["bands"][0])
            if mask is None:
                return front
            assert look.behind is not None and guided.background_map is not None  # there is a mask
            behind = gain_to(seen, guided.background_map, look.behind.tensors["bands"][0])
            return behind + float(mask.mean()) * (front - behind)

        # As much of it as of the painting: what is left of the frame is mixed in by the graph, but not for two styles.
        return self._sharpener.of(working, gain, look.strength if mask is None else 1.0, memory)

    def reset(self) -> None:
        """Forget the last painting."""
        self._memory.reset()
        self._renewal.reset()
        self._forget_measures()

    def _forget_measures(self) -> None:
        """Forget what was measured of former frames and paintings."""
        for part in (self._sharpener, self._colours, self._background_colours, self._detailer, self._fine_detailer):
            part.reset()

    def _finished(self, frame: _Frame, painting: Picture, look: Look, memory: float) -> Picture:
        """Tones, palette, strokes, detail, the frame's own size, its colours; a new array."""
        wanted = None
        if look.strength > 0:
            tensors = look.style.tensors
            if "tones" in tensors:
                painting = self._colours.of(painting, tensors, look.strength, memory)
            wanted = _Detail.of(look.style)
        # Always a new array: the caller owns its frame and may draw on it, and the memory must not see that.
        painted = self._sized(frame, painting, wanted, look, look.strength, memory)
        return with_colours_of(frame.image, painted, look.strength and look.keep_colours)

    def _sized(
        self, frame: _Frame, painting: Picture, wanted: _Detail | None, look: Look, strength: float, memory: float
    ) -> Picture:
        """Strokes, detail, halos and the frame's own size; a new array.

        wanted: the style's detail. strength: instead of the look's.
        """
        painting = self._oil_painter.of(painting, strength * look.oil)
        enlarged = frame.working is not frame.image
        if wanted is not None:
            painting = self._detailer.of(
                painting, wanted.bands, strength, memory, spectrum=wanted.spectrum, to_enlarge=enlarged
            )
            if self._halo_remover is not None:
                painting = self._halo_remover.of(painting, frame.small, strength)
            if enlarged:
                painting = self._antialiaser.of(painting, strength)
        painted = self._working.finish(frame.image, frame.working, painting, strength, DETAIL * (1 - look.oil))
        if wanted is not None and enlarged:
            self._fine_detailer.of(painted, wanted.bands[FINE], strength, memory)
        return painted

    def _finished_regions(self, frame: _Frame, painting: Picture, look: Look, mask: Mask, memory: float) -> Picture:
        """The same for two styles; their strengths last."""
        assert look.behind is not None  # there is a mask
        ours, theirs = look.style.tensors, look.behind.tensors
        if "tones" in ours:
            inside, numbers = belongs(mask), (1.0, memory)
            front = self._colours.of(painting, ours, *numbers, inside)
            behind = self._background_colours.of(painting, theirs, *numbers, ~inside)
            painting = blended(front, behind, sized(mask, painting.shape[0], painting.shape[1]))
        wanted = _Detail.of(look.style, look.behind, float(mask.mean()))
        image = frame.image
        painted = with_colours_of(image, self._sized(frame, painting, wanted, look, 1.0, memory), look.keep_colours)
        if look.strength == look.background_strength == 1:
            return painted
        share_of_ours = sized(mask, image.shape[0], image.shape[1])
        strength = look.background_strength + share_of_ours * (look.strength - look.background_strength)
        return blended(painted, image, np.asarray(strength, np.float32))


def answered(steps: Steps, answer: Callable[[Asked], Any]) -> Picture:
    """Run the steps of one frame to their end; `answer` runs the graphs, and may raise EngineError."""
    asked = next(steps)
    while True:
        try:
            told = answer(asked)
        except EngineError as error:
            steps.throw(error)  # which it raises again
            raise
        try:
            asked = steps.send(told)
        except StopIteration as stopped:
            painted: Picture = stopped.value
            return painted
