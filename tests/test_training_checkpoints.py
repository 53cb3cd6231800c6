"""A checkpoint rebuilds its network and lets a run go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets import catalogue
from engines.nets.cin import CinConfig, CinNet
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import build
from engines.training import checkpoints

TINY = StyleKernelConfig(
    widths=(8, 8, 8),
    style_levels=1,
    style_width=8,
    encoder_blocks=0,
    decoder_blocks=1,
    style_blocks=0,
    key_width=4,
    code_width=8,
    hidden_width=8,
    grid=4,
    groups4=4,
    groups8=4,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What is small is slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Run:
    """A network, its average and its optimiser, as a training run has them."""

    def __init__(self, config: str | StyleKernelConfig = TINY) -> None:
        self.net = build(config, 0)
        self.ema = checkpoints.Ema(self.net)
        self.trained = [p for p in self.net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(self.trained, lr=1e-2, betas=(0.9, 0.99))
        self.steps = 0

    def step(self) -> None:
        generator = torch.Generator().manual_seed(self.steps)
        gradients = [torch.randn(p.shape, generator=generator) for p in self.trained]
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient
        self.optimiser.step()
        self.ema.update(self.net, self.steps)
        self.steps += 1

    def save(self, path: Path, **info: Any) -> None:
        checkpoints.save(path, self.net, self.ema, self.optimiser, self.steps, 1.5 * self.steps, info)


def differences(one: nn.Module, other: nn.Module) -> Tensor:
    """The largest of what is trained; the frozen part is kept in fp16."""
    pairs = zip(one.named_parameters(), other.parameters(), strict=True)
    return torch.stack([(a - b).abs().max() for (name, a), b in pairs if not name.startswith("vgg.")]).max().detach()


def resumed(path: Path) -> Run:
    """What a second start makes of a checkpoint."""
    content = checkpoints.load(path)
    run = Run(content["config"])
    run.net.load_state_dict(content["net"])
    run.ema.net.load_state_dict({k: v.float() for k, v in content["ema"].items()})
    run.optimiser.load_state_dict(content["optimiser"])
    run.steps = content["step"]
    return run


@pytest.fixture
def run() -> Run:
    run = Run()
    for _ in range(20):
        run.step()
    return run


def test_everything_comes_back(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt", method="live", crop=64)
    content = checkpoints.load(tmp_path / "checkpoint.pt")
    assert content["config"] == TINY
    assert (content["step"], content["seconds"]) == (20, 30.0)
    assert content["info"] == {"method": "live", "crop": 64}
    other = resumed(tmp_path / "checkpoint.pt")
    assert differences(other.net, run.net) < 1e-5  # kept in fp16 as its distance to the average, which is below 0.02
    assert differences(other.ema.net, run.ema.net) < 1e-3  # kept in fp16
    assert differences(run.ema.net, run.net) > 1e-2
    for mine, theirs in zip(run.trained, other.trained, strict=True):
        kept, read = run.optimiser.state[mine], other.optimiser.state[theirs]
        assert read["step"] == kept["step"] == 20
        assert read["exp_avg"].dtype == torch.float32
        for moment in ("exp_avg", "exp_avg_sq"):  # kept in bfloat16
            torch.testing.assert_close(read[moment], kept[moment], rtol=0.01, atol=1e-6)


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    other, before = resumed(tmp_path / "checkpoint.pt"), deepcopy(run.net)
    for _ in range(5):
        run.step()
        other.step()
    assert differences(run.net, before) > 1e-2
    assert differences(run.net, other.net) < 5e-4
    assert differences(run.ema.net, other.ema.net) < 1e-3


def test_saving_leaves_the_run_as_it_is(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    state = run.optimiser.state[run.trained[0]]
    assert state["exp_avg"].dtype == torch.float32
    assert next(run.ema.net.parameters()).dtype == torch.float32


def test_the_average_is_what_paints(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    net = checkpoints.load_network(tmp_path / "checkpoint.pt")
    assert not net.training
    assert differences(net, run.ema.net) < 1e-3
    frame = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        painted = net(frame, net.encode_style(frame))
        expected = run.ema.net(frame, run.ema.net.encode_style(frame))  # type: ignore[operator]
    torch.testing.assert_close(painted, expected, atol=0.02, rtol=0)


def test_the_average_follows_faster_at_the_start() -> None:
    run = Run()
    random_weights = deepcopy(run.net)
    for _ in range(60):
        run.step()
    # With a decay of 0.998 from the start, nine tenths of the random weights would be left.
    assert differences(run.ema.net, run.net) < 0.5 * differences(random_weights, run.net)
    assert not any(p.requires_grad for p in run.ema.net.parameters())
    late = checkpoints.Ema(random_weights, decay=0.9)
    late.update(run.net, 10**6)
    expected = [0.9 * a + 0.1 * b for a, b in zip(random_weights.parameters(), run.net.parameters(), strict=True)]
    for found, one in zip(late.net.parameters(), expected, strict=True):
        torch.testing.assert_close(found, one)


def test_a_checkpoint_of_live_is_small(tmp_path: Path) -> None:
    run = Run("live")
    run.step()
    run.save(tmp_path / "checkpoint.pt")
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert set(sizes) == {"checkpoint.pt", "checkpoint.optimiser.pt"}
    assert max(sizes.values()) < 16 * 2**20


def test_a_checkpoint_without_its_optimiser_still_paints(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    assert "optimiser" in checkpoints.load(tmp_path / "checkpoint.pt")
    checkpoints.optimiser_of(tmp_path / "checkpoint.pt").unlink()
    assert "optimiser" not in checkpoints.load(tmp_path / "checkpoint.pt")
    assert differences(checkpoints.load_network(tmp_path / "checkpoint.pt"), run.ema.net) < 1e-3


def test_older_checkpoints_that_hold_the_network_itself_are_read(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del content["away"]
    torch.save(content | {"net": run.net.state_dict()}, tmp_path / "checkpoint.pt")
    assert differences(resumed(tmp_path / "checkpoint.pt").net, run.net) == 0


def test_it_is_written_beside_and_renamed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    run.save(path)
    files = (path, checkpoints.optimiser_of(path))
    assert {*tmp_path.iterdir()} == {*files}
    whole = [file.read_bytes() for file in files]

    def full_disk(_content: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        run.save(path)
    assert [file.read_bytes() for file in files] == whole


def test_a_missing_checkpoint_is_told(tmp_path: Path) -> None:
    for load in (checkpoints.load, checkpoints.load_network):
        with pytest.raises(InputError, match="does not exist"):
            load(tmp_path / "none.pt")


class Foreign:
    """Code that a checkpoint must never run."""


@pytest.mark.parametrize(
    "content",
    [
        {"weights": torch.zeros(3)},
        {"config": {"widths": [1, 2, 3], "colour": "green"}},
        {"config": TINY.as_dict()},
        torch.zeros(2),
        [1, 2],
        Foreign(),
    ],
    ids=["another program's", "unknown setting", "incomplete", "a tensor", "a list", "code"],
)
def test_what_is_no_checkpoint_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match="is not a checkpoint of this program") as caught:
        checkpoints.load_network(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_does_not_say_what_it_is_of_is_a_style_kernels(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "checkpoint.pt")
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert content.pop("kind") == "style_kernel"
    torch.save(content, tmp_path / "old.pt")
    net = checkpoints.load_network(tmp_path / "old.pt")
    assert net.config == TINY and differences(net, run.ema.net) < 1e-3  # type: ignore[arg-type]


def test_a_network_of_another_paper_is_rebuilt(tmp_path: Path) -> None:
    net = catalogue.build(CinConfig(widths=(4, 6), blocks=1, styles=5), 0)
    optimiser = torch.optim.Adam(net.parameters())
    checkpoints.save(tmp_path / "checkpoint.pt", net, checkpoints.Ema(net), optimiser, 0, 0.0, {"method": "cin"})
    read = checkpoints.load_network(tmp_path / "checkpoint.pt")
    assert read.config == net.config and isinstance(read, CinNet)
    assert all(torch.equal(read.state_dict()[k], v.half().float()) for k, v in net.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 half a zip"])
def test_spoiled_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "spoiled.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a checkpoint of this program"):
        checkpoints.load(path)


def test_a_cut_file_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    run.save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="is not a checkpoint of this program"):
        checkpoints.load(path)


def test_released_weights_are_put_into_a_network(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({k: v.half() for k, v in run.net.state_dict().items()}, file)
    other = build(run.net.config, 9)
    checkpoints.load_weights(file, other)
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value.half().float(), msg=name)


def test_weights_of_another_network_are_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"nothing": torch.zeros(1)}, file)
    (tmp_path / "text.safetensors").write_text("no weights")
    for path in (file, tmp_path / "text.safetensors", tmp_path / "missing.safetensors"):
        with pytest.raises(InputError, match="does not hold weights"):
            checkpoints.load_weights(path, run.net)
