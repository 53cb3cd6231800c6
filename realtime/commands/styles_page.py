"""A map of styles as one HTML file that needs nothing else: no network, no server, no library."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files

import cv2
import numpy as np

from engines.styles import Style
from realtime.commands.styles_map import StyleMap, placed

_DATA, _TITLE = "/*DATA*/null", "<!--TITLE-->"
_CELL = np.array([76.0, 88.0])  # of a thumbnail of 64 px and its name


def page(found: StyleMap, model: str) -> str:
    """The page as text: the map to move and zoom, the distance of any two styles, and a list of all."""
    places, _ = placed(found.layout.places, _CELL)
    places = places - (places.min(0) + places.max(0)) / 2
    told = {
        "stress": round(found.layout.stress, 3),
        # In pixels, around the middle: where cells have _CELL, none is on another.
        "cell": [float(side) for side in _CELL],
        "extent": [round(float(side), 1) for side in places.max(0) + _CELL / 2],
        "styles": [
            {
                "name": style.name,
                "about": ", ".join(word for word in (style.title, style.painter, style.year) if word) or style.name,
                "own": at >= found.named,
                "colour": found.colour(at),
                "group": None if found.groups is None else int(found.groups.labels[at]) + 1,
                "x": round(float(places[at, 0]), 1),
                "y": round(float(places[at, 1]), 1),
                "picture": _data_url(style),
            }
            for at, style in enumerate(found.styles)
        ],
        "distances": [[round(float(value), 2) for value in row] for row in found.distances],
    }
    template = (files("realtime") / "assets" / "styles_map.html").read_text(encoding="utf-8")
    # Names may hold anything: "</script>" in one must not end the script.
    data = json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace(_TITLE, html.escape(f"Map of the styles of {model}")).replace(_DATA, data, 1)


def _data_url(style: Style) -> str:
    bgr = cv2.cvtColor(style.thumbnail, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert good  # RGB uint8 always is
    return f"data:image/jpeg;base64,{base64.b64encode(bytes(data)).decode()}"
