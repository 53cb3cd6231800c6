"""brushcast styles --map, --near, --clusters: how the styles of a model lie to each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engines.bundle import Bundle
from engines.collection import pictures_in
from engines.encoder import Encoded, resolve_style
from engines.errors import InputError, SinkError, StyleError
from engines.paths import expanded, is_folder, is_there
from engines.style_space import MOST_STYLES, Groups, Space, medoids
from engines.styles import STYLE_FILE_SUFFIX, Style, told_apart, write_beside
from realtime.commands import painting
from realtime.commands.styles_map import StyleMap, drawn
from realtime.commands.styles_page import page
from realtime.commands.written import check_apart
from realtime.pictures import is_picture_name, save_picture
from realtime.recording import check_folder

NEAREST = 8
_PAGES = (".html", ".htm")
_UNIT = "1 is the root mean square distance of two of the model's named styles"


def run(args: argparse.Namespace, bundle: Bundle) -> int:
    """Answer what is asked of --map, --near and --clusters. Raises InputError, StyleError, SinkError, EngineError."""
    if args.map is not None:
        if args.map.suffix.lower() not in _PAGES and not is_picture_name(args.map):
            raise InputError(f"{args.map} is no map; its name must end in .html or in that of a picture, as .png")
        check_folder(args.map)
        check_apart(args.map, *_files(args))
    named = [bundle.style(name) for name in bundle.styles]
    more = _placed(args, bundle, {style.name for style in named})
    styles = [*named, *more]
    if len(styles) > MOST_STYLES:
        raise InputError(f"{len(styles)} styles; there is room for {MOST_STYLES}: give fewer with --with")
    # The scale is that of the named styles, so that a distance means the same whatever is placed beside them.
    space = Space.of(named if len(named) > 1 else styles)
    if args.near is not None:
        return _near(args, bundle, space, styles)
    groups = None if args.clusters is None else medoids(space.distances(styles), args.clusters)
    if args.map is None:
        assert groups is not None  # one of the two was asked for
        return _groups(args, styles, groups)
    return _map(args, bundle, StyleMap.of(space, styles, len(named), groups))


def _near(args: argparse.Namespace, bundle: Bundle, space: Space, styles: Sequence[Style]) -> int:
    asked = resolve_style(args.near, bundle, threads=args.threads, tell=painting.tell, library=args.text_library)
    by_name = {style.name: style for style in styles}
    asked = told_apart(asked, by_name.get)  # a picture that is called as another style is not that one
    others = [style for style in styles if style.name != asked.name]
    if not others:
        raise StyleError(f"{bundle.name} has no other styles than {asked.name}; place some beside it with --with")
    distances = space.distances([asked, *others])[0, 1:]
    order = sorted(range(len(others)), key=lambda at: (distances[at], others[at].name))[: args.count or NEAREST]
    found = [(others[at].name, float(distances[at])) for at in order]
    if args.json:
        nearest = [{"name": name, "distance": round(distance, 4)} for name, distance in found]
        painting.print_json({"of": asked.name, "unit": _UNIT, "nearest": nearest})
        return 0
    wide = max(len(name) for name, _ in found)
    for name, distance in found:
        print(f"{name:{wide}}  {distance:.2f}")
    painting.tell(f"distances from {asked.name}; {_UNIT}")
    return 0


def _groups(args: argparse.Namespace, styles: Sequence[Style], groups: Groups) -> int:
    if args.json:
        painting.print_json(_groups_told(styles, groups))
        return 0
    for number, medoid in enumerate(groups.medoids):
        members = [style.name for style, label in zip(styles, groups.labels, strict=True) if label == number]
        rest = [name for name in members if name != styles[medoid].name]
        print(f"{number + 1}  {', '.join([styles[medoid].name, *rest])}")
    painting.tell(
        f"the first of each is its most central one; silhouette {groups.silhouette:.2f} (1: far apart, 0: not)"
    )
    return 0


def _map(args: argparse.Namespace, bundle: Bundle, found: StyleMap) -> int:
    if args.map.suffix.lower() in _PAGES:
        try:
            write_beside(args.map, page(found, bundle.name).encode())
        except OSError as error:
            raise SinkError(f"{args.map} cannot be written: {error.strerror or error}") from error
    else:
        save_picture(drawn(found), args.map)
    if args.json:
        places = [
            {"name": style.name, "x": round(float(x), 4), "y": round(float(y), 4)}
            for style, (x, y) in zip(found.styles, found.layout.places, strict=True)
        ]
        told = {"map": str(args.map), "unit": _UNIT, "stress": round(found.layout.stress, 4), "styles": places}
        painting.print_json(told | ({} if found.groups is None else _groups_told(found.styles, found.groups)))
    else:
        print(
            f"wrote {args.map}: {len(found.styles)} styles, stress {found.layout.stress:.2f} (0: true to the distances)"
        )
    return 0


def _groups_told(styles: Sequence[Style], groups: Groups) -> dict[str, object]:
    told = [
        {
            "medoid": styles[medoid].name,
            "styles": [style.name for style, label in zip(styles, groups.labels, strict=True) if label == number],
        }
        for number, medoid in enumerate(groups.medoids)
    ]
    return {"silhouette": round(groups.silhouette, 4), "clusters": told}


def _files(args: argparse.Namespace) -> list[Path]:
    """The files of --with, those of its folders, too. Raises StyleError."""
    files: list[Path] = []
    for text in args.also or ():
        path = expanded(text)
        if not text.strip() or not is_there(path):
            raise StyleError(f"{text!r} does not exist; --with wants pictures and folders of pictures")
        files += pictures_in(path) if is_folder(path) else [path]
    return files


def _placed(args: argparse.Namespace, bundle: Bundle, taken: set[str]) -> list[Style]:
    """The styles of --with: each picture of a folder is one; names that are taken get a number."""
    files = _files(args)
    if len(files) > MOST_STYLES:
        raise InputError(f"{len(files)} pictures with --with; there is room for {MOST_STYLES} styles")
    encoded = Encoded(bundle, threads=args.threads)
    styles: list[Style] = []
    with painting.progress(len(files), "placing", "picture") as bar:
        for path in files:
            if path.suffix.lower() == STYLE_FILE_SUFFIX:
                style = resolve_style(str(path), bundle, threads=args.threads)
            else:
                style = encoded.picture(path)
            name, number = style.name, 2
            while name in taken:
                name, number = f"{style.name} {number}", number + 1
            taken.add(name)
            styles.append(replace(style, name=name))
            bar.update(1)
    return styles
