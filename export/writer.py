"""Write bundles: a network, or a bundle and a style, become a folder that engines load. Beside first, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from engines.api import MAX_SIDE_PX, MIN_SIDE_PX
from engines.bundle import (
    CARD,
    FRAME_GRAPH,
    GUIDE_GRAPH,
    MANIFEST,
    REGIONS_GRAPH,
    STYLE_GRAPH,
    STYLE_PREFIX,
    STYLES,
    WEIGHTS,
    Bundle,
    GraphInfo,
    seal,
)
from engines.errors import BundleError, InputError
from engines.nets.frame_graph import FrameGraph, GuideGraph, RegionsGraph, StyleGraph
from engines.nets.style_kernel import GUIDE_TENSORS, PAINT_TENSORS, STYLE_TENSORS, StyleKernelNet, build
from engines.styles import STYLE_FILE_SUFFIX, Style, save_style
from engines.training import checkpoints
from export import GENERATED
from export.bake import bake
from export.graph import OPSET, export_graph, export_style_graph, frame_info, guide_info, regions_info, store_half
from export.parity import SIZES, Arrays, Graph, Row, compare_frames, compare_guides, compare_styles, demand, scene

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network and what is known of its training."""

    net: StyleKernelNet
    training: dict[str, Any]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a training checkpoint: its averaged weights ("ema"), rounded to fp16 as they will be released.

    Raises InputError: missing, not a checkpoint, weights that do not fit or are not finite.
    """
    told = checkpoints.load(path)
    net = build(told["config"])
    try:
        net.load_state_dict({key: weight.float() for key, weight in told["ema"].items()})
    except (KeyError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path} does not fit this version's network; train it anew") from error
    for name, weight in net.state_dict().items():
        rounded = weight.half().float() if weight.is_floating_point() else weight
        if not bool(torch.isfinite(rounded).all()):
            raise InputError(f"{path}: the weight {name} is not finite in fp16; train on or take another checkpoint")
        weight.copy_(rounded)
    training = {key: told[key] for key in ("step", "seconds") if isinstance(told.get(key), int | float)}
    return Checkpoint(net.eval(), training)


def write_dynamic(
    checkpoint: Checkpoint,
    out: Path,
    *,
    name: str,
    card: str | None = None,
    keep: Bundle | None = None,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    tell: Tell = print,
) -> tuple[Bundle, list[Row]]:
    """Export a dynamic bundle into the folder `out`, which is replaced only when all is well.

    card: text of CARD.md. keep: a bundle whose styles are taken along if the new one has its id.
    Raises EngineError (parity), BundleError (`out` is something else than a bundle), OSError (cannot be written).
    """
    net = checkpoint.net
    example = example_style(net)
    guide, frame, regions = graph_infos(net, example)
    with _beside(out) as folder:
        tell("exporting the style graph")
        onnx.save_model(store_half(export_style_graph(StyleGraph(net), example)), folder / STYLE_GRAPH)
        tell("exporting the guide's graph")
        onnx.save_model(store_half(export_graph(GuideGraph(net), guide)), folder / GUIDE_GRAPH)
        tell("exporting the frame graph")
        onnx.save_model(store_half(export_graph(FrameGraph(net), frame)), folder / FRAME_GRAPH)
        tell("exporting the graph for regions")
        onnx.save_model(store_half(export_graph(RegionsGraph(net), regions)), folder / REGIONS_GRAPH)
        halves = {key: _half(weight) for key, weight in net.state_dict().items()}
        (folder / WEIGHTS).write_bytes(save(halves))
        tell("comparing with eager PyTorch")
        rows = compare_styles(eager_styles(net), folder / STYLE_GRAPH)
        rows += _compare(net, folder, example, sizes)
        demand(rows)
        (folder / CARD).write_text(card or _card(name, checkpoint.training, rows), encoding="utf-8")
        manifest = {
            "name": name,
            "form": "dynamic",
            **_told_network(net, checkpoint.training),
            "guide": guide.told(),
            "frame": frame.told(),
            "regions": regions.told(),
            "parity": _told_parity(rows),
        }
        bundle = seal(folder, manifest)
        if keep is not None and keep.styles:
            if keep.id == bundle.id:
                shutil.copytree(keep.folder / STYLES, folder / STYLES)
                bundle = seal(folder, manifest)
            else:
                tell(f"{len(keep.styles)} styles of {keep.name} ({keep.id}) do not fit and are left out: encode anew")
    return Bundle.load(out), rows


def write_baked(
    bundle: Bundle,
    style: Style,
    net: StyleKernelNet,
    out: Path,
    *,
    name: str,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    tell: Tell = print,
) -> tuple[Bundle, list[Row]]:
    """Bake `style` into the dynamic `bundle`'s frame graph and write it to the folder `out`; see `write_dynamic`.

    net: the bundle's network, what the baked graph is compared with.
    """
    with _beside(out) as folder:
        tell(f"baking {style.name}")
        graph_styles = {info.name for info in bundle.style_tensors}
        for name_of_file, model in bake(bundle, style).items():
            onnx.save_model(model, folder / name_of_file)
        tell("comparing with eager PyTorch")
        rows = _compare(net, folder, style.tensors, sizes)
        demand(rows)
        training = bundle.manifest.get("training", {})
        (folder / CARD).write_text(_card(name, training, rows, style), encoding="utf-8")
        manifest = {
            "name": name,
            "form": "baked",
            "baked_from": {"bundle": bundle.id, "style": style.name},
            **_told_network(net, training),
            "guide": _without_style(bundle.guide).told(),
            "frame": _without_style(bundle.frame).told(),
            "parity": _told_parity(rows),
        }
        # The baked style's file carries its name, thumbnail and licence; the graph has its tensors, but for those that
        # are used outside of it.
        sealed = seal(folder, manifest)
        (folder / STYLES).mkdir()
        label = _file_name(style.name)
        outside = {name: tensor for name, tensor in style.tensors.items() if name not in graph_styles}
        own = replace(style, name=label, tensors=outside, bundle_id=sealed.id)
        save_style(own, folder / STYLES / f"{label}{STYLE_FILE_SUFFIX}")
        seal(folder, manifest)
    return Bundle.load(out), rows


def example_style(net: StyleKernelNet) -> dict[str, NDArray[np.float32]]:
    """Style tensors of a made-up picture, in the graph's order."""
    answer = eager_styles(net)({"picture": scene(192, 256, 5)})
    return {name: answer[f"style.{name}"].astype(np.float32) for name in STYLE_TENSORS}


def eager_styles(net: StyleKernelNet) -> Graph:
    """The eager style graph as a function of named arrays."""
    graph = StyleGraph(net).eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            tensors = graph(torch.tensor(feeds["picture"]))
        return {f"style.{name}": tensor.numpy() for name, tensor in zip(STYLE_TENSORS, tensors, strict=True)}

    return run


def graph_infos(
    net: StyleKernelNet, style: Mapping[str, NDArray[np.float32]]
) -> tuple[GraphInfo, GraphInfo, GraphInfo]:
    """What the dynamic graphs of a network take and give: guide, frame, regions. style: any of its styles."""
    painting = {name: style[name] for name in PAINT_TENSORS}
    return (
        guide_info({name: style[name] for name in GUIDE_TENSORS}, net.guidance_channels),
        frame_info(painting, net.guidance_channels),
        regions_info(painting, net.guidance_channels),
    )


def eager_graphs(net: StyleKernelNet) -> tuple[Graph, Graph, Graph]:
    """The eager graphs as functions of named arrays: guide, frame, regions."""
    guide, frame, regions = graph_infos(net, example_style(net))
    return eager(GuideGraph(net), guide), eager(FrameGraph(net), frame), eager(RegionsGraph(net), regions)


def eager(module: nn.Module, info: GraphInfo) -> Graph:
    """A module that takes and gives the tensors of `info`, in their order, as a function of named arrays."""
    module.eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            answers = module(*(torch.tensor(feeds[entry.name]) for entry in info.inputs))
        answers = answers if isinstance(answers, tuple) else (answers,)
        return {entry.name: answer.numpy() for entry, answer in zip(info.outputs, answers, strict=True)}

    return run


def _compare(
    net: StyleKernelNet, folder: Path, style: Mapping[str, NDArray[np.float32]], sizes: tuple[tuple[int, int], ...]
) -> list[Row]:
    guide, frame, regions = eager_graphs(net)
    inputs: Arrays = {f"{STYLE_PREFIX}{name}": tensor for name, tensor in style.items()}
    rows = compare_guides(guide, folder / GUIDE_GRAPH, inputs, sizes)
    rows += compare_frames(guide, frame, folder / FRAME_GRAPH, inputs, sizes)
    if (folder / REGIONS_GRAPH).exists():  # a baked bundle has one style
        rows += compare_frames(guide, regions, folder / REGIONS_GRAPH, inputs, sizes, what="regions")
    return rows


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place when the block ends well, and vanishes when it does not."""
    if out.exists() and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise BundleError(f"{out} exists and is no bundle; give another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        folder.chmod(0o755)
        yield folder
        former = folder.with_name(f"{folder.name}.former")
        if out.exists():
            out.rename(former)
        folder.rename(out)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _half(weight: torch.Tensor) -> torch.Tensor:
    return (weight.half() if weight.is_floating_point() else weight).contiguous().clone()


def _without_style(info: GraphInfo) -> GraphInfo:
    return GraphInfo(tuple(entry for entry in info.inputs if entry not in info.styles), info.outputs)


def _file_name(style: str) -> str:
    return "".join(c if c.isalnum() or c in "-_ ." else "-" for c in style).strip(". ") or "style"


def _told_network(net: StyleKernelNet, training: dict[str, Any]) -> dict[str, Any]:
    return {
        "network": {"name": "style_kernel", "config": net.config.as_dict()},
        "sizes": {"min_side_px": MIN_SIDE_PX, "max_side_px": MAX_SIDE_PX},
        "precision": {"weights": "float16", "compute": "float32"},
        "colour": "RGB",
        "opset": OPSET,
        "exported_with": {"torch": torch.__version__, "onnx": onnx.__version__},
        "training": training,
        "licence": "Apache-2.0",
    }


def _told_parity(rows: list[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def _card(name: str, training: dict[str, Any], rows: list[Row], style: Style | None = None) -> str:
    lines = [
        f"# {name}",
        "",
        GENERATED,
        "",
        "A style-kernel network for live painting, exported by `brushcast-export`.",
        "",
    ]
    if style is not None:
        by = f" by {style.painter}" if style.painter else ""
        lines += [f"Baked style: {style.title or style.name}{by}. {style.source} {style.licence}".rstrip(), ""]
    lines += [f"- training {key}: {value}" for key, value in training.items()]
    lines += [f"- parity, {row.what}: {row.worst:.3g} of {row.allowed:g} allowed" for row in rows]
    return "\n".join(lines) + "\n"
