"""A style that is fitted to a bundle is one of its styles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.bundle import Bundle, seal
from engines.errors import BundleError
from engines.nets import catalogue
from engines.nets.cin import CinConfig
from engines.nets.johnson import JohnsonConfig
from engines.nets.vgg import Vgg16
from engines.styles import load_style
from engines.torch_eager import load_network
from engines.training import features, fit, fit_bundle
from engines.training.features import LossNetwork
from export.graph import plain_info
from realtime.cli import main
from realtime.pictures import save_picture

SIDE_PX = 64


@pytest.fixture(autouse=True)
def small(narrow_vgg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "PLAIN", replace(fit.PLAIN, crop_px=32))
    monkeypatch.setattr(fit_bundle, "SIDE_PX", SIDE_PX)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = LossNetwork(Vgg16())
    monkeypatch.setattr(network, "calibrate", lambda photos: None)  # so few channels may be dead
    monkeypatch.setattr(features, "load_loss_network", lambda name: network)


def written(folder: Path, config: Any) -> Bundle:
    """A bundle that can be fitted to; its graph is not run."""
    net: Any = catalogue.build(config, 0)
    folder.mkdir()
    save_file({name: weight.half() for name, weight in net.state_dict().items()}, folder / "weights.safetensors")
    (folder / "frame.onnx").write_bytes(b"not run here")
    style = {"modulation": net.table[:1].detach().numpy()} if net.style_tensors else {}
    manifest = {
        "name": folder.name,
        "form": "dynamic",
        "network": {"name": catalogue.kind_of(config), "config": config.as_dict()},
        "frame": plain_info(style).told(),
        "table": ["dusk"],
    }
    return seal(folder, manifest)


@pytest.fixture
def table(tmp_path: Path) -> Bundle:
    return written(tmp_path / "table", CinConfig(widths=(4, 6), blocks=1, styles=1))


def picture(seed: int, height: int = 48, width: int = 56) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_fitted_style_is_one_of_the_bundle_s(table: Bundle) -> None:
    told: list[float] = []
    style = fit_bundle.StyleFitter(table, [picture(2), picture(3)]).fit(picture(1), "sea", steps=12, tell=told.append)
    table.check_style(style)
    assert style.name == "sea" and style.bundle_id == table.id
    assert style.extra.keys() == {"fitted_steps", "loss_before", "loss_after"} and style.extra["fitted_steps"] == "12"
    assert 0 < float(style.extra["loss_after"]) < float(style.extra["loss_before"])
    assert len(told) == 12 and told[-1] < told[0]
    assert np.abs(style.tensors["modulation"]).max() > 0


def test_what_fitting_made_worse_is_given_back(table: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "PLAIN", replace(fit.PLAIN, rates={"modulation": 1e4}))
    checked: list[Any] = []
    learned: list[Any] = []
    losses_of, fit_style = fit.losses_of, fit.fit_style

    def seen(net: Any, image: Any, photos: Any, styles: Any, **told: Any) -> list[float]:
        checked.append(photos)
        return losses_of(net, image, photos, styles, **told)

    def learning(net: Any, image: Any, photos: Any, *told: Any, **more: Any) -> Any:
        learned.append(photos)
        return fit_style(net, image, photos, *told, **more)

    monkeypatch.setattr(fit_bundle, "losses_of", seen)
    monkeypatch.setattr(fit_bundle, "fit_style", learning)
    photos = [picture(number) for number in range(16)]
    style = fit_bundle.StyleFitter(table, photos).fit(picture(20), "sea", steps=2)
    start = load_network(table).mean_style()["modulation"]
    assert np.array_equal(style.tensors["modulation"], start.detach().numpy())
    assert style.extra["loss_after"] == style.extra["loss_before"]
    assert len(checked[0]) == fit_bundle.MOST_CHECKED
    assert len(learned[0]) == len(photos) - fit_bundle.MOST_CHECKED
    # None of those that were put aside was learned on: they would not tell whether others are met, too.
    assert not any(torch.equal(apart, photo) for apart in checked[0] for photo in learned[0])


def test_one_style_in_the_weights_leaves_nothing_to_fit(tmp_path: Path) -> None:
    bundle = written(tmp_path / "single", JohnsonConfig(widths=(4, 6), blocks=1))
    with pytest.raises(BundleError, match="single has its one style in its weights"):
        fit_bundle.StyleFitter(bundle, [picture(2)])


def test_the_command_writes_a_style_file(table: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    save_picture(picture(2), photos / "a.png")
    save_picture(picture(3), photos / "b.png")
    save_picture(picture(1), tmp_path / "sea.png")
    out = tmp_path / "sea.safetensors"
    words = ["style", "fit", str(tmp_path / "sea.png"), "-o", str(out), "--model", str(table.folder), "--steps", "3"]
    assert main([*words, "--photos", str(photos)]) == 0
    style = load_style(out)
    table.check_style(style)
    assert style.name == "sea"
    before, after = style.extra["loss_before"], style.extra["loss_after"]
    assert f"s: loss {after} instead of {before}" in capsys.readouterr().out
    assert main([*words[:4], str(tmp_path / "sea.txt"), *words[5:]]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
