"""Contact sheets and plots: what a person looks at while a network trains."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engines.nets.catalogue import StyleNet


@torch.no_grad()
def contact_sheet(
    net: StyleNet,
    photos: Tensor,
    styles: Tensor,
    path: Path,
    guide_size: tuple[int, int] | None = None,
    index: Tensor | None = None,
) -> None:
    """Every photo (n, 3, h, w) in every style (m, 3, h, w), styles on top, photos at the left, as a PNG.

    guide_size: of the network's guide, see `StyleNet.__call__`. index (m,): the styles' numbers in the training's set,
    for networks that know them by these.
    """
    rows = [torch.cat([torch.ones_like(photos[0]), *styles], 2)]
    numbers = [{} if index is None else {"index": index[i : i + 1]} for i in range(len(styles))]
    codes = [
        net.encode_seen(net.see_style(style[None]) | number) for style, number in zip(styles, numbers, strict=True)
    ]
    for photo in photos:
        painted = [net(photo[None], code, guide_size)[0] for code in codes]
        rows.append(torch.cat([photo, *painted], 2))
    write_image(path, torch.cat(rows, 1))


def write_image(path: Path, image: Tensor) -> None:
    """(3, h, w) in 0..1 to a PNG, beside and renamed."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    beside = path.with_suffix(".part.png")
    cv2.imwrite(str(beside), np.ascontiguousarray(pixels[:, :, ::-1]))
    beside.replace(path)


def plot_log(log: Path, path: Path) -> None:
    """The log's columns over the steps, each with its own scale, as a PNG; nothing while the log has under two rows."""
    import matplotlib  # noqa: PLC0415 - slow to import, and only plots need it

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    if not log.exists():
        return
    with log.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < 2:
        return
    names = [n for n in rows[0] if n not in {"step", "seconds"}]
    figure, axes = plt.subplots(len(names), 1, figsize=(8, 1.8 * len(names)), sharex=True, squeeze=False)
    steps = [int(r["step"]) for r in rows]
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.plot(steps, [float(r[name]) for r in rows], linewidth=1)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
