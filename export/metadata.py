"""What every ONNX file tells of its bundle by itself (metadata_props), and reading files back with that checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx.checker import ValidationError

from engines.bundle import FORMAT
from engines.errors import BundleError
from export.sizes import SizeRange

PREFIX = "brushcast."
OURS = f"{PREFIX}format"


def metadata(
    *, form: str, precision: str, opset: int, sizes: SizeRange | None, licence: str, more: Mapping[str, str]
) -> dict[str, str]:
    """What the files of a bundle tell. more: such as its name and id."""
    told = {
        "format": str(FORMAT),
        "form": form,
        "precision": precision,
        "opset": str(opset),
        "sizes": "any from 64x64" if sizes is None else str(sizes),
        "licence": licence,
        **more,
    }
    return {f"{PREFIX}{key}": value for key, value in told.items()}


def stamp(model: onnx.ModelProto, told: Mapping[str, str]) -> None:
    """Put `told` in the place of what the model told before."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(told))


def read_graph(path: Path) -> onnx.ModelProto:
    """A bundle's graph. Raises BundleError: not ONNX, external data missing, of another program or a later version."""
    try:
        bare = onnx.load_model(path, load_external_data=False)
    except Exception as error:
        raise BundleError(f"{path} cannot be read as ONNX; export the bundle anew") from error
    told = {entry.key: entry.value for entry in bare.metadata_props}
    if (version := told.get(OURS, str(FORMAT))) != str(FORMAT):
        raise BundleError(f"{path} is of a bundle of format {version}; this program reads {FORMAT}: update Brushcast")
    names = {value.name for value in bare.graph.input}
    if not names & {"frame", "guide", "picture"}:
        raise BundleError(f"{path} is not a graph of Brushcast's: it takes {', '.join(sorted(names)) or 'nothing'}")
    try:
        return onnx.load_model(path)
    except (OSError, ValueError, ValidationError) as error:
        raise BundleError(f"{path} keeps data in another file, which is missing; export the bundle anew") from error
