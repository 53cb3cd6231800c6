"""More style pictures: what becomes of a package's files, of rare pictures, and of what is held out."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import cv2
import more_styles as program
import numpy as np
import pytest
from PIL import Image

from engines.training import data

HELD_OUT = "gcl_00004.jpg"  # of the style pictures kept for evaluation
SIDE = data.SIDE_PX


def noise(side: int, seed: int) -> np.ndarray:
    """Soft enough for a JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def gimp_pattern(pixels: np.ndarray) -> bytes:
    height, width, channels = pixels.shape
    name = b"checks\0"
    return struct.pack(">5I4s", 24 + len(name), 1, width, height, channels, b"GPAT") + name + pixels.tobytes()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own" / "style").mkdir(parents=True)
    (tmp_path / "own" / "content").mkdir()
    assert f"style/{HELD_OUT}" in data.held_out()
    for seed, name in enumerate(("gcl_00001.png", HELD_OUT)):
        assert cv2.imwrite(str(tmp_path / "own" / "style" / name), noise(SIDE, seed))
    for number in range(program.RARE):
        assert cv2.imwrite(str(tmp_path / "own" / "style" / f"many_{number:02}.png"), noise(8, number))
    return tmp_path / "own"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sources = (
        program.Source("textures", "tiles", "tiles-*/*.pat", 9, tile=True),
        program.Source("textures", "packed", "packed/*.pk3!textures/", 9, tile=True),
        program.Source("drawn", "figures", "figures/*.*", program.KEPT, ground=program.DARK),
    )
    monkeypatch.setattr(program, "SOURCES", sources)
    for folder in ("tiles-one", "packed", "figures"):
        (tmp_path / "packages" / folder).mkdir(parents=True)
    folder = tmp_path / "packages"
    (folder / "tiles-one" / "checks.pat").write_bytes(gimp_pattern(noise(100, 1)))
    (folder / "tiles-one" / "grey.pat").write_bytes(gimp_pattern(noise(100, 2)[:, :, :1]))
    with zipfile.ZipFile(folder / "packed" / "a.pk3", "w") as archive:
        content = cv2.imencode(".png", noise(128, 3))[1].tobytes()
        archive.writestr("textures/wall.png", content)
        archive.writestr("models/figure.png", content)
        archive.writestr("textures/wall.txt", "no picture")
    for number in range(2 * program.KEPT):
        # Left half: nothing.
        half = np.dstack([noise(210, number), np.full((210, 210), 255, np.uint8)])
        half[:, :105, 3] = 0
        Image.fromarray(half).save(folder / "figures" / f"{number:02}.png")
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(folder / "figures" / "flat.png")
    Image.fromarray(noise(64, 0)).save(folder / "figures" / "small.png")
    (folder / "figures" / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def test_packages_become_squares_and_some_are_kept(own: Path, packages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program.main([str(own), "--packages", str(packages), "--out", str(out)]) == 0
    names = {path.name for path in (out / "style").iterdir() if path.name.startswith(("textures", "drawn"))}
    figures = {f"drawn_figures_{number:05}.jpg" for number in range(program.KEPT - 1)}
    assert names == figures | {"textures_tiles_00000.jpg", "textures_tiles_00001.jpg", "textures_packed_00000.jpg"}
    assert [path.name for path in (out / "kept").iterdir()] == [f"drawn_figures_{program.KEPT - 1:05}.jpg"]
    assert all(pixels(out / "style" / name).shape == (SIDE, SIDE, 3) for name in names)
    tile, figure = pixels(out / "style" / "textures_tiles_00000.jpg"), pixels(out / "style" / "drawn_figures_00000.jpg")
    assert np.abs(tile[:90, :90] - noise(100, 1)[:90, :90]).mean() < 6 < np.abs(tile[:90, :90] - 128).mean()
    assert np.abs(tile[:90, :90] - tile[100:190, 100:190]).mean() < 6, "repeated"
    assert np.abs(figure[20:-20, 20:150].mean((0, 1)) - program.DARK).max() < 4
    grey = pixels(out / "style" / "textures_tiles_00001.jpg")
    assert np.ptp(grey, axis=2).max() <= 2


def test_own_pictures_are_linked_and_rare_ones_varied(own: Path, packages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program.main([str(own), "--packages", str(packages), "--out", str(out)]) == 0
    assert (out / "content").resolve() == (own / "content").resolve()
    mine = {path.name for path in (own / "style").iterdir()}
    assert mine <= {path.name for path in (out / "style").iterdir() if path.is_symlink()}
    varied = {path.stem: pixels(path) for path in (out / "style").glob("variants_*")}
    assert varied.keys() == {f"variants_gcl_00001-{which}" for which in ("negative", "large", "small")}
    before, small = pixels(own / "style" / "gcl_00001.png"), varied["variants_gcl_00001-small"]
    assert np.abs(varied["variants_gcl_00001-negative"].mean() - (255 - before.mean())) < 2
    assert np.abs(small - small[::-1, ::-1]).mean() < 8, "mirrored both ways"
    quarter = SIDE // 4
    middle = cv2.resize(before[quarter:-quarter, quarter:-quarter].astype(np.float32), (SIDE, SIDE))
    assert np.abs(varied["variants_gcl_00001-large"] - middle).mean() < 6


def test_what_cannot_be_is_refused(
    own: Path, packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*told: str) -> str:
        assert program.main(list(told)) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    there = tmp_path / "there"
    there.mkdir()
    assert "there already" in refused(str(own), "--packages", str(packages), "--out", str(there))
    out = tmp_path / "out"
    assert "no pictures" in refused(str(there), "--packages", str(packages), "--out", str(out))
    assert "tiles-*/*.pat" in refused(str(own), "--packages", str(there), "--out", str(out))
    assert not out.exists(), "nothing half-written"
