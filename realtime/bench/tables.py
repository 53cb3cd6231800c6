"""Results and comparisons as text to read."""

from __future__ import annotations

from collections.abc import Sequence

from realtime.bench.compare import RATE, Row
from realtime.bench.results import Result, Run

BUSY_LOAD = 0.5  # of the machine's cores
LEGEND = (
    "read: capture and decode; wait: for the painter; paint: motion, memory and network; hand: wait for the sink;",
    "write: display or encode; total: from captured to written; interval: between two written frames",
)


def heading(result: Result) -> list[str]:
    """What was measured, and where."""
    here = result.circumstances
    machine = here.machine
    parts = [machine.cpu, _count(machine.cores, "core"), *([machine.gpu] if machine.gpu else []), machine.system]
    threads = "threads as the engine chooses" if here.threads is None else _count(here.threads, "thread")
    measured = f"{result.kind}, to {here.to}; warm-up {_count(here.warm_up, 'frame')}"
    if here.frames is not None:
        measured += f", then {_count(here.frames, 'frame')}"
    if here.rounds is not None:
        measured += f" in each of {_count(here.rounds, 'round')} (medians of them are told)"
    told = [
        f"machine:  {', '.join(parts)}",
        f"versions: {', '.join(f'{name} {number}' for name, number in here.versions.items())}",
        f"painter:  {here.model} ({here.bundle}), {here.engine} on {here.provider}, {here.precision}, {threads}",
        f"styles:   {', '.join(here.styles)}; strength {here.strength:g}, smoothing {here.smoothing:g}, "
        f"stroke {here.stroke:g}, render scale {here.render_scale:g}, "
        f"kernels every {_count(here.kernel_interval, 'frame')}, colours kept {here.keep_colours:g}, oil {here.oil:g}",
        f"measured: {measured}",
    ]
    if result.load is not None and result.load > BUSY_LOAD * machine.cores:
        told.append(
            f"the machine was busy before (load {result.load:g}): times are longer and less even than on an idle one"
        )
    return told


def body(run: Run, kind: str) -> list[str]:
    """The figures of one size and style."""
    told = [f"{run.size}, {run.style}", f"  {'stage':16}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}"]
    told += [f"  {name:16}{row.p50_ms:10.2f}{row.p95_ms:10.2f}{row.p99_ms:10.2f}" for name, row in run.stages.items()]
    more = {"speed": _speed, "latency": _latency, "soak": _soak, "streams": _streams}[kind]
    told += [f"  {line}" for line in more(run)]
    return told


def comparison(rows: Sequence[Row], differences: Sequence[str]) -> list[str]:
    """Both medians and the ratio, row by row, and what was not the same."""
    told = [f"{'size':12}{'stage':16}{'first':>10}{'second':>10}{'ratio':>10}"]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.3f}"
        told.append(f"{row.size:12}{row.stage:16}{row.first:10.2f}{row.second:10.2f}{ratio:>10}")
    told.append(
        f"median ms, and {RATE}; ratio: second / first, so the second is faster where a time's ratio is below 1"
    )
    if not differences:
        return [*told, "machine, versions, provider, precision, style and settings are the same"]
    return [*told, *(f"differs: {line}" for line in differences)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _speed(run: Run) -> list[str]:
    words = [f"{run.rate:.1f} frames/s end to end"]
    if (adds := run.more.get("loop_adds_percent")) is not None:
        words.append(f"the loop adds {adds:.1f} % to the engine alone")
    if (peak := run.more.get("peak_memory_mb")) is not None:
        words.append(f"peak memory so far {peak:.0f} MB")
    return [", ".join(words)]


def _streams(run: Run) -> list[str]:
    more = run.more
    told = [f"{run.rate:.1f} frames/s of all streams, {more['rate_of_each']:.1f} of each ({more['how']})"]
    if (peak := more.get("peak_memory_mb")) is not None:
        told.append(f"peak memory so far {peak:.0f} MB")
    return told


def _latency(run: Run) -> list[str]:
    more = run.more
    told = [
        f"{run.rate:.1f} frames/s end to end; {more['captured']} captured, {more['written']} written, "
        f"{more['dropped']} dropped",
        f"codes read: {more['codes_read']} of {more['written']} ({more['share_read']:.1%})",
    ]
    if frames := more.get("delay_frames"):
        told.append(f"delay in frames: p50 {frames['p50']}, p95 {frames['p95']}, p99 {frames['p99']}")
    else:
        told.append("no code could be read: there is no delay to tell")
    return told


def _soak(run: Run) -> list[str]:
    more = run.more
    drift = "not known" if more["drift_percent"] is None else f"{more['drift_percent']:+.1f} %"
    return [
        f"{more['painted']} frames in {more['minutes']:g} minutes, {run.rate:.1f} frames/s end to end, "
        f"{more['style_changes']} changes of style, {more['threads_left']} threads left behind",
        f"memory: start {more['start_mb']:.0f} MB, end {more['end_mb']:.0f} MB, peak {more['peak_mb']:.0f} MB, "
        f"{more['slope_mb_per_minute']:+.2f} MB a minute after the warm-up",
        f"drift of the median frame time, first to last fifth: {drift}",
        f"verdict: {more['verdict']}",
    ]
