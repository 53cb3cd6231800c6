"""What is kept between steps and runs is what would be computed anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engines.errors import InputError
from engines.nets import style_kernel
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import StyleKernelNet, build
from engines.nets.vgg import Vgg16
from engines.training import losses
from engines.training.features import LossNetwork
from engines.training.targets import FreshTargets, Store, Targets


@pytest.fixture(autouse=True)
def small(narrow_vgg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_kernel, "STYLE_SIDE_PX", 32)


class Maker:
    """Makes a number's square, and remembers what it was asked for."""

    def __init__(self, keys: Tensor) -> None:
        self.keys, self.asked = keys, []  # type: tuple[Tensor, list[int]]

    def __call__(self, missing: list[int]) -> dict[str, Tensor]:
        self.asked += self.keys[missing].tolist()
        return {"square": (self.keys[missing].float() ** 2)[:, None].expand(-1, 3)}


def test_a_store_computes_what_is_missing_and_keeps_it(tmp_path: Path) -> None:
    for keys, asked in (([4, 2], [4, 2]), ([2, 7, 4], [7]), ([7], [])):
        maker = Maker(torch.tensor(keys))
        found = Store(tmp_path / "kept", 8).get(maker.keys, maker)  # opened anew every time
        assert maker.asked == asked
        assert found["square"].tolist() == [[k**2] * 3 for k in keys]
        assert found["square"].dtype == torch.float32


def test_two_runs_share_a_new_store(tmp_path: Path) -> None:
    """Both have opened it before either kept anything; each finds what the other made."""
    one, other = (Store(tmp_path / "kept", 8) for _ in range(2))
    for store, keys, asked in ((one, [4, 2], [4, 2]), (other, [2, 7], [7]), (one, [7, 4], []), (other, [4], [])):
        maker = Maker(torch.tensor(keys))
        assert store.get(maker.keys, maker)["square"].tolist() == [[k**2] * 3 for k in keys]
        assert maker.asked == asked


def test_a_run_whose_targets_were_all_made_by_another_finds_them(tmp_path: Path) -> None:
    one, other = (Store(tmp_path / "kept", 8) for _ in range(2))
    one.get(torch.tensor([5]), Maker(torch.tensor([5])))
    maker = Maker(torch.tensor([5]))
    assert other.get(maker.keys, maker)["square"].tolist() == [[25] * 3]
    assert maker.asked == []


@pytest.mark.parametrize("names", [("square", "cube"), ("cube",)])
def test_tensors_of_another_edition_are_not_mixed_with_what_is_kept(names: tuple[str, ...], tmp_path: Path) -> None:
    """Pictures that were marked as done before a tensor was added would have zeros for it."""
    Store(tmp_path / "kept", 8).get(torch.tensor([4]), Maker(torch.tensor([4])))
    kept = Store(tmp_path / "kept", 8)
    with pytest.raises(InputError, match=r"kept was kept by another edition of the program \(cube.*\); delete it"):
        kept.get(torch.tensor([4, 2]), lambda missing: dict.fromkeys(names, torch.ones(len(missing), 3)))
    assert not (tmp_path / "kept" / "cube.npy").exists() and int(kept.have.sum()) == 1


def targets(folder: Path) -> tuple[Targets, StyleKernelNet, LossNetwork]:
    config = StyleKernelConfig(widths=(4, 4, 8), style_width=8, key_width=4, code_width=8, hidden_width=8, grid=4)
    net, network = build(config, 0), LossNetwork(Vgg16())
    net.vgg.copy_from(network.vgg)
    return Targets(folder, network, net, 3, 6), net, network


def test_style_targets_are_moments_of_the_whole_and_features_of_the_middle(tmp_path: Path) -> None:
    kept, net, network = targets(tmp_path)
    pictures = torch.rand(2, 3, 32, 32)
    for _ in range(2):
        found = kept.styles(torch.tensor([2, 0]), pictures, 32, 16)
        with torch.no_grad():
            seen, features = net.see_style(pictures), network(pictures)
        for name, value in seen.items():
            torch.testing.assert_close(found[f"seen.{name}"], value, atol=1e-2, rtol=2e-3)
        torch.testing.assert_close(found["relu4_1"], features["relu4_1"][:, :, 1:3, 1:3], atol=1e-2, rtol=2e-3)
        mean, deviation = losses.moments(features["relu2_1"])
        torch.testing.assert_close(found["relu2_1.mean"], mean, atol=1e-2, rtol=2e-3)
        torch.testing.assert_close(found["relu2_1.deviation"], deviation, atol=1e-2, rtol=2e-3)
        torch.testing.assert_close(found["relu3_1.gram"], losses.gram(features["relu3_1"]), atol=1e-2, rtol=2e-3)


def test_crop_targets_are_deep_features(tmp_path: Path) -> None:
    kept, _, network = targets(tmp_path)
    crops = torch.rand(2, 3, 32, 32)
    found = kept.crops(torch.tensor([5, 1]), crops)
    with torch.no_grad():
        features = network(crops)
    assert set(found) == {"relu4_1", "relu5_1"}
    for name, value in found.items():
        torch.testing.assert_close(value, features[name], atol=1e-2, rtol=2e-3)


def test_networks_of_other_kinds_share_what_the_losses_need(tmp_path: Path) -> None:
    _, net, network = targets(tmp_path / "kernels")
    asked: list[int] = []

    class Counted(LossNetwork):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            asked.append(len(images))
            return network(images)

    counted, pictures = Counted(network.vgg), torch.rand(2, 3, 32, 32)
    found = []
    for kind in ("one", "other"):
        shared = tmp_path / f"seen-{kind}", tmp_path / "crops"
        kept = Targets(tmp_path / "losses", counted, net, 3, 6, shared)
        found.append(kept.styles(torch.tensor([2, 0]), pictures, 32, 16))
        kept.crops(torch.tensor([1]), pictures[:1])
    assert asked == [2, 1]  # by the first of them
    assert found[0].keys() == found[1].keys() and {"relu1_1.mean", "relu2_1.gram"} <= found[0].keys()
    assert any(name.startswith("seen.") for name in found[0])
    assert "relu4_1" not in found[0]  # for attention alone


def test_the_known_styles_are_those_that_were_asked_for(tmp_path: Path) -> None:
    kept, _, _ = targets(tmp_path)
    pictures = torch.rand(3, 3, 32, 32)
    first = kept.styles(torch.tensor([2]), pictures[2:], 32, 16)
    statistics, own = kept.known_styles(torch.tensor([2]))
    assert own.tolist() == [0] and [part.shape[0] for part in statistics] == [1] * 10
    torch.testing.assert_close(statistics[0], first["relu1_1.mean"])
    other = kept.styles(torch.tensor([0]), pictures[:1], 32, 16)
    statistics, own = kept.known_styles(torch.tensor([2, 0]))
    assert own.tolist() == [1, 0]
    torch.testing.assert_close(statistics[9][0], other["relu5_1.deviation"][0])


def test_fresh_targets_are_what_would_be_kept(tmp_path: Path) -> None:
    kept, net, network = targets(tmp_path)
    fresh, pictures, keys = FreshTargets(network, net, 3), torch.rand(2, 3, 32, 32), torch.tensor([2, 0])
    for told, wanted in (
        (fresh.styles(keys, pictures, 32, 16), kept.styles(keys, pictures, 32, 16)),
        (fresh.crops(keys, pictures), kept.crops(keys, pictures)),
    ):
        assert told.keys() == wanted.keys()
        for name, value in told.items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, wanted[name], atol=1e-2, rtol=2e-3)


def test_of_fresh_targets_the_latest_view_of_each_style_is_known(tmp_path: Path) -> None:
    _, net, network = targets(tmp_path)
    fresh = FreshTargets(network, net, 3)
    fresh.styles(torch.tensor([2]), torch.rand(1, 3, 32, 32), 32, 16)
    latest = fresh.styles(torch.tensor([2]), torch.rand(1, 3, 32, 32), 32, 16)
    other = fresh.styles(torch.tensor([0]), torch.rand(1, 3, 32, 32), 32, 16)
    statistics, own = fresh.known_styles(torch.tensor([2, 0]))
    assert own.tolist() == [1, 0] and [part.shape[0] for part in statistics] == [2] * 10
    torch.testing.assert_close(statistics[0][1], latest["relu1_1.mean"][0])
    torch.testing.assert_close(statistics[9][0], other["relu5_1.deviation"][0])
