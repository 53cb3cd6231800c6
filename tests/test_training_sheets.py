"""What a person looks at while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor

from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import build
from engines.training import sheets

SIDE = 48


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What is small is slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def read(path: Path) -> Tensor:
    """(3, h, w) in 0..1, RGB"""
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return torch.from_numpy(pixels[:, :, ::-1].copy()).permute(2, 0, 1) / 255


def test_contact_sheet_has_styles_on_top_and_photos_at_the_left(tmp_path: Path) -> None:
    config = StyleKernelConfig(widths=(8, 8, 16), style_levels=1, style_width=16, groups4=4, groups8=4, grid=4)
    net = build(config, 0).eval()
    photos, styles = torch.rand(2, 3, SIDE, SIDE), torch.rand(3, 3, SIDE, SIDE)
    sheets.contact_sheet(net, photos, styles, tmp_path / "sheet.png")
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (3, 3 * SIDE, 4 * SIDE)
    cells = sheet.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE)  # (3, rows, columns, SIDE, SIDE)
    one_step = 0.5 / 255 + 1e-6
    assert (cells[:, 0, 0] == 1).all()
    for i, style in enumerate(styles):
        assert (cells[:, 0, 1 + i] - style).abs().max() <= one_step
    for j, photo in enumerate(photos):
        assert (cells[:, 1 + j, 0] - photo).abs().max() <= one_step
        for i, style in enumerate(styles):
            with torch.no_grad():
                painted = net(photo[None], net.encode_style(style[None]))[0]
            assert (cells[:, 1 + j, 1 + i] - painted).abs().max() <= one_step + 1e-4


def test_an_image_is_clipped_and_rgb(tmp_path: Path) -> None:
    image = torch.zeros(3, 4, 6)
    image[0], image[1] = 1.5, -0.5
    sheets.write_image(tmp_path / "image.png", image)
    found = read(tmp_path / "image.png")
    assert found.shape == (3, 4, 6)
    assert found[:, 0, 0].tolist() == [1, 0, 0]


def test_the_log_becomes_a_plot(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"{50 * i},{i}.5,{1 / i},{2 / i}" for i in range(1, 6)]
    log.write_text("\n".join(["step,seconds,content,style", *rows]) + "\n", encoding="utf-8")
    sheets.plot_log(log, tmp_path / "log.png")
    plot = cv2.imread(str(tmp_path / "log.png"))
    assert plot is not None and plot.shape[1] > 400
    sheets.plot_log(log, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "log.png").read_bytes()


@pytest.mark.parametrize("rows", [None, [], ["50,1.5,0.3"]], ids=["no log", "empty", "one row"])
def test_without_two_rows_there_is_nothing_to_plot(rows: list[str] | None, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    if rows is not None:
        log.write_text("\n".join(["step,seconds,content", *rows]) + "\n", encoding="utf-8")
    sheets.plot_log(log, tmp_path / "log.png")
    assert not (tmp_path / "log.png").exists()
