"""brushcast-export tensorrt: a bundle with TensorRT plans for this GPU, or the lines that build them elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from engines.bundle import Bundle, Precision
from engines.cuda_runtime import Cuda
from engines.errors import EngineError, InputError
from engines.registry import missing_package
from engines.sizes import SizeRange
from engines.trt_host import import_tensorrt
from export.first import exported_first, is_bundle
from export.plan import Recipe
from export.plan_bundle import Target, adopt, build_bundle, write_lines
from export.plan_graph import check_graph, prepared
from export.profiles import DEFAULT_SIZES, profile, ranges
from export.refusals import refuse

NAME = "tensorrt"
HELP = "a bundle with TensorRT plans, built for the GPU of this machine"
PRECISION = "the bundle's; fp32 of a checkpoint or with --style"
SIZES = f"the bundle's; {DEFAULT_SIZES} where it is for any"
METHODS = ("api", "torch-tensorrt")

Tell = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this format alone."""
    parser.add_argument(
        "--workspace-mb", type=int, metavar="N", help="the most memory that one layer may use beside its tensors"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="what builds: TensorRT's own API from ONNX, or torch-tensorrt from the weights, in fp32 "
        f"(default: {METHODS[0]})",
    )
    parser.add_argument("--device", type=int, metavar="N", help="number of the GPU (default: 0)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--commands",
        action="store_true",
        help="build nothing; write the graphs made ready and the trtexec lines that build them elsewhere",
    )
    how.add_argument("--adopt", action="store_true", help="take in the plans that trtexec has put into the bundle")


def run(asked: argparse.Namespace, tell: Tell) -> None:
    """See `export.commands`. Raises BrushcastError, OSError, KeyboardInterrupt; nothing is half written."""
    if asked.workspace_mb is not None and asked.workspace_mb < 1:
        raise InputError(f"workspace is {asked.workspace_mb} MB; it must be at least 1")
    if asked.commands:
        refuse(asked, ["device", "method"], "--commands")
    if asked.adopt:
        refuse(asked, ["style", "sizes", "precision", "name", "method", "workspace_mb"], "--adopt")
    here = None if asked.commands else _here(asked.device or 0)
    with TemporaryDirectory() as folder:
        source = _source(asked, tell, Path(folder) / "bundle")
        if asked.adopt:
            adopt(source, asked.out, *_known(here), tell)
            return
        sizes, precision = _sizes(source, asked.sizes), _precision(source, asked)
        recipes = _recipes(source, sizes, precision, asked.workspace_mb, tell)
        target = Target(asked.out, asked.name or asked.out.resolve().name, sizes, precision, asked.method or METHODS[0])
        if asked.commands:
            write_lines(source, target, recipes, tell)
        else:
            build_bundle(source, target, recipes, *_known(here), tell)


def _known(here: tuple[Any, Cuda] | None) -> tuple[Any, Cuda]:
    assert here is not None  # all but --commands have looked
    return here


def _here(device: int) -> tuple[Any, Cuda]:
    """TensorRT and the GPU. Raises EngineError that tells what to do where there is none."""
    try:
        return import_tensorrt(), Cuda(device)
    except ModuleNotFoundError as error:
        missing = missing_package(error, "tensorrt")
        raise EngineError(f"{missing}; or write the lines that build elsewhere, with --commands") from error


def _source(asked: argparse.Namespace, tell: Tell, scratch: Path) -> Bundle:
    """The bundle to build from: the one that is told, or what the onnx format makes of a checkpoint or a style."""
    if is_bundle(asked.checkpoint) and asked.style is None:
        return Bundle.load(asked.checkpoint)
    if asked.adopt:
        raise InputError(f"--adopt takes in the plans of a bundle, and {asked.checkpoint} is none; give its folder")
    return exported_first(asked, scratch, tell, precision="fp32", sizes=None)


def _sizes(source: Bundle, asked: SizeRange | None) -> SizeRange:
    sizes = asked or source.sizes or DEFAULT_SIZES
    if source.sizes is not None and not all(
        source.sizes.holds(height, width) for width, height in (sizes.least, sizes.most)
    ):
        raise InputError(f"{source.name} is for frames of {source.sizes}; it cannot be built for {sizes}")
    return sizes


def _precision(source: Bundle, asked: argparse.Namespace) -> Precision:
    """Of the plans: TensorRT has no switch for it, it is that of the graphs."""
    precision: Precision = asked.precision or source.precision
    if precision == "int8" != source.precision:
        line = f"brushcast-export onnx {asked.checkpoint} -o OUT --precision {precision}"
        raise InputError(f"{source.name} is {source.precision}; export an {precision} bundle first: {line}")
    if source.precision not in ("fp32", precision):
        raise InputError(f"{source.name} is {source.precision}; {precision} plans are built from an fp32 bundle")
    if asked.method == "torch-tensorrt" and precision != "fp32":
        # Its autocast decides by itself what stays fp32, and so may halve statistics.
        raise InputError(f"torch-tensorrt builds fp32 here; for {precision} take --method api")
    return precision


def _recipes(
    source: Bundle, sizes: SizeRange, precision: Precision, workspace_mb: int | None, tell: Tell
) -> list[Recipe]:
    """What has to be built, checked as far as can be without TensorRT."""
    tell(f"preparing the graphs for frames of {sizes}, {precision}")
    known, recipes = ranges(sizes), []
    for graph, info in source.graphs.items():
        model = onnx.load_model(source.folder / graph)
        model = prepared(model, precision if source.precision == "fp32" else "fp32")
        shapes = profile(info, known)
        check_graph(model, graph, shapes)
        data = model.SerializeToString(deterministic=True)
        recipes.append(Recipe(graph, info, data, shapes, precision, workspace_mb))
    return recipes
