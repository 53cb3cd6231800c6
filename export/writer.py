"""Write bundles: a network, or a bundle and a style, become a folder that engines load. Beside first, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save

from engines.artworks import find_artwork, load_artworks
from engines.bundle import (
    CARD,
    GUIDE_GRAPH,
    STYLE_GRAPH,
    STYLE_PREFIX,
    STYLES,
    WEIGHTS,
    Bundle,
    GraphInfo,
    identity_of,
    seal,
    sha256_of,
)
from engines.nets import catalogue
from engines.nets.frame_graph import StyleGraph
from engines.styles import STYLE_FILE_SUFFIX, Style, save_style
from export import COPY, GENERATED
from export.bake import bake
from export.beside import beside
from export.checks import checked
from export.eager import Part, eager_styles, example_style, looks_at_pictures, parts, style_of
from export.graph import OPSET, export_graph, export_style_graph, store_half, stored_whole
from export.learned import learned_styles, learned_tensors
from export.metadata import metadata, read_graph, stamp
from export.parity import SIZES, Arrays, Row, compare_frames, compare_guides, compare_styles, demand, ort_graph
from export.ready import Wanted, fixed_info, ready
from export.simplify import simplified
from export.source import Source
from export.tolerance import TOLERANCES

Tell = Callable[[str], None]
LICENCE = "Apache-2.0"
# Artworks that come along: what dynamic bundles are calibrated with, and of these those that they are compared in.
CALIBRATION_STYLES = (
    "cafe-terrace",
    "red-fuji",
    "large-blue-horses",
    "sainte-victoire",
    "thousand-li",
    "view-of-toledo",
)
COMPARED_STYLES = 2


def write_dynamic(
    source: Source,
    out: Path,
    *,
    name: str,
    wanted: Wanted,
    card: str | None = None,
    keep: Bundle | None = None,
    pictures: Sequence[Path] = (),
    sizes: tuple[tuple[int, int], ...] = SIZES,
    tell: Tell = print,
) -> tuple[Bundle, list[Row]]:
    """Export a dynamic bundle into the folder `out`, which is replaced only when all is well.

    card: text of CARD.md. keep: a bundle whose styles are taken along if the new one has its id. A bundle's style graph
    and weights are taken as they are, so that what is made of a bundle has its id, and its styles, in every precision.
    pictures: of styles that were learned by name; see `export.learned`.
    Raises EngineError (parity, checks), InputError (`out` is something else than a bundle), OSError.
    """
    net, own, looks = source.net, source.bundle, looks_at_pictures(source.net)
    made = parts(net)
    learned = {} if looks else learned_tensors(source)
    with beside(out) as folder:
        if own is None:
            if looks:
                tell("exporting the style graph")
                _write_style_graph(net, folder)
            (folder / WEIGHTS).write_bytes(save({key: _half(weight) for key, weight in net.state_dict().items()}))
        else:
            shutil.copy(own.weights, folder / WEIGHTS)
            if looks:
                shutil.copy(own.style_graph, folder / STYLE_GRAPH)
        identity = identity_of({path.name: sha256_of(path) for path in folder.iterdir()})
        count = len(CALIBRATION_STYLES) if wanted.precision == "int8" else COMPARED_STYLES
        styles = dict(list(learned.items())[:count])
        if looks:
            works = load_artworks()
            styles = {name: style_of(net, find_artwork(name, works).picture()) for name in CALIBRATION_STYLES[:count]}
        told = _told_in_files(name, "dynamic", wanted, {"id": identity})
        _write_graphs(ready(_whole_graphs(own, made, tell), wanted, list(styles.values()), tell), told, folder)
        tell("comparing with eager PyTorch")
        rows = compare_styles(eager_styles(net), ort_graph(folder / STYLE_GRAPH)) if looks else []
        for style in list(styles)[:COMPARED_STYLES]:
            rows += _compare(made, folder, styles[style], wanted, sizes, f", {style}")
        demand(rows)
        (folder / CARD).write_text(_card(name, source.training, rows) if card is None else card, encoding="utf-8")
        if card is not None and wanted != Wanted():
            with (folder / CARD).open("a", encoding="utf-8") as file:
                file.write(_of_this_copy(wanted, rows))
        manifest = {
            "name": name,
            "form": "dynamic",
            **_told_network(net, source.training, wanted),
            **_told_graphs(made, wanted),
            **({} if looks else {"table": list(source.styles)}),
            "parity": [row.told() for row in rows],
        }
        bundle = seal(folder, manifest)
        if own is None and not looks:
            _write_styles(learned_styles(source, bundle.id, pictures), folder)
            seal(folder, manifest)
        elif keep is not None and keep.styles:
            if keep.id == bundle.id:
                shutil.copytree(keep.folder / STYLES, folder / STYLES)
                seal(folder, manifest)
            else:
                tell(f"{len(keep.styles)} styles of {keep.name} ({keep.id}) do not fit and are left out: encode anew")
    return Bundle.load(out), rows


def write_baked(
    source: Source,
    style: Style,
    out: Path,
    *,
    name: str,
    wanted: Wanted,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    tell: Tell = print,
) -> tuple[Bundle, list[Row]]:
    """Bake `style` into the graphs of a dynamic bundle and write it to the folder `out`; see `write_dynamic`.

    source: with the bundle, that made the style.
    """
    bundle = source.bundle
    assert bundle is not None
    bundle.check_style(style)
    with beside(out) as folder:
        tell(f"baking {style.name}")
        made = parts(source.net)
        baked = bake(_whole_graphs(bundle, made, tell), style)
        told = _told_in_files(name, "baked", wanted, {"baked_from": bundle.id, "style": style.name})
        _write_graphs(ready(baked, wanted, [style.tensors], tell), told, folder)
        tell("comparing with eager PyTorch")
        rows = _compare(made, folder, style.tensors, wanted, sizes)
        demand(rows)
        (folder / CARD).write_text(_card(name, source.training, rows, style), encoding="utf-8")
        manifest = {
            "name": name,
            "form": "baked",
            "baked_from": {"bundle": bundle.id, "style": style.name},
            **_told_network(source.net, source.training, wanted),
            **_told_graphs({key: _without_style(part) for key, part in made.items() if key != "regions"}, wanted),
            "parity": [row.told() for row in rows],
        }
        # The baked style's file carries its name, thumbnail and licence; the graph has its tensors, but for those that
        # are used outside of it.
        sealed = seal(folder, manifest)
        label = _file_name(style.name)
        in_graphs = {info.name for info in bundle.style_tensors}
        outside = {name: tensor for name, tensor in style.tensors.items() if name not in in_graphs}
        own = replace(style, name=label, tensors=outside, bundle_id=sealed.id)
        _write_styles([own], folder)
        seal(folder, manifest)
    return Bundle.load(out), rows


def _whole_graphs(own: Bundle | None, made: Mapping[str, Part], tell: Tell) -> dict[str, onnx.ModelProto]:
    """The graphs that engines run, dynamic, fp32, free sizes: the bundle's own where it has them, or from torch."""
    if own is not None and own.precision == "fp32" and own.sizes is None:
        return {part.file: stored_whole(read_graph(own.folder / part.file)) for part in made.values()}
    graphs = {}
    for part in made.values():
        tell(f"exporting {part.file}")
        graphs[part.file] = export_graph(part.module, part.info)
    return graphs


def _write_styles(styles: Sequence[Style], folder: Path) -> None:
    (folder / STYLES).mkdir()
    for style in styles:
        save_style(style, folder / STYLES / f"{style.name}{STYLE_FILE_SUFFIX}")


def _write_style_graph(net: Any, folder: Path) -> None:
    model = simplified(export_style_graph(StyleGraph(net), example_style(net)))
    model = checked(store_half(model), STYLE_GRAPH, native=False)
    # Nothing that differs from bundle to bundle of one network: the id is made of this file, so it cannot tell the id.
    stamp(model, metadata(form="style", precision="fp32", opset=OPSET, sizes=None, licence=LICENCE, more={}))
    onnx.save_model(model, folder / STYLE_GRAPH)


def _write_graphs(models: Mapping[str, onnx.ModelProto], told: Mapping[str, str], folder: Path) -> None:
    for name, model in models.items():
        model.producer_name, model.producer_version, model.doc_string = "brushcast-export", "", ""
        stamp(model, told)
        onnx.save_model(model, folder / name)


def _told_in_files(name: str, form: str, wanted: Wanted, more: Mapping[str, str]) -> dict[str, str]:
    told = {"name": name, **more}
    return metadata(form=form, precision=wanted.precision, opset=OPSET, sizes=wanted.sizes, licence=LICENCE, more=told)


def _compare(
    made: Mapping[str, Part],
    folder: Path,
    style: Mapping[str, Any],
    wanted: Wanted,
    free: tuple[tuple[int, int], ...],
    label: str = "",
) -> list[Row]:
    inputs: Arrays = {f"{STYLE_PREFIX}{name}": np.asarray(tensor) for name, tensor in style.items()}
    sizes, allowed = wanted.compared(free), TOLERANCES[wanted.precision]
    rows, guide, ours = [], None, None
    if "guide" in made:
        guide, ours = made["guide"].eager(), ort_graph(folder / GUIDE_GRAPH)
        rows += compare_guides(guide, ours, inputs, sizes, allowed=allowed)
    for what in ("frame", "regions"):
        if what in made and (folder / made[what].file).exists():  # a baked bundle has one style
            eager, graph = made[what].eager(), ort_graph(folder / made[what].file)
            rows += compare_frames(guide, eager, ours, graph, inputs, sizes, what=what, allowed=allowed)
    return [replace(row, what=f"{row.what}{label}") for row in rows]


def _half(weight: torch.Tensor) -> torch.Tensor:
    return (weight.half() if weight.is_floating_point() else weight).contiguous().clone()


def _without_style(part: Part) -> Part:
    info = part.info
    kept = tuple(entry for entry in info.inputs if entry not in info.styles)
    return replace(part, info=GraphInfo(kept, info.outputs))


def _told_graphs(made: Mapping[str, Part], wanted: Wanted) -> dict[str, Any]:
    sides = wanted.sides(guided="guide" in made)
    return {key: fixed_info(part.info, sides).told() for key, part in made.items()}


def _file_name(style: str) -> str:
    return "".join(c if c.isalnum() or c in "-_ ." else "-" for c in style).strip(". ") or "style"


def _told_network(net: Any, training: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    return {
        "network": {"name": catalogue.kind_of(net.config), "config": net.config.as_dict()},
        "sizes": None if wanted.sizes is None else wanted.sizes.told(),
        "precision": wanted.precision,
        "colour": "RGB",
        "opset": OPSET,
        "exported_with": {"torch": torch.__version__, "onnx": onnx.__version__},
        "training": training,
        "licence": LICENCE,
    }


def _of_this_copy(wanted: Wanted, rows: Sequence[Row]) -> str:
    """What a written card, whose figures are of fp32 and any size, does not tell."""
    frames = [row for row in rows if row.ssim is not None]
    worst, mean = max(row.worst for row in frames), max(row.mean for row in frames)
    return (
        f"{COPY}\n\nThis copy computes in {wanted.precision}, for {wanted.sizes or 'any size'}: at most {worst:g} "
        f"steps of 255 from eager PyTorch, {mean:.2g} in the mean. All other figures are of the fp32 original.\n"
    )


def _card(name: str, training: dict[str, Any], rows: Sequence[Row], style: Style | None = None) -> str:
    lines = [
        f"# {name}",
        "",
        GENERATED,
        "",
        "A network for live painting, exported by `brushcast-export`.",
        "",
    ]
    if style is not None:
        by = f" by {style.painter}" if style.painter else ""
        lines += [f"Baked style: {style.title or style.name}{by}. {style.source} {style.licence}".rstrip(), ""]
    lines += [f"- training {key}: {value}" for key, value in training.items()]
    lines += [f"- parity, {row.what}: {row.worst:.3g} of {row.allowed:g} allowed" for row in rows]
    return "\n".join(lines) + "\n"
