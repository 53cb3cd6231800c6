"""brushcast models: the released models and what each can do, a line each; of one of them the whole card."""

from __future__ import annotations

import argparse

from engines.bundle import Bundle, released
from engines.description import Description, card_of, describe, parameters_words
from engines.errors import BundleError
from realtime.commands import painting

_HEAD = ("model", "method", "paints in", "parameters", "MB", "licence", "can")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="NAME|BUNDLE", nargs="?", help="tell all of this model, its card too; default: a line for each"
    )
    parser.add_argument("--json", action="store_true", help="as a list of objects, or as one object with the card")


def run(args: argparse.Namespace) -> int:
    if args.model is not None:
        _tell_one(Bundle.load(args.model), args.json)
        return 0
    names = released()
    if not names:
        raise BundleError("no model came with this program; install it anew, or give the folder of a bundle")
    told = [describe(Bundle.load(name)) for name in names]
    if args.json:
        painting.print_json([one.as_json() for one in told])
    else:
        print("\n".join(painting.table([_HEAD, *(_row(one) for one in told)], right=("parameters", "MB"))))
    return 0


def _tell_one(bundle: Bundle, as_json: bool) -> None:
    told, card = describe(bundle), card_of(bundle)
    if as_json:
        painting.print_json({**told.as_json(), "card": card})
        return
    by = f" ({told.method.authors})" if told.method.authors else ""
    facts = {
        "model": told.name,
        "method": f"{told.method.name}{by}",
        "paper": told.method.paper or "-",
        "paints in": told.styles_words(),
        "styles": ", ".join(told.styles) or "-",
        "can": told.can.words(),
        "parameters": parameters_words(told.parameters),
        "size": f"{told.megabytes:.1f} MB",
        "licence": told.licence,
        "folder": str(bundle.folder),
    }
    wide = max(map(len, facts)) + 1
    print("\n".join(f"{f'{name}:':{wide}} {value}" for name, value in facts.items()))
    if card:
        print(f"\n{card.rstrip()}")


def _row(told: Description) -> tuple[str, ...]:
    by = f", {told.method.authors}" if told.method.authors else ""
    return (
        told.name,
        f"{told.method.name}{by}",
        told.styles_words(),
        parameters_words(told.parameters),
        f"{told.megabytes:.1f}",
        told.licence,
        told.can.words(),
    )
