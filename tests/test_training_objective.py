"""What a batch is told in: which terms there are, and where they are nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engines.nets import finish, vgg
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import StyleKernelNet, build
from engines.nets.vgg import Vgg16
from engines.training import losses, objective
from engines.training.features import LossNetwork
from engines.training.moments import MOTION_MARGIN_PX, two_moments
from engines.training.objective import Batch, seen_part
from engines.training.targets import CONTENT_LAYERS, Targets
from engines.training.warm_start import even_out

CROP = 64
ALL = {"content", "style", "gram", "attention", "remd", "contrast", "palette", "grid"}


@pytest.fixture
def net(tiny_style_kernels: StyleKernelConfig, monkeypatch: pytest.MonkeyPatch) -> StyleKernelNet:
    monkeypatch.setattr(vgg, "BLOCKS", tuple((4,) * len(widths) for widths in vgg.BLOCKS))
    return build(tiny_style_kernels, seed=2)


@pytest.fixture
def network(net: StyleKernelNet) -> LossNetwork:
    torch.manual_seed(1)
    return LossNetwork(Vgg16())


@pytest.fixture
def targets(net: StyleKernelNet, network: LossNetwork, tmp_path: Path) -> Targets:
    return Targets(tmp_path, network, net, 2, 2)


@pytest.fixture
def batch(targets: Targets) -> Batch:
    torch.manual_seed(4)
    side = CROP + 2 * MOTION_MARGIN_PX
    coarse = torch.nn.functional.interpolate(torch.rand(2, 3, 12, 12), (side, side), mode="bicubic").clamp(0, 1)
    styles = torch.rand(2, 3, CROP, CROP)
    index = torch.arange(2)
    target = targets.styles(index, styles, CROP, CROP)
    return Batch(two_moments(coarse, CROP), styles, index, target, (32, 32))


def perceived(painted: torch.Tensor, batch: Batch, network: LossNetwork, targets: Targets) -> objective.Terms:
    photo = {layer: value.float() for layer, value in network(batch.moments.now).items() if layer in CONTENT_LAYERS}
    return objective.perceived(painted, batch, photo, network, ALL, lambda: targets.known_styles(batch.index))


def test_the_photo_is_its_own_content_and_the_picture_its_own_style(
    batch: Batch, network: LossNetwork, targets: Targets
) -> None:
    of_photo = perceived(batch.moments.now, batch, network, targets)
    of_style = perceived(batch.styles, batch, network, targets)
    assert of_photo.keys() == of_style.keys() == ALL
    assert of_photo["content"] < 1e-5 < of_style["content"]
    for name in ("style", "gram"):
        assert of_style[name] < 0.1 * of_photo[name], name
    assert of_style["palette"] < 0.5 * of_photo["palette"]
    assert of_style["contrast"] < of_photo["contrast"]


def test_only_what_is_asked_for_is_told(net: StyleKernelNet, batch: Batch) -> None:
    code = net.encode_seen(seen_part(batch.target))
    _, few = objective.paint(net, batch, code, set())
    painted, more = objective.paint(net, batch, code, {"temporal", "own_palette"}, batch.styles[:1])
    assert few.keys() == {"variation"}
    assert more.keys() == {"variation", "temporal", "own_palette", "identity"}
    assert painted.shape == batch.moments.now.shape


def test_grounds_are_compared_with_the_recoloured_photos(net: StyleKernelNet, batch: Batch) -> None:
    code = net.encode_seen(seen_part(batch.target))
    painted, terms = objective.paint(net, batch, code, {"coarse"})
    plain = finish.toned(net.recolour(batch.moments.now, code["palette"]), code["tones"])
    assert terms["coarse"].item() == pytest.approx(losses.coarse(painted, plain).item()) and terms["coarse"] > 0


def test_places_that_come_into_view_need_not_stay_what_they_were(net: StyleKernelNet, batch: Batch) -> None:
    even_out(net, batch.moments.now, seen_part(batch.target), batch.guide_size)
    code = net.encode_seen(seen_part(batch.target))
    told = []
    for valid in (torch.ones_like, torch.zeros_like):
        moments = batch.moments._replace(valid=valid(batch.moments.valid))
        _, terms = objective.paint(net, replace(batch, moments=moments), code, {"temporal", "output_temporal"})
        told.append((terms["temporal"].item(), terms["output_temporal"].item()))
    assert min(told[0]) > 0 and max(told[1]) == 0


def test_a_faded_painting_is_told_though_the_finish_hides_it(net: StyleKernelNet, batch: Batch) -> None:
    even_out(net, batch.moments.now, seen_part(batch.target), batch.guide_size)  # random weights let nothing through
    told = []
    for strength in (0.5, 0.25):
        with torch.no_grad():
            net.decoder.up1.weight.mul_(strength)
        painted, terms = objective.paint(net, batch, net.encode_seen(seen_part(batch.target)), {"own_palette"})
        told.append((painted.std().item(), terms["own_palette"].item()))
    (contrast, off), (faded_contrast, faded_off) = told
    assert faded_off > 1.4 * off
    assert faded_contrast > 0.6 * contrast  # of a quarter of its own


def test_the_warm_up_copies_colours_or_the_teacher(net: StyleKernelNet, batch: Batch) -> None:
    code = net.encode_seen(seen_part(batch.target))
    plain = objective.warm_up(net, batch, code, {"grid"})
    taught = objective.warm_up(net, batch, code, {"grid"}, teacher=build(net.config, seed=3))
    assert plain.keys() == {"identity"}
    assert taught.keys() == {"identity", "grid"}
    assert plain["identity"].item() != taught["identity"].item()


def test_the_pupil_s_grid_is_that_of_its_finished_painting(net: StyleKernelNet, batch: Batch) -> None:
    code = net.encode_seen(seen_part(batch.target))
    taught = objective.warm_up(net, batch, code, {"grid"}, teacher=build(net.config, seed=3))
    unfinished = net.unfinished(batch.moments.now, code, batch.guide_size)
    before, after = losses.grid(unfinished), losses.grid(net.finished(unfinished, code))
    assert taught["grid"].item() == pytest.approx(after.item(), rel=1e-4)
    assert abs(before.item() - after.item()) > 0.01 * after.item()
