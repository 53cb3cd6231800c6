"""The evaluation's measuring: photos, clips, and films whose motion is known. What is in the journal is not redone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from clips import read_clip
from contestants import Contestants
from evaluation_styles import Pictures
from numpy.typing import NDArray
from painters import GatysPainter, Painter
from tqdm import tqdm

from engines.errors import InputError, SinkError
from engines.training.evaluation import (
    EDITION,
    Judges,
    Pair,
    PairJudge,
    StyleIndex,
    draw_pairs,
    held_out_faces,
)
from engines.training.journal import Figures, Journal
from engines.training.spans import LONG_SPAN, SpanMeter, SpanSource
from engines.training.steadiness import SteadinessMeter
from engines.training.true_motion import TrueMotion, read_true_motion

Image = NDArray[np.uint8]
STYLES_OF_TRUE_MOTION = 4
OFF = " off"  # behind a bundle's name: its rows without smoothing


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one method on one thing: a pair, or a clip in a style."""

    method: str
    on: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that one evaluation needs.

    styles: those of the pictures' that are painted in. judges: called once, and only where something is left to judge.
    """

    journal: Journal
    pictures: Pictures
    styles: Sequence[str]
    side: int
    seed: int
    judges: Callable[[], Judges]
    paintings: Path

    def photos(self, who: Contestants, pairs: Sequence[Pair], gatys_pairs: int, shown: int) -> list[Row]:
        """Every method on every pair (Gatys on the first few). Of the first `shown` pairs the paintings are kept."""
        plan = [
            (number, pair, painter)
            for number, pair in enumerate(pairs)
            for painter in who.still
            if not isinstance(painter, GatysPainter) or number < gatys_pairs
        ]
        key = {
            (n, p.name): f"photo {EDITION}|{p.key(pair.style)}|{self.side}|{pair.photo}|{pair.style}"
            for n, pair, p in plan
        }
        kept = {(n, p.name): self.painting(p, pair) for n, pair, p in plan if n < shown}
        unmeasured = {at for at in key if key[at] not in self.journal}
        todo = {at for at in key if at in unmeasured or (at in kept and not kept[at].exists())}
        judges = self.judges() if unmeasured else None
        index = self._index(judges) if judges else None
        faces = held_out_faces()
        judge: PairJudge | None = None
        judged = -1
        for number, pair, painter in tqdm(
            [step for step in plan if (step[0], step[2].name) in todo], desc="photos", unit="painting", disable=None
        ):
            at = number, painter.name
            photo, style = self.pictures.picture(pair.photo), self.pictures.picture(pair.style)
            painter.take_style(pair.style, style)
            painted = painter.paint(photo)
            if at in kept:
                _write(kept[at], painted)
            if judges and index and at in unmeasured:
                if judge is None or judged != number:
                    judge, judged = PairJudge(judges, index, pair, photo, style, faces.get(pair.photo, ())), number
                self.journal.add(key[at], judge.measure(painted))
        return [Row(p.name, f"{pair.photo} {pair.style}", self.journal[key[n, p.name]]) for n, pair, p in plan]

    def clips(self, who: Contestants, clips: Sequence[Path], frames: int) -> list[Row]:
        """The warping errors of every steady method on every clip, each clip in a style of its own."""
        styles = [pair.style for pair in draw_pairs(self.pictures.photos, self.styles, len(clips), self.seed)]
        rows: list[Row] = []
        for clip, style in tqdm(list(zip(clips, styles, strict=True)), desc="clips", unit="clip", disable=None):
            painters = self._steady(who)
            key = {
                name: f"clip {EDITION}|{painter.key(style)}|{self.side}|{frames} frames|{clip.name}|{style}"
                for name, painter in painters.items()
            }
            todo = {name: painter for name, painter in painters.items() if key[name] not in self.journal}
            if todo:
                for name, figures in self._clip(todo, clip, style, frames).items():
                    self.journal.add(key[name], figures)
            rows += [Row(name, clip.stem, self.journal[key[name]]) for name in painters]
        return rows

    def true_motions(self, who: Contestants, folders: Sequence[Path]) -> list[Row]:
        """The warping error along the true motion, of every steady method in several styles."""
        pairs = draw_pairs(self.pictures.photos, self.styles, STYLES_OF_TRUE_MOTION, self.seed + 1)
        styles = dict.fromkeys(pair.style for pair in pairs)
        rows: list[Row] = []
        for folder in tqdm(list(folders), desc="true motion", unit="set", disable=None):
            known: TrueMotion | None = None
            for style in styles:
                for name, painter in self._steady(who).items():
                    key = f"true motion {EDITION}|{painter.key(style)}|{self.side}|{folder.name}|{style}"
                    if key not in self.journal:
                        known = known or read_true_motion(folder, self.side)
                        painter.take_style(style, self.pictures.picture(style))
                        painted = [painter.paint(frame) for frame in known.frames]
                        self.journal.add(key, {"warping_true": known.error(*painted[-2:])})
                    rows.append(Row(name, f"{folder.name} {style}", self.journal[key]))
        return rows

    def painting(self, painter: Painter, pair: Pair) -> Path:
        """Where the painting of a pair is kept."""
        names = f"{Path(pair.photo).stem}-{Path(pair.style).stem}-{self.side}.png"
        return self.paintings / painter.key(pair.style).replace(" ", "-") / names

    def _index(self, judges: Judges) -> StyleIndex:
        names = tqdm(self.pictures.styles, desc="style pictures", unit="picture", disable=None)
        return StyleIndex(judges.held_back, ((name, self.pictures.picture(name)) for name in names))

    def _clip(self, painters: dict[str, Painter], clip: Path, style: str, frames: int) -> dict[str, Figures]:
        source = SpanSource()
        short = {name: SteadinessMeter() for name in painters}
        long = {name: SpanMeter(LONG_SPAN) for name in painters}
        for painter in painters.values():
            painter.take_style(style, self.pictures.picture(style))
        seen = False
        progress = tqdm(total=frames or None, desc=clip.stem, unit="frame", leave=False, disable=None)
        with progress:
            for image in read_clip(clip, (self.side, self.side), frames):
                motions = source.add(image)
                for name, painter in painters.items():
                    painted = painter.paint(image)
                    short[name].add(painted, motions.get(1))
                    long[name].add(painted, motions.get(LONG_SPAN))
                progress.update()
                seen = True
        if not seen:
            raise InputError(f"{clip} has no frames; give clips that can be decoded")
        return {name: _figures(short[name], long[name]) for name in painters}

    @staticmethod
    def _steady(who: Contestants) -> dict[str, Painter]:
        painters = {painter.name: painter for painter in who.still if painter.steady}
        return painters | {name + OFF: painter for name, painter in who.unsmoothed.items()}


def _figures(short: SteadinessMeter, long: SpanMeter) -> Figures:
    told = short.result()
    return {
        "warping": told.warping_error,
        "warping_long": long.result(),
        "sharpness": told.sharpness,
        "pairs": float(told.pairs),
        "cuts": float(told.cuts),
    }


def _write(path: Path, image: Image) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1]))
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror})") from error
    if not done:
        raise SinkError(f"{path} cannot be written; its folder must be writable")
