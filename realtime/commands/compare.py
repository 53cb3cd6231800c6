"""brushcast compare: one photo or clip painted by several models, side by side, with what each costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from engines.api import RANGES, Look, check_image
from engines.bundle import Bundle, released
from engines.description import describe, parameters_words, rate_words
from engines.errors import BundleError, EngineError, InputError, SourceError
from engines.paths import is_file
from engines.pictures import load_photo
from realtime.bench.tables import BUSY_LOAD
from realtime.commands import painting
from realtime.commands.written import check_apart
from realtime.compared import Clip, captions_of, write_sheet, write_video
from realtime.comparing import (
    RUN_FRAMES,
    Asked,
    Contestant,
    Figures,
    LeftOut,
    UnpaintableError,
    asked_style,
    first_paintings,
    labels_of,
    measured,
    panned,
    shown_style,
    style_for,
)
from realtime.files import FileSource, is_url, without_login
from realtime.frames import Image
from realtime.machine import machine, machine_load
from realtime.pictures import is_picture_name
from realtime.recording import SUFFIXES, check_folder

ROUNDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="PHOTO|CLIP", help="a picture, or a video file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT.png|OUT.mp4",
        help="the sheet of a photo, or the split-screen video of a clip",
    )
    parser.add_argument(
        "--style", metavar="NAME|PICTURE", help="a named style or any picture; default: the first named style"
    )
    parser.add_argument(
        "--models", type=_names, metavar="NAME[,NAME...]", help="released models or bundles' folders; default: all"
    )
    parser.add_argument(
        "--rounds",
        type=painting.count,
        default=ROUNDS,
        metavar="N",
        help=f"runs of {RUN_FRAMES} frames that each model is timed over, in turn (default %(default)s)",
    )
    parser.add_argument("--seconds", type=painting.seconds, metavar="S", help="of a clip: only the beginning")
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    painting.add_numbers(parser)
    painting.add_engine(parser, model=False)


def run(args: argparse.Namespace) -> int:
    is_clip = _checked(args)
    names = args.models or released()
    if not names:
        raise BundleError("no model came with this program; give the folder of a bundle with --models")
    bundles = [Bundle.load(name) for name in names]
    labels = labels_of(names, bundles)
    asked = asked_style(args.style, bundles)
    load = machine_load()
    with ExitStack() as stack:
        # Inputs that cannot be read are told before any network is opened.
        source = stack.enter_context(_opened(args.input)) if is_clip else None
        images = _first_frames(args.input) if is_clip else panned(_photo(args.input))
        contestants, left_out = _contestants(args, labels, bundles, asked, stack)
        total = len(contestants) * (1 + (args.rounds + 1) * len(images))
        with painting.progress(total, "timing") as bar:
            painted, failed = first_paintings(contestants, images[0], bar.update)
            _tell(failed)
            left_out += failed
            contestants = [one for one, _ in painted]
            _check_any(contestants, left_out)
            figures = measured(contestants, images, args.rounds, bar.update)
        what = "the photo" if source is None else "the clip"
        captions = captions_of(what, Path(args.input).name, asked.word, figures)
        shown = shown_style(asked, contestants)
        if source is None:
            size = write_sheet(args.output, captions, images[0], shown, [picture for _, picture in painted])
        else:
            clip = Clip(args.input, source, args.seconds)
            with painting.progress(clip.frames, args.output.name) as bar:
                size = write_video(args.output, captions, clip, shown, contestants, bar.update, painting.tell)
    told = _told(args, images[0], figures, left_out, size)
    if load is not None and load > BUSY_LOAD * told["cores"]:
        busy = f"the machine was busy before (load {load:g})"
        painting.tell(f"{busy}: times are longer and less even than on an idle one")
    if args.json:
        painting.print_json({**told, "style": asked.text, "load_before": load})
    else:
        _print(told, figures)
    return 0


def _names(text: str) -> list[str]:
    """Names with commas between, for argparse."""
    names = [word.strip() for word in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; it must be NAME,NAME")
    return names


def _checked(args: argparse.Namespace) -> bool:
    """Whether a video is made. Raises InputError, SinkError for what could not be written or makes no sense."""
    check_folder(args.output)
    here = None if is_url(args.input) else Path(args.input)
    check_apart(args.output, args.input, args.style)
    if args.output.suffix.lower() in SUFFIXES:
        return True
    if not is_picture_name(args.output):
        raise InputError(f"{args.output} must end in .png (or .jpg, .webp) for a photo, or in {', '.join(SUFFIXES)}")
    if args.seconds is not None:
        raise InputError("--seconds means nothing for a photo; leave it out, or give -o OUT.mp4 for a clip")
    if here is None or (is_file(here) and not cv2.haveImageReader(str(here))):
        raise InputError(
            f"{without_login(args.input)} is no picture that can be read (a clip becomes a video: -o OUT.mp4)"
        )
    return False


def _photo(where: str) -> Image:
    return load_photo(Path(where))[0]


@contextmanager
def _opened(where: str) -> Iterator[FileSource]:
    try:
        source = FileSource(where)
    except SourceError as error:
        if not is_url(where) and is_file(Path(where)) and cv2.haveImageReader(where):
            raise InputError(f"{where} is a picture; a photo becomes a sheet: give -o OUT.png") from error
        raise
    try:
        if source.live:
            raise InputError(f"{without_login(where)} is a live stream without an end; give a file")
        yield source
    finally:
        source.close()


def _first_frames(where: str) -> list[Image]:
    """What models are timed on for a clip: its beginning; of a shorter one the last frame again."""
    with _opened(where) as source:
        images = [frame.image for frame in islice(iter(source.read, None), RUN_FRAMES)]
    check_image(images[0])  # there is one: the source sees to that
    return images + [images[-1]] * (RUN_FRAMES - len(images))


def _contestants(
    args: argparse.Namespace, labels: Sequence[str], bundles: Sequence[Bundle], asked: Asked, stack: ExitStack
) -> tuple[list[Contestant], list[LeftOut]]:
    """All that can paint, opened, which the stack closes; and who cannot. Raises InputError: nobody can."""
    numbers = {name: getattr(args, name) for name in RANGES if hasattr(args, name)}
    contestants: list[Contestant] = []
    left_out: list[LeftOut] = []
    for label, bundle in zip(labels, bundles, strict=True):
        try:
            style, own = style_for(bundle, asked, threads=args.threads, tell=painting.tell)
        except UnpaintableError as error:
            left_out.append(LeftOut(label, str(error)))
            continue
        look = Look(style, **numbers)
        try:
            engine = stack.enter_context(painting.open_asked(args, bundle))
        except (EngineError, BundleError) as error:
            left_out.append(LeftOut(label, str(error)))
            continue
        contestants.append(Contestant(label, describe(bundle), engine, look, own))
    _check_any(contestants, left_out)
    _tell(left_out)
    return contestants, left_out


def _check_any(contestants: Sequence[Contestant], left_out: Sequence[LeftOut]) -> None:
    if contestants:
        return
    reasons: dict[str, list[str]] = {}
    for one in left_out:
        reasons.setdefault(one.why, []).append(one.label)
    told = "; ".join(f"{', '.join(who)}: {why}" for why, who in reasons.items())
    raise InputError(f"no model paints this: {told}")


def _tell(left_out: Sequence[LeftOut]) -> None:
    for one in left_out:
        painting.tell(f"left out {one.label}: {one.why}")


def _told(
    args: argparse.Namespace,
    image: Image,
    figures: Sequence[Figures],
    left_out: Sequence[LeftOut],
    size: tuple[int, int],
) -> dict[str, Any]:
    here = machine()
    return {
        "input": args.input,
        "output": str(args.output),
        "output_width_px": size[0],
        "output_height_px": size[1],
        "width_px": image.shape[1],
        "height_px": image.shape[0],
        "painted": [one.as_json() for one in figures],
        "left_out": [{"label": one.label, "why": one.why} for one in left_out],
        "rounds": args.rounds,
        "frames_a_run": RUN_FRAMES,
        "cpu": here.cpu,
        "cores": here.cores,
        "gpu": here.gpu,
    }


def _print(told: dict[str, Any], figures: Sequence[Figures]) -> None:
    rows = [("model", "style", "frames/s", "ms a frame", "parameters", "MB")]
    for one in figures:
        who = one.contestant
        style = f"{who.look.style.name} (its own)" if who.own else who.look.style.name
        weighs = (parameters_words(who.told.parameters), f"{who.told.megabytes:.1f}")
        rows.append((who.label, style, rate_words(one.rate), f"{one.ms:.1f}", *weighs))
    print("\n".join(painting.table(rows, right=rows[0][2:])))
    engines = ", ".join(dict.fromkeys(f"{row['engine']} on {row['provider']}" for row in told["painted"]))
    print(
        f"frames of {told['width_px']}x{told['height_px']}, {engines}, {told['cpu']} ({told['cores']} cores): "
        f"medians of {told['rounds']} runs of {RUN_FRAMES} frames, in turn"
    )
    print(f"wrote {told['output']}: {told['output_width_px']}x{told['output_height_px']}")
