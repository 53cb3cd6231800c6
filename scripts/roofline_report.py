"""What `roofline.py` tells: nodes beside their limits, sums of them, and how they were before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from promises import Bar, ratio
from roofline_ceilings import Ceilings
from roofline_counts import CONVOLUTIONS, Node, work_of
from roofline_graph import Measured

from engines.errors import InputError

CONVOLUTIONS_BAR = 0.6
SHOWN_SHARE = 0.95  # of the time, by the nodes that are printed one by one
NAME_WIDTH = 34
BEYOND = 1.2


def describe(measured: Measured, ceilings: Ceilings, pixels: int) -> dict[str, Any]:
    """Nodes, longest first, their sums by operator, the convolutions' and the whole graph's. Raises EngineError."""
    nodes = sorted((_describe_node(node, ceilings) for node in measured.nodes), key=lambda node: -node["ms"])
    total = _sum_of("all", nodes, nodes)
    for node in nodes:
        node["share"] = ratio(node["ms"], total["ms"])
    convolutions = [node for node in nodes if node["op"] in CONVOLUTIONS]
    operators = [_sum_of(op, [node for node in nodes if node["op"] == op], nodes) for op in {n["op"] for n in nodes}]
    # A convolution that reached the ceiling of its arithmetic would take as long as its operations alone.
    reached = ratio(
        sum(1000 * node["operations"] / ceilings.operations(node["arithmetic"]) for node in convolutions),
        sum(node["ms"] for node in convolutions),
    )
    bar = Bar("share of the ceiling reached by all convolutions together", reached, CONVOLUTIONS_BAR, at_least=True)
    return {
        "ceilings": ceilings.told(),
        "graph": {
            **total,
            "run_ms": measured.run_ms,
            "profiled_ms": measured.profiled_ms,
            "between_ms": measured.profiled_ms - total["ms"],
            "macs_per_pixel": total["macs"] / pixels,
            "operations_per_pixel": total["operations"] / pixels,
            "bytes_per_pixel": total["bytes"] / pixels,
        },
        "convolutions": _sum_of("convolutions", convolutions, nodes),
        "bars": [bar.told()],
        "operators": sorted(operators, key=lambda row: -row["ms"]),
        "nodes": nodes,
        "not_counted": sorted({node["op"] for node in nodes if not node["known"]}),
    }


def _describe_node(node: Node, ceilings: Ceilings) -> dict[str, Any]:
    work = work_of(node)
    limit_s, bound = ceilings.limit(work.operations, work.bytes, work.arithmetic)
    return {
        "name": node.name,
        "op": node.op,
        "output": "x".join(str(side) for side in node.outputs[0].shape) if node.outputs else "",
        "ms": node.ms,
        "macs": work.macs,
        "filled_macs": work.filled_macs,
        "operations": work.operations,
        "bytes": work.bytes,
        "arithmetic": work.arithmetic,
        "limit_ms": limit_s * 1000,
        "bound": bound,
        "fraction": ratio(limit_s * 1000, node.ms),
        "known": work.known,
    }


def _sum_of(name: str, rows: Sequence[dict[str, Any]], everything: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = ("ms", "macs", "filled_macs", "operations", "bytes", "limit_ms")
    sums = {key: sum(row[key] for row in rows) for key in keys}
    share = ratio(sums["ms"], sum(row["ms"] for row in everything))
    return {"op": name, "nodes": len(rows), **sums, "share": share, "fraction": ratio(sums["limit_ms"], sums["ms"])}


def print_report(report: dict[str, Any]) -> None:
    who, graph = report["machine"], report["graph"]
    print(f"{who['cpu']}, {who['cores']} cores, load before: {report['load'] or 'not known'}")
    print(
        f"{report['model']} ({report['bundle']}) at {report['size']}, onnxruntime {report['onnxruntime']}, "
        f"threads: {report['threads']}, medians of {report['repeats']}"
    )
    if report["load"] and report["load"] > 0.5:
        print("other programs were running: times are longer and less even than on an idle machine")
    print("\nceilings, the best of each arithmetic, in GFLOP/s:")
    for row in report["ceilings"]["products"]:
        print(f"  {row['arithmetic']:<6}{row['name']:<44}{row['operations_per_s'] / 1e9:>8.1f}")
    copies = (f"{row['bytes'] >> 20} MiB: {row['bytes_per_s'] / 1e9:.1f}" for row in report["ceilings"]["copies"])
    print(f"a copy of so much, read and written, in GB/s: {', '.join(copies)}\n")
    print_nodes(report["nodes"], graph["ms"])
    print(f"\n{'operator':<24}{'nodes':>6}{_SUMS}")
    for row in (*report["operators"], graph):
        print(f"{row['op']:<24}{row['nodes']:>6}{_sums(row)}")
    convolutions = report["convolutions"]
    print(
        f"\nthe graph takes {graph['run_ms']:.2f} ms; with its nodes timed {graph['profiled_ms']:.2f} ms, of which "
        f"{graph['between_ms']:.2f} ms lie between the nodes; the sum of the limits is {graph['limit_ms']:.2f} ms"
    )
    print(
        f"for each pixel: {graph['macs_per_pixel']:.0f} multiply-adds, {graph['operations_per_pixel']:.0f} operations "
        f"in all, {graph['bytes_per_pixel']:.0f} bytes"
    )
    filled = ratio(graph["filled_macs"] - graph["macs"], graph["macs"])
    print(
        f"convolutions: {convolutions['share']:.1%} of the time, {_rate(convolutions):.1f} GFLOP/s"
        f" (blocks of channels filled up with zeros add {filled:.1%} multiply-adds that are not counted)"
    )
    if report["not_counted"]:
        print(f"operators whose arithmetic is not known here and was taken as none: {', '.join(report['not_counted'])}")
    for bar in report["bars"]:
        print(bar["line"])
    # Small nodes do in a cache what no copy was measured for; of those that take long none can be that much faster.
    beyond = [node for node in report["nodes"] if node["share"] > 0.01 and node["fraction"] > BEYOND]
    if beyond:
        print(
            f"{len(beyond)} of the longest nodes are faster than their limits: other programs ran while the ceilings "
            "were measured; run it again on an idle machine"
        )


def print_nodes(nodes: Sequence[dict[str, Any]], total_ms: float) -> None:
    """One line for each node down to where SHOWN_SHARE of the time is told, and one for the rest."""
    print(f"{'node':<{NAME_WIDTH}}{'op':<16}{'output':>18}{_SUMS}  bound by")
    told_ms = 0.0
    for number, node in enumerate(nodes):
        if told_ms >= SHOWN_SHARE * total_ms:
            rest = nodes[number:]
            print(f"{len(rest)} more nodes, each under {rest[0]['ms']:.3f} ms: {sum(n['ms'] for n in rest):.2f} ms")
            break
        told_ms += node["ms"]
        name = node["name"] if len(node["name"]) < NAME_WIDTH else node["name"][: NAME_WIDTH - 2] + "…"
        print(f"{name:<{NAME_WIDTH}}{node['op'][:15]:<16}{node['output']:>18}{_sums(node)}  {node['bound']}")


def read_before(path: Path) -> dict[str, Any]:
    """The roofline.json of an earlier run. Raises InputError."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        rows = [*told["operators"], told["graph"]]
        if not all(isinstance(row["op"], str) and isinstance(row["ms"], int | float) for row in rows):
            raise TypeError
        float(told["graph"]["run_ms"])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a roofline.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a roofline.json that this program wrote") from error
    return dict(told)


def print_before(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Milliseconds by operator and of the graph, then and now, and now / before."""
    differ = [
        f"{name} {before.get(name)} -> {now[name]}"
        for name in ("size", "threads", "model", "bundle", "onnxruntime")
        if before.get(name) != now[name]
    ]
    if before.get("machine") != now["machine"]:
        differ.append("another machine")
    print(f"\n{'before and now':<24}{'before ms':>10}{'now ms':>10}{'ratio':>8}")
    old = {row["op"]: row["ms"] for row in before["operators"]}
    new = {row["op"]: row["ms"] for row in now["operators"]}
    pairs = [(op, old.get(op, 0.0), new.get(op, 0.0)) for op in {**old, **new}]
    pairs.sort(key=lambda pair: -max(pair[1:]))
    pairs.append(("all nodes", before["graph"]["ms"], now["graph"]["ms"]))
    pairs.append(("the graph as it runs", before["graph"]["run_ms"], now["graph"]["run_ms"]))
    for name, old_ms, new_ms in pairs:
        print(f"{name:<24}{old_ms:>10.3f}{new_ms:>10.3f}{f'{new_ms / old_ms:.2f}' if old_ms else 'new':>8}")
    if differ:
        print(f"not the same: {', '.join(differ)}")


def versions() -> dict[str, str]:
    return {"onnxruntime": str(ort.__version__)}


_SUMS = f"{'ms':>9}{'share':>8}{'MMAC':>9}{'MB':>8}{'GFLOP/s':>9}{'limit':>8}{'reached':>9}"


def _sums(row: dict[str, Any]) -> str:
    """The columns of `_SUMS`."""
    reached = f"{row['fraction']:.0%}" if row["limit_ms"] and row["ms"] else "-"
    left = f"{row['ms']:>9.3f}{row['share']:>8.1%}{row['macs'] / 1e6:>9.1f}{row['bytes'] / 1e6:>8.2f}"
    return f"{left}{_rate(row):>9.1f}{row['limit_ms']:>8.3f}{reached:>9}"


def _rate(row: dict[str, Any]) -> float:
    """GFLOP/s; 0 where no time was measured."""
    return float(row["operations"] / row["ms"] / 1e6) if row["ms"] else 0.0
