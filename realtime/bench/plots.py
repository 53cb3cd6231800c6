"""A result as a picture: stages per size, delays, or memory and pace over time. Needs matplotlib."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from engines.errors import SinkError
from engines.registry import missing_package
from engines.styles import write_beside
from realtime.bench.results import Result, Run


def need_matplotlib() -> None:
    """Raise EngineError, with the line that installs it, where matplotlib is missing."""
    try:
        import matplotlib  # noqa: PLC0415 - slow to import, and only plots need it
    except ModuleNotFoundError as error:
        raise missing_package(error, "bench") from error
    matplotlib.use("Agg")


def plot(result: Result, path: Path) -> None:
    """Draw `result` into a PNG. Raises SinkError, EngineError (matplotlib is missing)."""
    need_matplotlib()
    import matplotlib.pyplot as plt  # noqa: PLC0415

    draw = {"speed": _speed, "latency": _latency, "soak": _soak, "streams": _speed}[result.kind]
    runs = result.runs
    figure, axes = plt.subplots(len(runs), 1, figsize=(9, 3.2 * len(runs) + 0.8), squeeze=False, layout="constrained")
    here = result.circumstances
    figure.suptitle(
        f"brushcast {here.versions.get('brushcast', '')}: {here.model}, {here.engine} on {here.provider}, "
        f"{here.precision}\n{here.machine.gpu or here.machine.cpu}, {here.machine.cores} cores",
        fontsize=10,
    )
    for run, axis in zip(runs, axes[:, 0], strict=True):
        axis.set_title(f"{run.size}, {run.style}: {run.rate:.1f} frames/s", fontsize=10)
        draw(run, axis)
    write_figure(figure, path, dpi=110)


def write_figure(figure: Any, path: Path, *, dpi: int) -> None:
    """A matplotlib figure to a PNG, beside and renamed; the figure is closed. Raises SinkError."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to import, and only plots need it

    data = BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    plt.close(figure)
    try:
        write_beside(path, data.getvalue())
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror}); its folder must exist") from error


def _speed(run: Run, axis: Any) -> None:
    names = list(reversed(run.stages))
    rows = [run.stages[name] for name in names]
    p50 = [row.p50_ms for row in rows]
    axis.barh(names, p50, color="tab:blue", label="p50")
    axis.hlines(names, p50, [row.p99_ms for row in rows], color="tab:gray", linewidth=1)
    axis.plot([row.p95_ms for row in rows], names, "|", color="black", markersize=9, label="p95")
    axis.plot([row.p99_ms for row in rows], names, ".", color="tab:red", label="p99")
    axis.set_xlabel("milliseconds a frame")
    axis.legend(loc="upper right", fontsize=8)


def _latency(run: Run, axis: Any) -> None:
    axis.plot(run.more.get("delays_ms", []), ".", color="tab:blue")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"painted frame whose code was read ({run.more['share_read']:.1%} were)")
    axis.set_ylabel("delay [ms]")


def _soak(run: Run, axis: Any) -> None:
    seconds, memory_mb = zip(*run.more["memory"], strict=True)
    axis.plot([second / 60 for second in seconds], memory_mb, color="tab:blue")
    axis.set_xlabel(f"minutes; {run.more['verdict']}")
    axis.set_ylabel("resident memory [MB]", color="tab:blue")
    fifths = run.more["p50_ms_of_each_fifth"]
    step = run.more["minutes"] / len(fifths)
    pace = axis.twinx()
    pace.plot([(number + 0.5) * step for number in range(len(fifths))], fifths, "o--", color="tab:red")
    pace.set_ylim(bottom=0)
    pace.set_ylabel("median ms a frame", color="tab:red")
