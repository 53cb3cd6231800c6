"""A bundle's network -> TensorRT plans by torch-tensorrt, in place of the ONNX parser."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from engines.bundle import Bundle
from engines.errors import EngineError, first_line
from engines.torch_eager import load_network
from export.eager import parts
from export.plan import Built, Recipe


class Bordered(nn.Module):
    """A graph whose bytes are cast where they come in: TensorRT can do nothing else with them."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.inner = graph  # `graph` is a name of PyTorch's own in what is exported

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Takes and gives what the graph does."""
        cast = [entry.float() if entry.dtype == torch.uint8 else entry for entry in inputs]
        answer: Tensor | tuple[Tensor, ...] = self.inner(*cast)
        return answer


def build_with_torch(bundle: Bundle, recipe: Recipe, device: str) -> Built:
    """Build the plan of one graph in fp32, from the bundle's weights. device: "cuda:0".

    Raises EngineError, BundleError (a baked bundle has no weights), ModuleNotFoundError (torch-tensorrt is missing).
    """
    info, shapes, workspace_mb = recipe.info, recipe.shapes, recipe.workspace_mb
    try:
        import torch_tensorrt  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError:
        raise
    except (ImportError, OSError) as error:
        raise EngineError(f"torch-tensorrt is installed and does not start: {first_line(error)}") from error
    made = {part.file: part.module for part in parts(load_network(bundle)).values()}
    module = Bordered(made[recipe.name]).eval().to(device)
    inputs, example, free = [], [], []
    for entry in info.inputs:
        fixed = tuple(int(side) for side in entry.shape if not isinstance(side, str))
        least, usual, most = shapes.get(entry.name, (fixed, fixed, fixed))
        dtype = getattr(torch, entry.dtype)
        span = {"min_shape": least, "opt_shape": usual, "max_shape": most}
        told = span if entry.name in shapes else {"shape": fixed}
        inputs.append(torch_tensorrt.Input(**told, dtype=dtype))
        example.append(torch.zeros(usual, dtype=dtype, device=device))
        free.append({axis: torch.export.Dim.DYNAMIC for axis, side in enumerate(entry.shape) if isinstance(side, str)})
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of parts that are not used; what comes out is compared afterwards
            # The module takes *inputs: the sizes of all of them are one argument's.
            program = torch.export.export(module, tuple(example), dynamic_shapes=(tuple(free),))
            plan = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
                program,
                arg_inputs=inputs,
                device=torch.device(device),
                disable_tf32=True,
                require_full_compilation=True,
                workspace_size=0 if workspace_mb is None else workspace_mb << 20,
            )
    except Exception as error:
        raise EngineError(f"torch-tensorrt cannot build {recipe.name}: {first_line(error)}") from error
    names = dict(zip((entry.name for entry in info.inputs), program.graph_signature.user_inputs, strict=True))
    names |= {entry.name: f"output{place}" for place, entry in enumerate(info.outputs)}
    return Built(bytes(plan), names)
