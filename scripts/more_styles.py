#!/usr/bin/env python3
"""More style pictures to train with: from Debian packages, and variants of the pictures that are rare in DATA.

    apt-get download gimp-data gimp-data-extras krita-data hedgewars-data openclipart-png \\
        wesnoth-1.16-data wesnoth-1.16-httt wesnoth-1.16-sof wesnoth-1.16-utbs gnome-backgrounds ukui-wallpapers \\
        pingus-data openarena-081-textures
    for file in *.deb; do dpkg -x $file unpacked/${file%%_*}; done
    scripts/more_styles.py DATA --packages unpacked --out build/data

build/data gets content/ and style/ as training reads them: DATA's own pictures (linked), those of the packages, and of
every group of DATA's that has fewer than 60 pictures three variants each: its negative, its middle enlarged twice, and
four mirrored copies at half the size. No variant is made of what is held out for evaluation. Every twelfth picture of a
package goes to build/data/kept/ instead, which nothing is trained on, to compare weights on.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from engines.errors import BrushcastError, InputError
from engines.pictures import load_picture
from engines.training import data
from engines.training.data import SIDE_PX

LEAST_PX, LEAST_TILE_PX = 200, 64  # short sides: of pictures, and of tiles, which are repeated
LARGEST_PX = 6000
LEAST_DEVIATION = 12  # of 255; paper without a drawing teaches nothing
RARE = 60  # pictures of a group
KEPT = 12  # every one of so many is kept out of training
QUALITY = 92
WHITE, DARK = (255, 255, 255), (44, 40, 48)


@dataclass(frozen=True)
class Source:
    """group, name: what its pictures' names begin with; a group is drawn from as one (see `data.PictureSet`).

    most: of its pictures, spread evenly. tile: they are repeated. ground: behind what is transparent.
    """

    group: str
    name: str
    pattern: str
    most: int
    tile: bool = False
    ground: tuple[int, int, int] = WHITE


SOURCES = (
    Source("textures", "gimp", "gimp-data*/**/patterns/**/*.pat", 110, tile=True),
    Source("textures", "krita", "krita-data/**/patterns/*.png", 16, tile=True),
    Source("textures", "hedgewars", "hedgewars-data/**/Themes/*/LandTex.png", 33, tile=True),
    Source("textures", "pingus", "pingus-data/**/images/textures/*.*", 15, tile=True),
    Source("textures", "openarena", "openarena-081-textures/**/*.pk3!textures/", 60, tile=True),
    Source("drawn", "hedgewars", "hedgewars-data/**/Missions/**/*.png", 40),
    Source("drawn", "people", "openclipart-png/**/png/people/**/*.png", 40),
    Source("drawn", "portraits", "wesnoth-1.16-*/**/portraits/**/*.*", 80, ground=DARK),
    Source("drawn", "story", "wesnoth-1.16-httt/**/images/story/*.*", 12),
    Source("drawn", "gnome", "gnome-backgrounds/**/*.webp", 20),
    Source("drawn", "ukui", "ukui-wallpapers/**/backgrounds/*.*", 12),
)


def files_of(source: Source, packages: Path) -> Iterator[bytes]:
    """The contents of all files of a source; those in a package's archive, too."""
    pattern, _, inside = source.pattern.partition("!")
    for path in sorted(packages.glob(pattern)):
        if not inside:
            yield path.read_bytes()
            continue
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.startswith(inside) and name.endswith((".jpg", ".tga", ".png")):
                    yield archive.read(name)


def decoded(content: bytes, ground: tuple[int, int, int]) -> Image.Image | None:
    """RGB, on `ground` where it is transparent; None: not a picture, or a very large one."""
    if content[20:24] == b"GPAT":
        return _gimp_pattern(content)
    try:
        picture = Image.open(io.BytesIO(content))
        if max(picture.size) > LARGEST_PX:  # posters of 600 megapixels are among them
            return None
        picture = picture.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
        return None
    under = Image.new("RGBA", picture.size, (*ground, 255))
    return Image.alpha_composite(under, picture).convert("RGB")


def _gimp_pattern(content: bytes) -> Image.Image:
    """GIMP's .pat, version 1: six big-endian numbers (header bytes, version, width, height, channels, "GPAT")."""
    header, _, width, height, channels = (int(n) for n in np.frombuffer(content, ">u4", 5))
    pixels = np.frombuffer(content, np.uint8, width * height * channels, header).reshape(height, width, channels)
    # Grey, grey and alpha, RGB, RGBA; alpha is left out.
    colour = pixels[:, :, :3] if channels > 2 else np.repeat(pixels[:, :, :1], 3, 2)
    return Image.fromarray(np.ascontiguousarray(colour))


def fitted(picture: Image.Image, *, tile: bool) -> Image.Image | None:
    """The middle square, SIDE_PX a side; None: too small or without contrast."""
    least = min(picture.size)
    if least < (LEAST_TILE_PX if tile else LEAST_PX):
        return None
    if tile and least < SIDE_PX:
        pixels = np.asarray(picture)
        down, across = (-(-SIDE_PX // n) for n in pixels.shape[:2])
        square = np.tile(pixels, (down, across, 1))[:SIDE_PX, :SIDE_PX]
    else:
        square = data.square(np.asarray(picture), SIDE_PX)
    if square.reshape(-1, 3).std(0).max() < LEAST_DEVIATION:
        return None
    return Image.fromarray(np.ascontiguousarray(square))


def variants(picture: Image.Image) -> dict[str, Image.Image]:
    """Of a square one: as a negative, its middle at twice the size, and mirrored at half the size."""
    pixels = np.asarray(picture)
    small = np.asarray(picture.resize((SIDE_PX // 2,) * 2, Image.Resampling.LANCZOS))
    row = np.concatenate([small, small[:, ::-1]], 1)
    quarter = SIDE_PX // 4
    middle = picture.crop((quarter, quarter, 3 * quarter, 3 * quarter))
    return {
        "negative": Image.fromarray(255 - pixels),
        "large": middle.resize(picture.size, Image.Resampling.LANCZOS),
        "small": Image.fromarray(np.concatenate([row, row[::-1]], 0)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="holds content/ and style/")
    parser.add_argument("--packages", type=Path, required=True, help="a folder of unpacked packages")
    parser.add_argument("--out", type=Path, required=True, help="made anew")
    args = parser.parse_args(arguments)
    try:
        gather(args)
    except BrushcastError as error:
        print(f"more_styles.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def gather(args: argparse.Namespace) -> None:
    """Raises InputError."""
    if args.out.exists():
        raise InputError(f"{args.out} is there already; remove it, or give another --out")
    own = data.pictures_of(args.data / "style")
    if not own:
        raise InputError(f"{args.data}/style has no pictures; give the folder that training reads")
    beside = args.out.with_name(f"{args.out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    for name in ("style", "kept"):
        (beside / name).mkdir(parents=True)
    (beside / "content").symlink_to((args.data / "content").resolve())

    for path in own:
        (beside / "style" / path.name).symlink_to(path.resolve())
    print(f"{len(own)} pictures of {args.data}")
    add_variants(own, beside / "style")
    for source in SOURCES:
        add_pictures(source, args.packages, beside)
    beside.rename(args.out)


def add_variants(own: Sequence[Path], folder: Path) -> None:
    """Variants of those pictures in `folder` that are rare and may be trained on."""
    groups = Counter(data.group_of(path.name) for path in own)
    rare = [path for path in data.trainable(own, "style") if groups[data.group_of(path.name)] < RARE]
    for path in rare:
        square = Image.fromarray(data.square(load_picture(path), SIDE_PX))
        for which, picture in variants(square).items():
            picture.save(folder / f"variants_{path.stem}-{which}.jpg", quality=QUALITY)
    print(f"variants of {len(rare)} pictures")


def add_pictures(source: Source, packages: Path, out: Path) -> None:
    """A source's pictures in style/ and kept/ of `out`. Raises InputError: there are none."""
    files = list(files_of(source, packages))
    opened = [decoded(content, source.ground) for content in tqdm(files, desc=source.name, leave=False)]
    fit = [square for picture in opened if picture and (square := fitted(picture, tile=source.tile))]
    if not fit:
        raise InputError(f"{packages} has no pictures like {source.pattern}; --help tells which packages are wanted")
    chosen = np.unique(np.linspace(0, len(fit) - 1, min(source.most, len(fit))).astype(int))
    for number, index in enumerate(chosen):
        folder = "kept" if number % KEPT == KEPT - 1 else "style"
        fit[index].save(out / folder / f"{source.group}_{source.name}_{number:05}.jpg", quality=QUALITY)
    print(f"{source.group} {source.name}: {len(chosen)} of {len(files)} files")


if __name__ == "__main__":
    sys.exit(main())
