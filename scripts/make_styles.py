"""Encode the works of engines/bundles/artworks as the named styles of a bundle, and write a contact sheet.

    python scripts/make_styles.py engines/bundles/live --sheet build/styles.png
    python scripts/make_styles.py engines/bundles/live --sheet build/painted.png --photo photo.jpg

    python scripts/make_styles.py engines/bundles/live --fit 60 --photos DATA/content

The styles go to BUNDLE/styles, and the bundle is sealed again (its id stays: style tensors depend on the weights only).
With --fit N they are fitted in N steps each, from what the network tells of the work, on photos that are painted
meanwhile (`engines.training.fit`; some of the folder's, none that is held out): minutes each, and nearer to the work.
Works that have a style of as many steps already keep it: a run that was cut off goes on.
With --photo the sheet shows that photo painted in each style, the work in its corner; "synthetic" is the program's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.api import Engine, Look
from engines.artworks import Artwork, described, load_artworks
from engines.bundle import STYLES, Bundle, seal
from engines.encoder import StyleEncoder
from engines.errors import BrushcastError, InputError, SinkError
from engines.pictures import load_picture, shrink
from engines.registry import open_engine
from engines.styles import STYLE_FILE_SUFFIX, Style, load_style, save_style
from realtime.synthetic import SyntheticSource

Image = NDArray[np.uint8]
Make = Callable[[Artwork], Style]
MOST_PHOTOS = 128  # that styles are fitted on
TILE = (320, 240)  # width, height
LABEL_PX = 22
GAP_PX = 8


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a dynamic bundle")
    parser.add_argument("--artworks", type=Path, help="folder with an artworks.toml (default: the released works)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG or JPEG) here")
    parser.add_argument("--photo", help='paint this picture ("synthetic": the program\'s own) on the sheet')
    parser.add_argument("--fit", type=int, metavar="STEPS", help="fit the styles to the works in so many steps each")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="what is painted while styles are fitted")
    parser.add_argument("--threads", type=int, help="CPU threads")
    told = parser.parse_args(arguments)
    try:
        works = load_artworks(told.artworks) if told.artworks else load_artworks()
        bundle = Bundle.load(told.bundle)
        bundle = make_styles(bundle, works, _maker(bundle, told))
        print(f"{bundle.folder}: {len(bundle.styles)} styles, bundle {bundle.id}")
        if told.sheet:
            painted = paint(bundle, works, _photo(told.photo), told.threads) if told.photo else None
            write_sheet(told.sheet, works, painted)
            print(f"wrote {told.sheet}")
    except BrushcastError as error:
        print(f"make_styles: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def make_styles(bundle: Bundle, works: Sequence[Artwork], make: Make) -> Bundle:
    """Put styles of `works` into the bundle's folder and seal it. Styles of other weights, which nothing reads, go.

    Raises what `make` raises, SinkError (the folder cannot be written).
    """
    styles = bundle.folder / STYLES
    try:
        styles.mkdir(exist_ok=True)
        for work in tqdm(works, unit="style", disable=None):
            save_style(described(make(work), work), styles / f"{work.name}{STYLE_FILE_SUFFIX}")
            seal(bundle.folder, bundle.manifest)  # each time: a run that is cut off leaves a bundle that can be read
        for path in styles.glob(f"*{STYLE_FILE_SUFFIX}"):
            if load_style(path).bundle_id != bundle.id:
                path.unlink()
                print(f"removed {path.name}: it was made by other weights")
        return seal(bundle.folder, bundle.manifest)
    except OSError as error:
        raise SinkError(f"{styles} cannot be written ({error.strerror}); give a bundle you may write to") from error


def encoding(bundle: Bundle, threads: int | None = None) -> Make:
    """Makes styles by looking at works. Raises BundleError, EngineError; so does what it gives, and StyleError."""
    encoder = StyleEncoder(bundle, threads=threads)
    return lambda work: encoder.encode(work.picture(), work.name)


def fitting(bundle: Bundle, photos: Path, steps: int, threads: int | None = None) -> Make:
    """Makes styles by fitting them, but for those that the bundle has of as many steps.

    photos: a folder. Raises InputError (no photos, no loss network), BundleError, StyleError; so does what it gives.
    """
    import torch  # noqa: PLC0415 - slow to import, and not needed for encoding

    from engines.training.data import pictures_of, trainable  # noqa: PLC0415
    from engines.training.fit_bundle import FITTED, StyleFitter  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    files = trainable(pictures_of(photos), "content")  # whatever the folder is called
    if not files:
        raise InputError(f"{photos} holds no photos; give --photos, a folder of .jpg, .png or .webp files")
    fitter = StyleFitter(bundle, [load_picture(path) for path in files[:: -(-len(files) // MOST_PHOTOS)]])

    def make(work: Artwork) -> Style:
        kept = bundle.style(work.name) if work.name in bundle.styles else None
        if kept is not None and kept.extra.get(FITTED) == str(steps):
            return kept
        return fitter.fit(work.picture(), work.name, steps=steps)

    return make


def paint(bundle: Bundle, works: Sequence[Artwork], photo: Image, threads: int | None) -> list[Image]:
    """`photo` painted in each work's style. Raises StyleError, EngineError."""
    engine: Engine
    with open_engine("ort", bundle, threads=threads) as engine:
        return [engine.stylise(photo, Look(bundle.style(work.name), smoothing=0.0)) for work in works]


def write_sheet(path: Path, works: Sequence[Artwork], painted: Sequence[Image] | None, columns: int = 5) -> None:
    """A sheet of all works, or of paintings with the work in the lower right corner. Raises SinkError."""
    width, height = TILE[0] + GAP_PX, TILE[1] + LABEL_PX + GAP_PX
    rows = -(-len(works) // columns)
    sheet = np.full((rows * height + GAP_PX, columns * width + GAP_PX, 3), 250, np.uint8)
    for number, work in enumerate(works):
        top, left = GAP_PX + number // columns * height, GAP_PX + number % columns * width
        tile = _tile(work, None if painted is None else painted[number])
        sheet[top : top + TILE[1], left : left + TILE[0]] = tile
        place = (left + 2, top + TILE[1] + LABEL_PX - 7)
        cv2.putText(sheet, work.name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    try:
        done = cv2.imwrite(str(path), sheet[:, :, ::-1])
    except cv2.error as error:
        raise SinkError(f"{path} cannot be written; its name must end in .png or .jpg") from error
    if not done:
        raise SinkError(f"{path} cannot be written; its folder must exist and be writable")


def _maker(bundle: Bundle, told: argparse.Namespace) -> Make:
    if told.fit is None:
        return encoding(bundle, told.threads)
    if told.fit < 1 or told.photos is None:
        raise InputError(f"--fit {told.fit}: give steps from 1, and --photos, a folder of what is painted meanwhile")
    return fitting(bundle, told.photos, told.fit, told.threads)


def _tile(work: Artwork, painted: Image | None) -> Image:
    picture = work.picture()
    if painted is None:
        return _contained(picture, TILE)
    tile = _covered(painted, TILE)
    inset = shrink(picture, 84)
    height, width = inset.shape[:2]
    tile[-height - 2 :, -width - 2 :] = 250
    tile[-height:, -width:] = inset
    return tile


def _contained(picture: Image, size: tuple[int, int]) -> Image:
    """The whole picture on a light ground of `size` (width, height)."""
    scale = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    sides = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    ground = np.full((size[1], size[0], 3), 250, np.uint8)
    top, left = (size[1] - small.shape[0]) // 2, (size[0] - small.shape[1]) // 2
    ground[top : top + small.shape[0], left : left + small.shape[1]] = small
    return ground


def _covered(picture: Image, size: tuple[int, int]) -> Image:
    """A part of the picture, filling `size` (width, height): of an upright one more of the top, where heads are."""
    scale = max(size[0] / picture.shape[1], size[1] / picture.shape[0])
    sides = (max(size[0], round(picture.shape[1] * scale)), max(size[1], round(picture.shape[0] * scale)))
    large = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    top, left = (large.shape[0] - size[1]) // 8, (large.shape[1] - size[0]) // 2
    return np.array(large[top : top + size[1], left : left + size[0]], np.uint8)


def _photo(text: str) -> Image:
    if text != "synthetic":
        return shrink(load_picture(Path(text)), 960)
    frame = SyntheticSource().read()
    assert frame is not None
    return frame.image


if __name__ == "__main__":
    sys.exit(main())
