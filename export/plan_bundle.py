"""A bundle with plans: the source's files, the folder plans, and the proof that the plans paint as the graphs do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.api import Look
from engines.bundle import Bundle, Precision, seal
from engines.cuda_runtime import Cuda
from engines.errors import BundleError, EngineError
from engines.plans import PLAN_SUFFIX, PLANS, Plan, Plans, graph_hash, load_plans
from engines.sizes import SizeRange
from engines.trt import TensorRtEngine
from engines.trt_host import host_here
from export.beside import beside
from export.frames import moving, pictures
from export.plan import Built, Kept, Recipe, build_plan
from export.plan_lines import GRAPHS, LINES, script, trtexec_line
from export.tolerance import TOLERANCES

# Plans are compared with the bundle's own graphs in ONNX Runtime, as streams: each has a memory of its own, whose
# differences come back in the next frame. So twice is allowed of what a single run of a graph is.
STREAMED = 2
_FRAMES = 3
_DEVICE = "cuda:{}"  # PyTorch's name of a GPU

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be written. name: of the bundle. method: what builds, as `Plans` tells it."""

    out: Path
    name: str
    sizes: SizeRange
    precision: Precision
    method: str


def build_bundle(source: Bundle, target: Target, recipes: Sequence[Recipe], trt: Any, cuda: Cuda, tell: Tell) -> None:
    """Build the plans for this GPU, compare what they paint, and write the bundle. Raises BrushcastError, OSError."""
    host = host_here(trt, cuda)
    kept = Kept(host)
    with beside(target.out) as folder:
        plans_folder = _copied(source, folder)
        built = {}
        for recipe in recipes:
            start_s = time.perf_counter()

            def build(recipe: Recipe = recipe) -> Built:
                if target.method == "api":
                    return build_plan(trt, recipe, kept)
                from export.plan_torch import build_with_torch  # noqa: PLC0415 (torch is an extra)

                return build_with_torch(source, recipe, _DEVICE.format(cuda.index))

            made, known = kept.plan(recipe, target.method, build)
            plan = _plan(source, recipe, made.names)
            (plans_folder / plan.file).write_bytes(made.plan)
            built[recipe.name] = plan
            how = "kept from an earlier build" if known else f"built in {time.perf_counter() - start_s:.0f} s"
            tell(f"{PLANS}/{plan.file}: {len(made.plan) / 2**20:.1f} MB, {how}")
        plans = Plans(host, target.precision, target.method, target.sizes, built)
        plans.write(plans_folder)
        _finish(source, folder, target.name, plans, cuda, tell)
    tell(f"wrote {target.out}: TensorRT {host.tensorrt}, {host.gpu}, {target.precision}, frames of {target.sizes}")


def write_lines(source: Bundle, target: Target, recipes: Sequence[Recipe], tell: Tell) -> None:
    """Write a bundle whose plans are still to be built: the graphs made ready, and the trtexec lines, also told."""
    with beside(target.out) as folder:
        plans_folder = _copied(source, folder)
        (plans_folder / GRAPHS).mkdir()
        plans = {recipe.name: _plan(source, recipe, {}) for recipe in recipes}
        for recipe in recipes:
            (plans_folder / GRAPHS / recipe.name).write_bytes(recipe.model)
        lines = [trtexec_line(recipe.name, plans[recipe.name], recipe.workspace_mb) for recipe in recipes]
        (plans_folder / LINES).write_text(script(lines, target.out), encoding="utf-8")
        Plans(None, target.precision, "trtexec", target.sizes, plans).write(plans_folder)
        seal(folder, {**source.manifest, "name": target.name})
    for line in lines:
        tell(line)
    tell(f"wrote {target.out}: run {PLANS}/{LINES} on the GPU that shall paint, then take the plans in with --adopt")


def adopt(source: Bundle, out: Path, trt: Any, cuda: Cuda, tell: Tell) -> None:
    """Take in the plans that trtexec has put into a bundle that `write_lines` wrote: on the GPU that shall run them."""
    plans = load_plans(source)
    missing = [plan.file for plan in plans.plans.values() if not (source.folder / PLANS / plan.file).is_file()]
    if missing:
        raise BundleError(f"{source.folder / PLANS} lacks {', '.join(missing)}; run {PLANS}/{LINES} there first")
    host = host_here(trt, cuda)
    with beside(out) as folder:
        plans_folder = _copied(source, folder)
        for plan in plans.plans.values():
            shutil.copyfile(source.folder / PLANS / plan.file, plans_folder / plan.file)
        plans = replace(plans, host=host)
        plans.write(plans_folder)
        _finish(source, folder, source.name, plans, cuda, tell)
    tell(f"wrote {out}: plans for TensorRT {host.tensorrt}, {host.gpu}, {plans.precision}")


def _plan(source: Bundle, recipe: Recipe, names: dict[str, str]) -> Plan:
    file = Path(recipe.name).with_suffix(PLAN_SUFFIX).name
    return Plan(file, graph_hash(source, recipe.name), recipe.shapes, names)


def _copied(source: Bundle, folder: Path) -> Path:
    """Copy a bundle without its plans; returns the new, empty folder for them."""
    for name in source.manifest["files"]:
        if not name.startswith(f"{PLANS}/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / name, folder / name)
    (folder / PLANS).mkdir()
    return folder / PLANS


def _finish(source: Bundle, folder: Path, name: str, plans: Plans, cuda: Cuda, tell: Tell) -> None:
    """Seal the bundle, and refuse it unless its plans paint as its graphs do."""
    bundle = seal(folder, {**source.manifest, "name": name})
    rows = _compared(bundle, plans, cuda, tell)
    if rows is None:
        return
    worst, mean = rows
    allowed = TOLERANCES[plans.precision]
    most_worst, most_mean = STREAMED * allowed.steps, STREAMED * allowed.mean_steps
    tell(f"plans against ONNX Runtime: {worst:.0f} steps at the worst place, {mean:.3f} in the mean")
    if not (worst <= most_worst and mean <= most_mean):
        raise EngineError(
            f"refused: the plans paint otherwise than the graphs by {worst:.0f} steps at worst and {mean:.3g} in the "
            f"mean; {most_worst:g} and {most_mean:g} are allowed in {plans.precision}"
        )


def _compared(bundle: Bundle, plans: Plans, cuda: Cuda, tell: Tell) -> tuple[float, float] | None:
    """How far the paintings of some frames differ, in steps of 1/255: at worst, and in the mean."""
    try:
        from engines.ort import OrtEngine  # noqa: PLC0415 (ONNX Runtime is an extra)
    except ModuleNotFoundError as error:
        tell(f"NOT compared with ONNX Runtime: {error.name} is not installed")
        return None
    if not bundle.styles:
        tell("NOT compared with ONNX Runtime: the bundle has no style to paint with")
        return None
    width, height = plans.sizes.usual
    look = Look(bundle.style(bundle.styles[0]))
    worst, means = 0.0, []
    with (
        TensorRtEngine(bundle, provider=f"cuda:{cuda.index}") as ours,
        OrtEngine(bundle) as reference,
    ):
        for index in range(_FRAMES):
            frame = moving(pictures()[0], height, width, index)
            off = np.abs(ours.stylise(frame, look).astype(int) - reference.stylise(frame, look))
            worst = max(worst, float(off.max()))
            means.append(float(off.mean()))
    return worst, float(np.mean(means))
