"""Who is measured together: one column each, several bundles of one style each as one; and which styles all know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
from painters import BundlePainter, GatysPainter, Painter, RivalPainter, Untouched

from engines.api import DEFAULT_SMOOTHING
from engines.bundle import Bundle, released
from engines.errors import InputError

PHOTO, BRUSHCAST, RIVAL, GATYS = "photo", "brushcast", "rival", "gatys"
METHODS = (PHOTO, BRUSHCAST, RIVAL, GATYS)
DEFAULT_MODELS = ("live", "studio")
_TOLD_STYLES = 4  # of a column, in an error's line

Columns = dict[str, tuple[Bundle, ...]]


@dataclass(frozen=True, slots=True)
class Contestants:
    """Who is measured.

    still: one column each, for photos. unsmoothed: the bundles without memory, for clips only. bundles: those behind
    each column: one, or several that have learned one style each.
    """

    still: list[Painter]
    unsmoothed: dict[str, Painter]
    bundles: Columns

    def close(self) -> None:
        for painter in (*self.still, *self.unsmoothed.values()):
            painter.close()


def contestants(
    methods: Sequence[str],
    models: Sequence[str],
    threads: int,
    gatys: GatysPainter,
    *,
    named: bool = False,
    kept: bool = False,
) -> Contestants:
    """In the order of METHODS. models: folders or released names; none: every released one of DEFAULT_MODELS.

    named: they will paint in named styles, so those that know no others are welcome; none: every released one.
    kept: those that take any picture paint in the named styles that they come with, too.
    Raises InputError (an unknown method, a model that is given twice or paints no style that it does not know),
    BundleError.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise InputError(f"unknown method {unknown[0] if unknown else ''!r}; known are: {', '.join(METHODS)}")
    cv2.setNumThreads(threads)
    still: list[Painter] = []
    unsmoothed: dict[str, Painter] = {}
    bundles: Columns = {}
    if PHOTO in methods:
        still.append(Untouched())
    if BRUSHCAST in methods:
        bundles = _columns(models or _usual(named), named)
        still += [BundlePainter(who, name, DEFAULT_SMOOTHING, threads, kept=kept) for name, who in bundles.items()]
        unsmoothed |= {name: BundlePainter(who, name, 0.0, threads, kept=kept) for name, who in bundles.items()}
    if RIVAL in methods:
        still.append(RivalPainter(threads))
    if GATYS in methods:
        still.append(gatys)
    return Contestants(still, unsmoothed, bundles)


def known_to_all(bundles: Mapping[str, Sequence[Bundle]], names: Sequence[str], *, kept: bool = False) -> list[str]:
    """Those of the named styles that every column paints, in their order. Raises InputError where there is none.

    kept: as in `contestants`.
    """
    few = {
        column: {style for bundle in members for style in bundle.styles}
        for column, members in bundles.items()
        if kept or members[0].takes != "any"
    }
    common = [name for name in names if all(name in known for known in few.values())]
    if not common:
        told = "; ".join(f"{column} {_told(sorted(known))}" for column, known in few.items())
        raise InputError(f"no named style is known to all: {told}; leave a model out")
    return common


def _usual(named: bool) -> list[str]:
    """Of the released bundles, those that are measured where none is named."""
    there = released()
    return [name for name in dict.fromkeys((*DEFAULT_MODELS, *(there if named else ()))) if name in there]


def _columns(models: Sequence[str], named: bool) -> Columns:
    columns: Columns = {}
    groups: dict[tuple[str, str, str], str] = {}  # network, method and form of bundles of one style -> their column
    for model in models:
        bundle = Bundle.load(model)
        if any(bundle.folder.resolve() == other.folder.resolve() for one in columns.values() for other in one):
            raise InputError(f"{model} is given twice; give every bundle once")
        if bundle.takes != "any" and not named:
            knows = _told(bundle.styles)
            raise InputError(f"{bundle.name} {knows} and takes no other; leave it out, or ask for --styles named")
        group = bundle.network, _method(bundle), bundle.form
        if bundle.takes == "one" and group in groups:
            column = groups[group]
            _check_new(bundle, columns[column])
            columns[column] += (bundle,)
            continue
        name = _method(bundle) if bundle.takes == "one" else bundle.name
        column = _unused(name, bundle, columns)
        if bundle.takes == "one":
            groups[group] = column
        columns[column] = (bundle,)
    return columns


def _unused(name: str, bundle: Bundle, columns: Columns) -> str:
    """The name, with something of the bundle's behind it where another column has it."""
    for column in (name, f"{name} {bundle.id[:6]}", f"{name} {bundle.folder.name}"):
        if column not in columns:
            return column
    raise InputError(f"{bundle.folder} has a name that another bundle has; rename its folder")


def _method(bundle: Bundle) -> str:
    """Of a bundle of one style: its name, METHOD-STYLE, without the style; the network's name if it has another."""
    for style in bundle.styles:
        method = bundle.name.removesuffix(f"-{style}")
        if method != bundle.name:
            return method
    return bundle.network


def _check_new(bundle: Bundle, others: Sequence[Bundle]) -> None:
    for other in others:
        if both := set(bundle.styles) & set(other.styles):
            raise InputError(
                f"{bundle.folder} and {other.folder} are of one method and both paint {min(both)}; leave one out"
            )


def _told(styles: Sequence[str]) -> str:
    return f"knows {', '.join(styles) or 'none'}" if len(styles) <= _TOLD_STYLES else f"knows {len(styles)} styles"
