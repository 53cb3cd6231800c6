"""The evaluation program: what it writes, that it goes on where it was, its bars and its errors."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from engines.artworks import load_artworks
from engines.bundle import Bundle, seal, sha256_of
from engines.description import bytes_of
from engines.errors import InputError, StyleError
from engines.registry import open_engine
from engines.styles import load_style, save_style
from engines.training import data as training_data
from engines.training import evaluation
from engines.training.metrics import STYLE_LAYERS
from engines.training.spans import SpanSource
from realtime.comparing import Figures
from realtime.synthetic import SyntheticSource

NAMES = (
    "promises", "rivals", "clips", "painters", "contestants", "evaluation_styles", "evaluation_costs",
    "evaluation_runs", "evaluation_report", "evaluation_pictures", "evaluate",
)  # fmt: skip
PHOTOS, STYLES = ("content/a.png", "content/b.png", "content/c.png"), ("style/d.png", "style/e.png")


def network(images: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    features = {}
    for place, name in enumerate(STYLE_LAYERS):
        kernel = torch.randn(4, images.shape[1], 3, 3, generator=generator) * 0.4
        images = torch.nn.functional.conv2d(images, kernel, stride=1 if place == 0 else 2, padding=1).relu()
        features[name] = images
    return features


class Likeness:
    """In place of ST-LPIPS: the squared difference."""

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images]

    def between(self, one: list[Tensor], other: list[Tensor]) -> Tensor:
        return (one[0] - other[0]).square().mean(dim=(1, 2, 3))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The programs as a checkout runs them, judged by small networks; pictures of a folder's own are held out."""
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {name: importlib.import_module(name) for name in NAMES}
    judges: Any = evaluation.Judges(network, network, Likeness())  # type: ignore[arg-type]
    monkeypatch.setattr(found["evaluate"], "load_judges", lambda: judges)
    monkeypatch.setattr(found["evaluation_runs"], "held_out_faces", lambda: {PHOTOS[0]: [(0.2, 0.2, 0.7, 0.8)]})
    monkeypatch.setattr(found["evaluation_runs"], "LONG_SPAN", 3)
    monkeypatch.setattr(found["evaluation_runs"], "STYLES_OF_TRUE_MOTION", 1)
    monkeypatch.setattr(found["evaluation_runs"], "SpanSource", lambda: SpanSource((1, 3)))
    monkeypatch.setitem(found["evaluation_report"].PROMISES, "tiny", found["evaluation_report"].PROMISES["live"])
    monkeypatch.setattr(found["evaluation_costs"], "ROUNDS", 1)
    for module in (evaluation, training_data):
        monkeypatch.setattr(module, "held_out", lambda: frozenset((*PHOTOS, *STYLES)))
    return found


@pytest.fixture
def artworks(programs: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three named works: ember, moss and sky."""
    lines = ("title", "painter", "painter_years", "year", "look", "source", "licence", "licence_reason")
    table = "".join(f'{line} = "-"\n' for line in lines)
    folder = tmp_path / "artworks"
    folder.mkdir()
    for number, name in enumerate(("ember", "moss", "sky")):
        colours = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{name}.jpg"), cv2.resize(colours, (64, 48), interpolation=cv2.INTER_CUBIC))
    (folder / "artworks.toml").write_text("".join(f"[{name}]\n{table}" for name in ("ember", "moss", "sky")))
    monkeypatch.setattr(programs["evaluate"], "load_artworks", lambda: load_artworks(folder))
    monkeypatch.setattr(programs["evaluate"], "held_out_clips", lambda: frozenset({"scene.avi"}))


@pytest.fixture
def johnsons(baked_bundle: Bundle, tmp_path: Path) -> dict[str, Bundle]:
    """Two bundles of one method that paint one style each, by their styles: ember, moss."""
    found = {}
    for name in ("ember", "moss"):
        folder = Path(shutil.copytree(baked_bundle.folder, tmp_path / f"johnson-{name}"))
        style = replace(load_style(folder / "styles" / "moss.safetensors"), name=name)
        (folder / "styles" / "moss.safetensors").unlink()
        save_style(style, folder / "styles" / f"{name}.safetensors")
        network = {"name": "johnson", "config": {}}
        found[name] = seal(folder, {**baked_bundle.manifest, "name": f"johnson-{name}", "network": network})
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos, two style pictures, a clip of 5 frames, a film with its flow."""
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate((*PHOTOS, *STYLES)):
        (folder / name).parent.mkdir(exist_ok=True)
        small = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(small, (96, 72), interpolation=cv2.INTER_CUBIC))
    (folder / "video").mkdir()
    writer = cv2.VideoWriter(str(folder / "video" / "scene.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (128, 96))
    film = folder / "flow_gt" / "film"
    film.mkdir(parents=True)
    source = SyntheticSource((128, 96), frames=5)
    for number, frame in enumerate(iter(source.read, None), start=1):
        writer.write(np.ascontiguousarray(frame.image[:, :, ::-1]))
        cv2.imwrite(str(film / f"frame_{number:04d}.png"), frame.image[:, :, ::-1])
    writer.release()
    head = np.float32(202021.25).tobytes() + np.array([128, 96], np.int32).tobytes()
    (film / "flow_0002.flo").write_bytes(head + np.zeros((96, 128, 2), "<f4").tobytes())
    return folder


def options(data: Path, out: Path, *more: str, models: str | Path, methods: str = "photo,brushcast") -> list[str]:
    settings = ["--size", "256", "--threads", "1", "--pairs", "3", "--sheet-pairs", "2", "--models", str(models)]
    return [str(data), "--out", str(out), "--methods", methods, "--no-rates", *settings, *more]


def named_options(data: Path, out: Path, *models: Bundle) -> list[str]:
    """Of a short run in named styles that measures rates."""
    given = options(data, out, "--styles", "named", models=",".join(str(model.folder) for model in models))
    given.remove("--no-rates")
    return given


def rows(out: Path) -> list[str]:
    return [json.loads(line)["key"] for line in (out / "rows.jsonl").read_text().splitlines()]


def test_an_evaluation_and_its_rerun(
    programs: dict[str, ModuleType], data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    out, main = tmp_path / "out", programs["evaluate"].main
    arguments = options(data, out, models=tiny_bundle.folder)
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "style distance, held-back network (lower is better)" in told
    assert "not measured tiny: style / rival any-style" in told
    assert (out / "evaluation.md").read_text().startswith("# Evaluation\n")
    for name in ("sheet.png", "plot.png"):
        assert cv2.imread(str(out / name)) is not None
    report = json.loads((out / "evaluation.json").read_text())
    assert set(report["means"]) == {"photo", "tiny", "tiny off"}
    assert report["means"]["photo"]["content"] == pytest.approx(0, abs=1e-4)
    assert report["means"]["tiny"]["content"] > 0.01
    assert report["means"]["tiny"]["warping"] < report["means"]["tiny off"]["warping"]
    for name in ("warping_long", "warping_true"):
        assert report["means"]["tiny"][name] is not None
    # 3 pairs each for the photo and the bundle; 1 clip and 1 film for these and the bundle without smoothing.
    first = rows(out)
    assert len(first) == len(set(first)) == 3 * 2 + 3 + 3
    # What these rows are kept by must not change: they take hours to measure.
    graphs = "".join(sha256_of(path)[:4] for path in (tiny_bundle.guide_graph, tiny_bundle.frame_graph))
    own = f"{tiny_bundle.id} {graphs} {programs['painters']._around_graphs()} smoothing"
    assert sum(key.startswith(f"photo 1|{own} 0.9|256|content/") and "|style/" in key for key in first) == 3
    assert sum(key.startswith(f"clip 1|{own} 0|256|40 frames|scene.avi|style/") for key in first) == 1
    assert sum(key.startswith("true motion 1|photo|256|film|style/") for key in first) == 1
    assert len(list((out / "paintings").glob("*/*.png"))) == 2 * 2

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to measure")

    for module, name in (("evaluate", "load_judges"), ("painters", "open_engine"), ("painters", "StyleEncoder")):
        monkeypatch.setattr(programs[module], name, refuse)
    assert main(arguments) == 0
    assert rows(out) == first
    assert capsys.readouterr().out == told
    assert main([*arguments, "--strict"]) == 1


def test_what_is_missing_is_measured_and_new_weights_are_measured_anew(
    programs: dict[str, ModuleType], data: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    out, main = tmp_path / "out", programs["evaluate"].main
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    stills = ("--clips", "0", "--sheet-pairs", "0")
    assert main(options(data, out, "--pairs", "2", *stills, models=folder)) == 0
    assert len(rows(out)) == 4
    assert main(options(data, out, *stills, models=folder)) == 0
    assert len(rows(out)) == 6
    card = folder / "weights.safetensors"
    card.write_bytes(card.read_bytes()[:-2] + b"\x00\x3c")
    for style in (folder / "styles").glob("*"):
        style.unlink()
    changed = seal(folder, tiny_bundle.manifest)
    assert changed.id != tiny_bundle.id
    assert main(options(data, out, *stills, models=folder)) == 0
    found = rows(out)
    assert len(found) == 9 and sum(changed.id in key for key in found) == 3


def test_named_styles_put_networks_of_few_styles_into_the_table(
    programs: dict[str, ModuleType],
    artworks: None,
    data: Path,
    tiny_bundle: Bundle,
    named_bundle: Bundle,
    johnsons: dict[str, Bundle],
    tmp_path: Path,
    capsys: Any,
) -> None:
    out = tmp_path / "out"
    given = named_options(data, out, tiny_bundle, johnsons["moss"], named_bundle, johnsons["ember"])
    assert programs["evaluate"].main(given) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[1].split() == ["photo", "tiny", "johnson", "named", "style", "picture"]
    for label, cells in {"parameters": ["-", "3", "-", "3", "-"], "frames/s at 640x360, CPU": None}.items():
        (line,) = [line for line in told.splitlines() if line.startswith(label)]
        assert cells is None or line.removeprefix(label).split() == cells
    report = json.loads((out / "evaluation.json").read_text())
    assert report["settings"]["styles"] == "named, ember, moss"
    assert report["bars"] == []
    assert all(report["means"][name]["style"] is not None for name in ("tiny", "johnson", "named"))
    assert {name for name, cost in report["costs"].items() if cost["rate"] > 0} == {"tiny", "johnson", "named"}
    found = rows(out)
    assert {key.split("|")[-1] for key in found} == {"ember", "moss"}
    assert len(found) == 3 * 4 + 7 + 7  # pairs; one clip and one film, each with smoothing on and off
    assert len(list((out / "paintings").glob("*/*.png"))) == 2 * 4
    sheet = cv2.imread(str(out / "sheet.png"))
    assert sheet is not None and sheet.shape[1] == 6 + 5 * (256 + 6)


def test_pictures_that_training_sees_are_measured_without_bars(
    programs: dict[str, ModuleType], data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(training_data, "held_out", lambda: frozenset({PHOTOS[1], STYLES[0]}))
    told = ("--styles", "training", "--clips", "0")
    assert programs["evaluate"].main(options(data, out, *told, models=tiny_bundle.folder)) == 0
    report = json.loads((out / "evaluation.json").read_text())
    assert report["settings"]["styles"] == "training" and report["bars"] == []
    painted_in = {tuple(row["on"].split()) for row in report["rows"] if row["method"] == "tiny"}
    assert painted_in == {(photo, STYLES[1]) for photo in (PHOTOS[0], PHOTOS[2])}
    assert "rival any-style:" not in capsys.readouterr().out


def test_a_column_of_several_opens_the_one_whose_style_is_asked_for(
    programs: dict[str, ModuleType],
    johnsons: dict[str, Bundle],
    named_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painters, opened = programs["painters"], []

    def opening(name: str, bundle: Bundle, **told: Any) -> Any:
        opened.append(bundle.name)
        return open_engine(name, bundle, **told)

    monkeypatch.setattr(painters, "open_engine", opening)
    painter = painters.BundlePainter(tuple(johnsons.values()), "johnson", 0.0, 1)
    photo = np.full((64, 64, 3), 200, np.uint8)
    for style in ("moss", "ember", "moss"):
        painter.take_style(style, photo)
        assert painter.paint(photo).shape == photo.shape
    assert opened == ["johnson-moss", "johnson-ember"]
    with pytest.raises(StyleError, match=r"no style 'sky' in johnson; known: ember, moss"):
        painter.take_style("sky", photo)
    painter.close()
    # A style can be fitted anew to the same weights: what was measured of it before then does not count.
    table = Bundle.load(shutil.copytree(named_bundle.folder, tmp_path / "table"))
    before = painters.BundlePainter((table,), "named", 0.0, 1)
    keys = {style: before.key(style) for style in table.styles}
    path = table.folder / "styles" / "ember.safetensors"
    save_style(replace(table.style("ember"), title="another"), path)
    after = painters.BundlePainter((seal(table.folder, table.manifest),), "named", 0.0, 1)
    assert after.key("ember") != keys["ember"] and after.key("moss") == keys["moss"]
    # Nor do paintings that were finished otherwise.
    painters._around_graphs.cache_clear()
    with monkeypatch.context() as other:
        other.setattr(painters.inspect, "getsource", lambda module: f"another {module.__name__}")
        assert after.key("moss") != keys["moss"]
    painters._around_graphs.cache_clear()


def test_all_that_is_done_to_pictures_outside_the_graphs_tells_rows_apart(programs: dict[str, ModuleType]) -> None:
    hashed = {module.__name__ for module in programs["painters"]._AROUND_GRAPHS}
    found, new = set(), {"engines.around"}
    while new:
        name = new.pop()
        found.add(name)
        tree = ast.walk(ast.parse(inspect.getsource(importlib.import_module(name))))
        imported = {node.module or "" for node in tree if isinstance(node, ast.ImportFrom)}
        new |= {module for module in imported if module.startswith("engines.")} - found
    changes_pictures = {name for name in found if "import cv2" in inspect.getsource(sys.modules[name])}
    # Nothing is evaluated that has two styles, or oil.
    assert changes_pictures - hashed == {"engines.regions", "engines.oil"}


def test_kept_styles_are_painted_in_whatever_their_picture(
    programs: dict[str, ModuleType], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    painters = programs["painters"]
    bundle = Bundle.load(shutil.copytree(tiny_bundle.folder, tmp_path / "tiny"))
    photo, pictures = np.full((64, 64, 3), 120, np.uint8), [np.full((64, 64, 3), grey, np.uint8) for grey in (30, 220)]

    def painted(style: str, *, kept: bool) -> list[Any]:
        painter = painters.BundlePainter((bundle,), "tiny", 0.0, 1, kept=kept)
        there = []
        for picture in pictures:
            painter.take_style(style, picture)
            there.append(painter.paint(photo))
        painter.close()
        return there

    assert not np.array_equal(*painted("moss", kept=False))
    assert np.array_equal(*painted("moss", kept=True))
    assert not np.array_equal(painted("moss", kept=True)[0], painted("ember", kept=True)[0])
    with pytest.raises(StyleError, match="no style 'sky' in tiny; known: ember, moss"):
        painted("sky", kept=True)
    keys = [painters.BundlePainter((bundle,), "tiny", 0.0, 1, kept=kept).key("moss") for kept in (False, True)]
    assert keys[0] != keys[1]
    assert list(programs["contestants"].known_to_all({"tiny": (bundle,)}, ["sky", "moss"], kept=True)) == ["moss"]


def test_costs_of_several_bundles_are_the_mean_rate_and_the_weight_of_one(
    programs: dict[str, ModuleType], tiny_bundle: Bundle, johnsons: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = programs["evaluation_costs"]
    columns = {"johnson": tuple(johnsons.values()), "tiny": (tiny_bundle,)}
    photo = np.full((64, 64, 3), 200, np.uint8)

    def measured(contestants: Any, images: Any, rounds: int, told: Any) -> list[Figures]:
        assert {image.shape for image in images} == {(360, 640, 3)}
        assert [one.look.smoothing for one in contestants] == [0.9] * 3
        return [Figures(one, ms) for one, ms in zip(contestants, (10, 20, 5), strict=True)]

    monkeypatch.setattr(module, "measured", measured)
    found = module.costs(columns, photo, 1)
    assert [cost.rate for cost in found.values()] == [75, 200]
    assert math.isnan(found["johnson"].parameters) and found["tiny"].parameters == 3
    assert found["tiny"].megabytes == round(bytes_of(tiny_bundle) / 1e6, 2)
    assert all(math.isnan(cost.rate) for cost in module.costs(columns, photo, 1, rates=False).values())
    assert module.costs({}, photo, 1) == {}


def test_gatys_paints_the_first_pairs_only(
    programs: dict[str, ModuleType], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs["painters"], "load_loss_network", lambda name: network)
    more = ("--clips", "0", "--gatys-pairs", "1", "--gatys-steps", "3")
    out = tmp_path / "out"
    assert programs["evaluate"].main(options(data, out, *more, models="", methods="photo,gatys")) == 0
    # Another weight is another painting, which the journal does not know.
    closer = (*more, "--gatys-network", "hed", "--gatys-style-weight", "3")
    assert programs["evaluate"].main(options(data, out, *closer, models="", methods="photo,gatys")) == 0
    expected = ["gatys 3 steps hed style 3", "gatys 3 steps vgg19 style 30", "photo", "photo", "photo"]
    assert sorted(key.split("|")[1] for key in rows(out)) == expected
    assert "none: no bundle was measured" in (out / "evaluation.md").read_text()


def test_bars_are_ratios_over_what_both_were_measured_on(programs: dict[str, ModuleType]) -> None:
    report, row = programs["evaluation_report"], programs["evaluation_runs"].Row
    own = {"of_style_grid": 1.0, "of_style_border_colour": 4.0, "of_style_border_gradient": 2.0}
    ours = {"style": 0.2, "content": 1.0, "palette": 4.0, "nearest": 1.0, "grid": 1.05, "border_colour": 6.0}
    results = report.Results([
        row("live", "a", ours | own | {"border_gradient": 2.0}),
        row("live", "b", {"style": 9.0, "nearest": 0.0}),
        row("rival any-style", "a", {"style": 0.25, "content": 1.25, "palette": 5.0}),
        row("live", "clip", {"warping": 0.3}),
        row("rival any-style", "clip", {"warping": 1.0}),
    ])  # fmt: skip
    bars = {bar.name: bar for bar in report.judge(results, {"live": "live"})}
    values = {name.removeprefix("live: "): (round(bar.value, 6), bar.limit, bar.met) for name, bar in bars.items()}
    assert values == {
        "style / rival any-style": (0.8, 0.85, True),
        "content / rival any-style": (0.8, 0.9, True),
        "palette / rival any-style": (0.8, 0.8, True),
        "warping / rival any-style": (0.3, 0.25, False),
        "nearest style picture is the right one": (0.5, 0.95, False),
        "grid / the style picture's own": (1.05, 1.1, True),
        "border, colour / the style picture's own": (1.5, 1.1, False),
        "border, gradient / the style picture's own": (1.0, 1.1, True),
    }
    assert results.mean("live", "style") == pytest.approx(4.6)
    assert math.isnan(results.mean("live", "faces"))
    studio = report.judge(results, {"large": "studio"})
    assert [bar.limit for bar in studio[:5]] == [0.65, 0.9, 0.7, 0.3, 0.98]
    assert all(bar.met is None for bar in studio)


def test_what_is_trained_for_steadiness_is_judged_by_what_is_not(programs: dict[str, ModuleType]) -> None:
    report, row = programs["evaluation_report"], programs["evaluation_runs"].Row
    results = report.Results([
        row("reconet off", "clip", {"warping": 0.6}),
        row("reconet", "clip", {"warping": 0.1}),
        row("johnson off", "clip", {"warping": 1.0}),
        row("johnson off", "another", {"warping": 9.0}),
    ])  # fmt: skip
    assert report.judge(results, {"johnson": "johnson-moss", "cin": "cin"}) == []
    (bar,) = report.judge_steadier(results, ["johnson", "reconet", "adain"])
    assert (bar.name, bar.value, bar.limit) == ("reconet: warping, smoothing off / johnson", 0.6, 0.7)
    (other,) = report.judge_steadier(results, ["adain", "adain-steady"])
    assert other.name == "adain-steady: warping, smoothing off / adain" and other.met is None


def test_wrong_input_is_told_in_one_line(
    programs: dict[str, ModuleType],
    data: Path,
    tiny_bundle: Bundle,
    named_bundle: Bundle,
    johnsons: dict[str, Bundle],
    tmp_path: Path,
    capsys: Any,
) -> None:
    one = johnsons["moss"]
    again = shutil.copytree(one.folder, tmp_path / "again")
    named = ("--styles", "named", "--clips", "0")
    lacking = Path(shutil.copytree(data, tmp_path / "lacking"))
    (lacking / STYLES[0]).unlink()
    without_clips = Path(shutil.copytree(data, tmp_path / "without_clips"))
    shutil.rmtree(without_clips / "video")
    wrong = [
        (options(tmp_path / "none", tmp_path / "out", models=tiny_bundle.folder), "is not a folder"),
        (options(lacking, tmp_path / "out", models=tiny_bundle.folder), "lacks 1 of the 5 held-out pictures"),
        (options(without_clips, tmp_path / "out", models=tiny_bundle.folder), "holds no clips"),
        (options(data, tmp_path / "out", models="no-such-bundle"), "no-such-bundle"),
        (options(data, tmp_path / "out", models="", methods="photo,adain"), "unknown method 'adain'; known are: photo"),
        (options(data, tmp_path / "out", models="", methods=","), "unknown method ''"),
        (options(data, tmp_path / "out", models=f"{tiny_bundle.folder},{tiny_bundle.folder}"), "given twice"),
        (options(data, tmp_path / "out", models=named_bundle.folder), "named knows ember, moss and takes no other"),
        (options(data, tmp_path / "out", models=one.folder), "leave it out, or ask for --styles named"),
        (options(data, tmp_path / "out", "--kept", models=one.folder), "--kept is of named styles; add --styles named"),
        (
            options(data, tmp_path / "out", "--styles", "training", models=tiny_bundle.folder),
            "has no pictures but held-out ones",
        ),
        (
            options(data, tmp_path / "out", "--styles", "training", "--strict", models=tiny_bundle.folder),
            "nothing is promised for pictures that training sees",
        ),
        (options(data, tmp_path / "out", *named[:2], models=one.folder), "holds none of the 10 held-out clips"),
        (options(data, tmp_path / "out", *named, models=f"{one.folder},{again}"), "both paint moss; leave one out"),
        (
            options(data, tmp_path / "out", *named, models=f"{named_bundle.folder},{one.folder}"),
            "no named style is known to all: named knows ember, moss; johnson knows moss; leave a model out",
        ),
        (options(data, tmp_path / "out", "--size", "128", models=""), "at least 256"),
        (options(data, tmp_path / "out", "--pairs", "0", models=""), "at least 1"),
        (options(data, tmp_path / "out", "--clips", "-1", models=""), "at least 0"),
        (options(data, tmp_path / "out", "--gatys-style-weight", "0", models=""), "give a number above 0"),
    ]
    for arguments, expected in wrong:
        assert programs["evaluate"].main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("evaluate: ") and expected in line


def test_released_bundles_are_measured_where_none_is_named(
    programs: dict[str, ModuleType],
    tiny_bundle: Bundle,
    named_bundle: Bundle,
    johnsons: dict[str, Bundle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = programs["contestants"]
    monkeypatch.setattr(module, "released", lambda: ("cin", "live", "other"))
    known = {"live": tiny_bundle, "cin": named_bundle, "other": johnsons["moss"]}
    monkeypatch.setattr(module.Bundle, "load", known.__getitem__)
    gatys = programs["painters"].GatysPainter(10)
    who = module.contestants(("rival", "brushcast", "photo"), (), 1, gatys)
    assert [painter.name for painter in who.still] == ["photo", "tiny", "rival any-style"]
    assert list(who.unsmoothed) == ["tiny"] and list(who.bundles) == ["tiny"]
    with pytest.raises(InputError, match="unknown method"):
        module.contestants(("brushcasts",), (), 1, gatys)
    everyone = module.contestants(("brushcast",), (), 1, gatys, named=True).bundles
    assert list(everyone) == ["tiny", "named", "johnson"]
    assert module.known_to_all(everyone, ("sky", "moss", "ember")) == ["moss"]
    assert module.known_to_all({"tiny": (tiny_bundle,)}, ("sky", "moss")) == ["sky", "moss"]
