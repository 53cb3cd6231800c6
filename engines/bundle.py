"""The model bundle: the one thing that export writes and engines read. A folder, described by its bundle.json."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from engines.api import Look
from engines.errors import BundleError, InputError, StyleError
from engines.guide import guide_size
from engines.paths import is_file, is_there
from engines.sizes import Size, SizeRange
from engines.styles import STYLE_FILE_SUFFIX, Style, load_style, write_beside
from engines.working import painted_scale, working_size

RELEASED = Path(__file__).parent / "bundles"
CHECKOUT_ONLY = ("studio",)  # too large for a wheel
MANIFEST = "bundle.json"
GUIDE_GRAPH = "guide.onnx"
FRAME_GRAPH = "frame.onnx"
REGIONS_GRAPH = "regions.onnx"
STYLE_GRAPH = "style.onnx"
WEIGHTS = "weights.safetensors"
CARD = "CARD.md"
STYLES = "styles"
FORMAT = 5

# Of a bundle of one style, in error lines.
NO_BACKGROUND = "has one style: it has no other style for a background"

STYLE_PREFIX = "style."
BACKGROUND_PREFIX = "background."

Form = Literal["dynamic", "baked"]
Takes = Literal["any", "many", "one"]
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a graph: its name, NumPy dtype name, and shape (a str is a free dimension)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        return cls(str(told["name"]), str(told["dtype"]), tuple(told["shape"]))

    def told(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """One of the graphs that engines run: its inputs and outputs, in order."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        inputs, outputs = (tuple(TensorInfo.of(entry) for entry in told[side]) for side in ("inputs", "outputs"))
        return cls(inputs, outputs)

    def told(self) -> dict[str, Any]:
        return {
            "inputs": [info.told() for info in self.inputs],
            "outputs": [info.told() for info in self.outputs],
        }

    @property
    def styles(self) -> tuple[TensorInfo, ...]:
        """The inputs that are tensors of a style, "style." still before their names; none if baked."""
        return tuple(info for info in self.inputs if info.name.startswith(STYLE_PREFIX))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model bundle whose files have been checked against their SHA-256.

    id: 16 hex digits; style tensors are good for exactly the bundles that have the id of the one that made them.
    form: "dynamic" (style tensors are inputs of the graphs) or "baked" (one style folded in, no style graph).
    guide, frame: what the two graphs take and give; see `engines.nets.frame_graph`. guide: None for networks that see
        nothing but the frame itself (`engines.nets.plain_graph`). regions: the same of the graph for frames with two
        styles; None where there is one style only.
    network, config: what `engines.nets.catalogue` builds the network from.
    precision: in which the guide's and the frames' graphs compute; what goes in and out has the same types in all.
    sizes: of the frames it is for; None: any from 64 px.
    takes: what it paints in: "any" picture, "many" styles that come with it (others are fitted to it), or "one".
    style_tensors: the style inputs of all graphs, names without the "style." prefix; empty where it takes one.
    styles: names of the styles that come with the bundle.
    manifest: bundle.json as it was read (parity, training, licence, and all of the above).
    """

    folder: Path
    id: str
    name: str
    form: Form
    network: str
    config: dict[str, Any]
    guide: GraphInfo | None
    frame: GraphInfo
    regions: GraphInfo | None
    precision: Precision
    sizes: SizeRange | None
    takes: Takes
    style_tensors: tuple[TensorInfo, ...]
    styles: tuple[str, ...]
    manifest: dict[str, Any] = field(repr=False)

    @property
    def halos(self) -> bool:
        """Whether its paintings have halos that engines are to remove; see `engines.halos`."""
        return bool(self.config.get("halos", False))

    @classmethod
    def load(cls, where: str | Path) -> Self:
        """Read a bundle folder, or a released bundle by its name, and check every file's SHA-256.

        Raises BundleError: not found (near names told), not readable, another version, a damaged file.
        """
        folder = _find(where)
        try:
            told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except OSError as error:
            raise BundleError(f"{folder / MANIFEST} cannot be read ({error.strerror}); give another bundle") from error
        except ValueError as error:
            raise BundleError(f"{folder / MANIFEST} cannot be read as JSON; export the bundle anew") from error
        version = told.get("format") if isinstance(told, dict) else None
        if version != FORMAT:
            newer = isinstance(version, int) and version > FORMAT
            advice = "update Brushcast" if newer else "export the bundle anew"
            raise BundleError(f"{folder} is a bundle of format {version}; this program reads {FORMAT}: {advice}")
        try:
            hashes = {str(name): str(entry["sha256"]) for name, entry in told["files"].items()}
            _check_files(folder, hashes)
            form: Form = "baked" if told["form"] == "baked" else "dynamic"
            guide, frame, regions = (_graph_info(told, name) for name in ("guide", "frame", "regions"))
            if form == "baked":
                regions = None
            takes: Takes = "one"
            if frame is not None and frame.styles:
                takes = "any" if told.get("table") is None else "many"  # a table of the styles that it has learned
            needed = [FRAME_GRAPH, *(() if form == "baked" else (WEIGHTS,))]
            needed += [STYLE_GRAPH] if takes == "any" else []
            needed += [GUIDE_GRAPH] if guide is not None else []
            needed += [REGIONS_GRAPH] if regions is not None else []
            missing = [name for name in needed if name not in hashes]
            if missing or frame is None:
                raise BundleError(f"{folder} lacks {', '.join(missing) or 'a frame graph'}; export the bundle anew")
            # Both take the modulation, which is one tensor all the same.
            in_graphs = (*(() if guide is None else guide.styles), *frame.styles)
            styles = {info.name.removeprefix(STYLE_PREFIX): info for info in in_graphs}
            bundle = cls(
                folder=folder,
                id=str(told["id"]),
                name=str(told["name"]),
                form=form,
                network=str(told["network"]["name"]),
                config=dict(told["network"]["config"]),
                guide=guide,
                frame=frame,
                regions=regions,
                precision=_precision(told),
                sizes=_sizes(told),
                takes=takes,
                style_tensors=tuple(TensorInfo(name, info.dtype, info.shape) for name, info in styles.items()),
                styles=tuple(sorted(_style_name(name) for name in hashes if _is_style(name))),
                manifest=told,
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"{folder / MANIFEST} lacks or garbles {error}; export the bundle anew") from error
        if bundle.id != identity_of(hashes):
            raise BundleError(f"{folder} has the id {bundle.id}, which is not its files'; export the bundle anew")
        return bundle

    @property
    def guide_graph(self) -> Path:
        """The guide's graph. Raises BundleError for networks that see nothing but the frame itself."""
        if self.guide is None:
            raise BundleError(f"{self.name} has no guide: it is of a network that sees nothing but the frame")
        return self.folder / GUIDE_GRAPH

    @property
    def frame_graph(self) -> Path:
        return self.folder / FRAME_GRAPH

    @property
    def graphs(self) -> dict[str, GraphInfo]:
        """What the graphs that paint frames take and give, by their files' names: the guide's first, regions last."""
        found = {GUIDE_GRAPH: self.guide, FRAME_GRAPH: self.frame, REGIONS_GRAPH: self.regions}
        return {name: info for name, info in found.items() if info is not None}

    @property
    def regions_graph(self) -> Path:
        """The graph for frames with two styles. Raises BundleError where there is one style."""
        if self.regions is None:
            raise BundleError(f"{self.name} {NO_BACKGROUND}; use one that takes any style")
        return self.folder / REGIONS_GRAPH

    @property
    def style_graph(self) -> Path:
        """The style graph's file. Raises BundleError where no picture tells a style: baked, or learned styles only."""
        if self.form == "baked":
            raise BundleError(f"{self.folder} is baked: it paints {', '.join(self.styles)} only; use a dynamic bundle")
        if self.takes == "one":
            raise BundleError(
                f"{self.name} has learned {', '.join(self.styles)} only; use a model that takes any picture"
            )
        if self.takes == "many":
            raise BundleError(
                f"{self.name} knows named styles only; fit the picture to it (brushcast style fit --model "
                f"{self.name}), or use a model that takes any picture"
            )
        return self.folder / STYLE_GRAPH

    @property
    def weights(self) -> Path:
        """The torch weights' file. Raises BundleError for a baked bundle, which has none."""
        if self.form == "baked":
            raise BundleError(f"{self.folder} is baked: it has no torch weights; use a dynamic bundle")
        return self.folder / WEIGHTS

    def style(self, name: str) -> Style:
        """A style that comes with the bundle, by its name. Raises StyleError (near names told)."""
        if name not in self.styles:
            raise StyleError(f"no style {name!r} in {self.name}; {near(name, self.styles)}")
        style = load_style(self.folder / STYLES / f"{name}{STYLE_FILE_SUFFIX}")
        self.check_style(style)
        return style

    def size_or_usual(self, size: Size) -> Size:
        """`size`, or what is usual for this model where it is for others alone."""
        return size if self.sizes is None else self.sizes.or_usual(size)

    def check_size(self, height: int, width: int, stroke: float = 1.0, render_scale: float = 1.0) -> None:
        """Raise InputError unless the bundle is for frames of this size.

        The graphs of a bundle for one fixed size are so for one working size and one guide's, too: those of the usual
        stroke and render_scale.
        """
        if self.sizes is None:
            return
        if not self.sizes.holds(height, width):
            raise InputError(f"a frame is {width}x{height}, and {self.name} is for {self.sizes}; export another bundle")
        if self.sizes.fixed:
            usual = working_size(height, width)
            size = working_size(height, width, painted_scale(render_scale, stroke, guided=self.guide is not None))
            if size != usual or (self.guide is not None and guide_size(*size, stroke) != guide_size(*usual)):
                raise InputError(
                    f"{self.name} is for {self.sizes} at stroke 1 and render-scale 1 alone, "
                    f"not {stroke:g} and {render_scale:g}; export a bundle for a range of sizes"
                )

    def check_look(self, look: Look) -> None:
        """Raise InputError for a look that no frame of the bundle's can have; see `check_size`."""
        if self.sizes is not None and self.sizes.fixed:
            width, height = self.sizes.usual
            self.check_size(height, width, look.stroke, look.render_scale)

    def check_style(self, style: Style) -> None:
        """Raise StyleError unless the style's tensors were made by this bundle and have the right shapes."""
        if style.bundle_id != self.id:
            raise StyleError(
                f"style {style.name!r} was made by bundle {style.bundle_id}, not by {self.name} ({self.id}); "
                "encode the picture with this bundle"
            )
        if self.takes == "one":
            if style.name not in self.styles:
                how, own = "is baked for" if self.form == "baked" else "has learned", ", ".join(self.styles)
                raise StyleError(f"{self.name} {how} {own}; it cannot paint {style.name!r}")
            return
        for info in self.style_tensors:
            tensor = style.tensors.get(info.name)
            if tensor is None or tensor.shape != info.shape or str(tensor.dtype) != info.dtype:
                got = "missing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise StyleError(
                    f"style {style.name!r}: style.{info.name} is {got}; it must be {info.dtype} {info.shape}"
                )


def near(word: str, known: tuple[str, ...] | list[str]) -> str:
    """The end of an error line: the names nearest to `word`, or all that are known."""
    lower = {name.lower(): name for name in known}
    close = [lower[match] for match in get_close_matches(word.lower(), list(lower), n=3, cutoff=0.5)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "none are known"


def released() -> tuple[str, ...]:
    """Names of the bundles that come with the program."""
    return tuple(sorted(path.parent.name for path in RELEASED.glob(f"*/{MANIFEST}")))


def seal(folder: Path, manifest: dict[str, Any]) -> Bundle:
    """Write bundle.json for the files that lie in `folder` now: their sizes, hashes, and the id; then load it.

    manifest: all other fields of bundle.json. Styles can be added to a bundle and the folder sealed again with
    `Bundle.manifest`; its id does not change by that. Raises BundleError.
    """
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }
    hashes = {name: str(entry["sha256"]) for name, entry in files.items()}
    told = {**manifest, "format": FORMAT, "id": identity_of(hashes), "files": files}
    write_beside(folder / MANIFEST, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return Bundle.load(folder)


def identity_of(hashes: dict[str, str]) -> str:
    """A bundle's id from its files' hashes: the style graph and the weights; the other graphs if baked."""
    kept = (STYLE_GRAPH, WEIGHTS) if WEIGHTS in hashes else (GUIDE_GRAPH, FRAME_GRAPH)
    return hashlib.sha256("".join(hashes.get(name, "") for name in kept).encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find(where: str | Path) -> Path:
    for folder in (Path(where), RELEASED / str(where)):
        if is_file(folder / MANIFEST):
            return folder
    if not str(where).strip():
        raise BundleError(f"the model's name is empty; {near('', released())}")
    if is_there(Path(where) / MANIFEST):
        return Path(where)  # who reads it tells why it cannot be read
    if is_there(Path(where)):
        raise BundleError(f"{where} holds no {MANIFEST}; a bundle is a folder that brushcast-export wrote")
    if str(where) in CHECKOUT_ONLY:
        raise BundleError(
            f"the model {where} is too large for an installed package; clone the project and give its folder "
            f"engines/bundles/{where}"
        )
    raise BundleError(f"no model {str(where)!r}; {near(str(where), released())}")


def _check_files(folder: Path, hashes: dict[str, str]) -> None:
    for name, wanted in hashes.items():
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or "\\" in name or ":" in name:
            raise BundleError(f"{folder / MANIFEST} names {name!r}; a bundle's files lie in its own folder")
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise BundleError(f"{folder / name} is missing or unreadable; export the bundle anew") from error
        if found != wanted:
            raise BundleError(f"{folder / name} does not match its SHA-256 in {MANIFEST}; it is damaged")


def _graph_info(told: dict[str, Any], name: str) -> GraphInfo | None:
    """What a graph takes and gives; None where the bundle has no such graph."""
    found = told.get(name)
    return None if found is None else GraphInfo.of(found)


def _precision(told: dict[str, Any]) -> Precision:
    """Bundles of before there was a choice tell nothing, or how weights are stored: both are fp32."""
    found = told.get("precision")
    if found is None or isinstance(found, dict):
        return "fp32"
    if found not in PRECISIONS:
        raise BundleError(f"the precision {found!r} is not known; known: {', '.join(PRECISIONS)}")
    return found  # type: ignore[no-any-return]


def _sizes(told: dict[str, Any]) -> SizeRange | None:
    """None where the bundle tells no more than what every frame must keep to."""
    found = told.get("sizes")
    return SizeRange.of(found) if found is not None and "least" in found else None


def _is_style(name: str) -> bool:
    return name.startswith(f"{STYLES}/") and name.endswith(STYLE_FILE_SUFFIX) and name.count("/") == 1


def _style_name(name: str) -> str:
    return name.removeprefix(f"{STYLES}/").removesuffix(STYLE_FILE_SUFFIX)
