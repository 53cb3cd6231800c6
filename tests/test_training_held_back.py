"""The judging networks: their shapes, that they are the published ones, and what the distance says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engines.errors import InputError
from engines.nets import vgg
from engines.training import held_back
from engines.training.held_back import ShiftTolerantVgg, StLpips, load_held_back_vgg, load_st_lpips

NARROW = tuple((4,) * len(widths) for widths in vgg.BLOCKS)
# torchvision's list of VGG-16 with every pool split in two (maximum, blur): the convolutions of each slice.
PLACES = {1: (0, 2), 2: (6, 8), 3: (12, 14, 16), 4: (20, 22, 24), 5: (28,)}


def blurred(x: Tensor) -> Tensor:
    """By hand: every channel by itself."""
    padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16
    return torch.cat([F.conv2d(padded[:, c : c + 1], kernel, stride=2) for c in range(x.shape[1])], dim=1)


def scaled(x: Tensor) -> Tensor:
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    return (x * 2 - 1 - shift.reshape(1, 3, 1, 1)) / scale.reshape(1, 3, 1, 1)


def write_vgg(path: Path) -> dict[str, Tensor]:
    state, inputs = {}, 3
    for piece, places in PLACES.items():
        for place in places:
            state[f"net.slice{piece}.{place}.weight"] = torch.randn(4, inputs, 3, 3) * 0.3
            state[f"net.slice{piece}.{place}.bias"] = torch.randn(4) * 0.1
            inputs = 4
    torch.save(state, path)
    return state


def write_alex(path: Path, lacks: str = "") -> dict[str, Tensor]:
    state = {}
    network = StLpips()
    for number, (name, conv) in enumerate(zip(("1.0", "2.5", "3.9", "4.11", "5.13"), network.convs, strict=True)):
        state[f"net.slice{name}.weight"] = torch.randn_like(conv.weight) * 0.02  # type: ignore[arg-type]
        state[f"net.slice{name}.bias"] = torch.randn_like(conv.bias) * 0.1  # type: ignore[arg-type]
        state[f"lin{number}.model.1.weight"] = torch.rand(1, int(conv.out_channels), 1, 1)  # type: ignore[arg-type]
    state.pop(lacks, None)
    torch.save(state, path)
    return state


def expect(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    monkeypatch.setattr(held_back, name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_vgg_has_its_layers_at_halved_sizes() -> None:
    found = ShiftTolerantVgg()(torch.rand(1, 3, 64, 96))
    assert {name: tuple(layer.shape[1:]) for name, layer in found.items()} == {
        "relu1_1": (64, 64, 96),
        "relu2_1": (128, 33, 49),
        "relu3_1": (256, 17, 25),
        "relu4_1": (512, 9, 13),
        "relu5_1": (512, 5, 7),
    }


def test_vgg_is_the_published_one(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "BLOCKS", NARROW)
    state = write_vgg(own_cache / "vgg_shift_tolerant.pth")
    expect(monkeypatch, "_VGG_SHA256", own_cache / "vgg_shift_tolerant.pth")
    picture = torch.rand(2, 3, 48, 40)
    found = load_held_back_vgg()(picture)
    x = scaled(picture)
    for piece, places in PLACES.items():
        x = x if piece == 1 else blurred(F.max_pool2d(x, 2, stride=1))
        for number, place in enumerate(places):
            name = f"net.slice{piece}.{place}"
            x = F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1))
            if number == 0:
                torch.testing.assert_close(found[f"relu{piece}_1"], x)


def test_st_lpips_is_the_published_one(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = write_alex(own_cache / "alex_shift_tolerant.pth")
    expect(monkeypatch, "_ALEX_SHA256", own_cache / "alex_shift_tolerant.pth")
    pictures = torch.rand(2, 3, 80, 72)
    x = scaled(pictures)
    expected = torch.zeros(())
    for number, (name, padding) in enumerate(zip(("1.0", "2.5", "3.9", "4.11", "5.13"), (2, 2, 1, 1, 1), strict=True)):
        if number in (1, 2):
            x = blurred(F.max_pool2d(x, 3, stride=1))
        x = F.conv2d(x, state[f"net.slice{name}.weight"], state[f"net.slice{name}.bias"], padding=padding)
        x = F.relu(blurred(x) if number == 0 else x)
        one, other = F.normalize(x, dim=1)
        weights = state[f"lin{number}.model.1.weight"][0]
        expected = expected + ((one - other).square() * weights).sum(dim=0).mean()
    found = load_st_lpips()(pictures[:1], pictures[1:])
    torch.testing.assert_close(found, expected[None], rtol=1e-4, atol=1e-5)


def test_st_lpips_is_nothing_for_the_same_picture_and_symmetric() -> None:
    network, one, other = StLpips(), torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    for head in network.heads:
        torch.nn.init.ones_(head.weight)  # type: ignore[arg-type]
    assert float(network(one, one)) == 0
    assert float(network(one, other)) == pytest.approx(float(network(other, one)))
    assert float(network(one, other)) > float(network(one, (one + 0.1 * other) / 1.1)) > 0


def test_weights_without_an_entry_are_refused(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_alex(own_cache / "alex_shift_tolerant.pth", lacks="lin3.model.1.weight")
    expect(monkeypatch, "_ALEX_SHA256", own_cache / "alex_shift_tolerant.pth")
    with pytest.raises(InputError, match=r"have no lin3\.model\.1\.weight"):
        load_st_lpips()


@pytest.mark.slow
def test_the_published_weights_are_the_expected_ones(own_cache: Path) -> None:
    photo = torch.rand(1, 3, 64, 64)
    assert all(layer.isfinite().all() and layer.max() > 0 for layer in load_held_back_vgg()(photo).values())
    assert 0 < float(load_st_lpips()(photo, photo.flip(3))) < 2
