"""brushcast styles: the space of a model's styles as a map, as groups, as neighbours and as a walk."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from commanded import refused

from engines.bundle import Bundle
from engines.style_space import Space, medoids
from engines.styles import Style
from realtime.cli import main
from realtime.commands.styles_map import StyleMap, apart, drawn, fitted, placed
from realtime.commands.styles_page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in {"moss": (50, 118, 44), "night": (40, 10, 10), "snow": (250, 250, 250)}.items():  # BGR
        cv2.imwrite(str(folder / f"{name}.png"), np.full((48, 64, 3), colour, np.uint8))
    return folder


def ask(bundle: Bundle, *words: str | Path) -> int:
    return main(["styles", *map(str, words), "--model", str(bundle.folder), "--threads", "1"])


def some(count: int) -> StyleMap:
    random = np.random.default_rng(0)
    styles = [
        Style(
            f"style-{k}" if k else "</script><b>é",
            {"mean": random.normal(size=3).astype(np.float32)},
            random.integers(0, 255, (60, 90 - 5 * k, 3), np.uint8),
            "b",
        )
        for k in range(count)
    ]
    space = Space.of(styles)
    return StyleMap.of(space, styles, count - 1, medoids(space.distances(styles), 2))


def test_the_nearest_are_told(tiny_bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(tiny_bundle, "--near", "moss", "--with", pictures, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["of"] == "moss"
    assert told["nearest"][0]["name"] == "moss 2"  # the picture of that name and nearly that colour
    assert {one["name"] for one in told["nearest"]} == {"moss 2", "ember", "night", "snow"}
    distances = [one["distance"] for one in told["nearest"]]
    assert distances == sorted(distances)
    assert ask(tiny_bundle, "--near", pictures / "snow.png", "--count", "1") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"(ember|moss) +\d\.\d\d", line)


def test_the_nearest_of_a_picture_that_is_called_as_a_style(
    tiny_bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tiny_bundle, "--near", pictures / "moss.png", "--with", pictures, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["of"] == "moss 2"
    assert {one["name"] for one in told["nearest"]} == {"moss", "ember", "night", "snow"}


def test_groups_are_told(tiny_bundle: Bundle, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(tiny_bundle, "--clusters", "3", "--with", pictures, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["clusters"]) == 3
    assert sorted(name for group in told["clusters"] for name in group["styles"]) == [
        "ember",
        "moss",
        "moss 2",
        "night",
        "snow",
    ]
    assert any({"moss", "moss 2"} <= set(group["styles"]) for group in told["clusters"])
    assert all(group["medoid"] in group["styles"] for group in told["clusters"])
    assert ask(tiny_bundle, "--clusters", "2") == 0
    assert capsys.readouterr().out.splitlines() == ["1  ember", "2  moss"]


def test_a_map_is_a_picture_or_a_page(
    tiny_bundle: Bundle, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tiny_bundle, "--map", tmp_path / "map.png", "--with", pictures, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["styles"]] == ["ember", "moss", "moss 2", "night", "snow"]
    assert 0 <= told["stress"] < 0.3
    picture = cv2.imread(str(tmp_path / "map.png"))
    assert min(picture.shape[:2]) > 200
    assert ask(tiny_bundle, "--map", tmp_path / "map.html", "--clusters", "2") == 0
    assert "wrote" in capsys.readouterr().out
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert '"name":"ember"' in text
    assert "http" not in re.sub(r'"http://www\.w3\.org/2000/svg"', "", text).replace("http-equiv", "")


def test_cells_do_not_overlap() -> None:
    random = np.random.default_rng(1)
    cell = np.array([80.0, 100.0])
    for places in (random.normal(size=(40, 2)), np.zeros((9, 2)), np.outer(np.arange(12), (1, 0)), np.zeros((1, 2))):
        found, scale = placed(places.astype(float), cell)
        assert scale > 0
        over = cell - np.abs(found[:, None] - found[None])
        over[np.arange(len(found)), np.arange(len(found))] = 0
        assert (over.min(2) < 1).all()
    alone = np.array([[0.0, 0.0], [500.0, 0.0]])
    assert np.array_equal(apart(alone, cell), alone)


def test_every_thumbnail_is_on_the_map() -> None:
    found = some(7)
    picture = drawn(found)
    for style, colour in zip(found.styles, range(7), strict=True):
        frame = found.colour(colour)
        assert frame is not None
        assert (picture == tuple(bytes.fromhex(frame[1:]))).all(2).any(), style.name
    assert fitted("Ōkubo", 100) == "?kubo"
    assert fitted("a-very-long-name-of-a-style", 60).endswith("..")


def test_names_cannot_break_the_page() -> None:
    text = page(some(4), "<model>")
    assert "</script><b>" not in text
    assert "&lt;model&gt;" in text
    data = re.search(r"const data = (.*);", text)
    assert data is not None
    told = json.loads(data[1])
    assert told["styles"][0]["name"] == "</script><b>é"
    assert [one["own"] for one in told["styles"]] == [False, False, False, True]
    assert np.allclose(told["distances"], some(4).distances, atol=0.01)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 (only where there is a browser)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    (tmp_path / "map.html").write_text(page(some(9), "tiny"), encoding="utf-8")
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1200, "height": 900})
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        view.goto((tmp_path / "map.html").as_uri())
        assert Axe().run(view).response["violations"] == []
        view.get_by_role("button", name="style-1").click()
        view.get_by_role("button", name="style-2").focus()
        view.keyboard.press("Enter")
        told = view.inner_text("#told")
        distance = float(some(9).distances[1, 2])
        assert told.startswith(f"style-1 and style-2: distance {distance:.2f}.")
        before = view.get_by_role("button", name="style-3").bounding_box()
        view.focus("#map")
        view.keyboard.press("ArrowLeft")
        after = view.get_by_role("button", name="style-3").bounding_box()
        assert before is not None
        assert after is not None
        assert after["x"] - before["x"] == pytest.approx(60, abs=1)
        view.keyboard.press("+")
        view.mouse.move(600, 500)
        view.mouse.wheel(0, -300)
        view.mouse.down()
        view.mouse.move(700, 520)
        view.mouse.up()
        assert view.inner_text("#told") == told  # a drag chooses nothing
        browser.close()
    assert errors == []


def test_a_walk_is_a_video(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((65, 81, 3), 128, np.uint8))
    out = tmp_path / "walk.mp4"
    words = ("--walk", "ember", "moss", "ember", "--input", tmp_path / "photo.png", "-o", out)
    assert ask(tiny_bundle, *words, "--seconds", "0.6", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width_px"], told["height_px"], told["frames"]) == (80, 64, 15)
    assert told["styles"] == ["ember", "moss", "ember"]
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in container.decode(stream)]
    assert len(frames) == 15
    red = [float(frame[0]) for frame in frames]
    assert red[0] == pytest.approx(164, abs=5)  # half the photo, half ember
    assert red[7] == pytest.approx(84, abs=5)  # moss, half way
    assert red[14] == pytest.approx(red[0], abs=2)
    assert all(a >= b - 2 for a, b in pairwise(red[:8]))


def test_what_cannot_be_asked(
    tiny_bundle: Bundle,
    baked_bundle: Bundle,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.mp4"
    for words, told in (
        (("--near", "moss", "--clusters", "2"), "--near and --clusters are two answers"),
        (("--map", "m.png", "--walk", "ember", "moss"), "--map and --walk are two answers"),
        (("--with", pictures), "--with is for --map or --near or --clusters"),
        (("--near", "moss", "--seconds", "2"), "--seconds is for --walk"),
        (("--provider", "cuda"), "--provider is for what is painted"),
        (("--near", "moss", "--engine", "torch"), "--engine is for what is painted"),
        (("--walk", "ember", "moss"), "--walk needs a file to go to"),
        (("--walk", "ember", "-o", out), "--walk needs two styles or more"),
        (("--walk", "ember", "mos", "-o", out), "no style 'mos'"),
        (("--walk", "ember", "moss", "-o", tmp_path / "out.gif"), "is no video file name"),
        (("--walk", "ember", "moss", "-o", out, "--input", tmp_path / "none.png"), "does not exist"),
        (("--map", tmp_path / "map.txt"), "is no map; its name must end in .html"),
        (("--map", tmp_path / "nowhere" / "map.png"), "does not exist; make it first"),
        (("--map", tmp_path / "map.png", "--with", tmp_path / "none"), "does not exist; --with wants pictures"),
        (("--clusters", "3"), "3 groups of 2 styles"),
        (("--near", "moss", "--text-library", pictures), "--text-library is for styles told in words"),
    ):
        assert told in refused(capsys, ask(tiny_bundle, *words)), words
    assert "at least two styles" in refused(capsys, ask(baked_bundle, "--near", "moss"))
    assert "baked" in refused(capsys, ask(baked_bundle, "--near", "moss", "--with", pictures))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures"]
