"""What another run has learned is taken over where it is of use, and refused where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import InputError
from engines.nets import catalogue
from engines.nets.adain import AdainConfig
from engines.nets.cin import CinConfig
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.ghiasi import GhiasiConfig
from engines.nets.johnson import JohnsonConfig
from engines.nets.reconet import ReconetConfig
from engines.training import checkpoints
from engines.training.warm_start import even_out, measure, start_from, widen

pytestmark = pytest.mark.usefixtures("small_styles")
WIDTHS = (8, 12)
NAMES = ["dusk.jpg", "dawn.png"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A checkpoint of two styles, and its network."""
    path = tmp_path_factory.mktemp("cin") / "checkpoint.pt"
    net: Any = catalogue.build(CinConfig(widths=WIDTHS, blocks=2, styles=2), 1)
    with torch.no_grad():
        net.table.normal_(0, 0.3, generator=torch.Generator().manual_seed(2))
    save(path, net, {"style_names": NAMES})
    return path, checkpoints.load_network(path)


def save(path: Path, net: Any, info: dict[str, Any]) -> None:
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad])
    checkpoints.save(path, net, checkpoints.Ema(net), optimiser, 3, 1.0, info)


def test_one_style_starts_as_the_table_paints_it(table: tuple[Path, Any]) -> None:
    path, cin = table
    net: Any = catalogue.build(JohnsonConfig(widths=WIDTHS, blocks=2), 5)
    start_from(path, net, "dawn")
    frame = torch.rand(1, 3, 24, 28)
    with torch.no_grad():
        assert torch.allclose(net(frame, {}), cin(frame, {"modulation": cin.table[1:]}), atol=1e-6)
        start_from(path, net, "another")
        assert torch.allclose(net(frame, {}), cin(frame, cin.mean_style()), atol=1e-6)


def test_fewer_blocks_take_their_own_part_of_the_vector(table: tuple[Path, Any]) -> None:
    path, cin = table
    net: Any = catalogue.build(ReconetConfig(widths=WIDTHS, blocks=1), 5)
    start_from(path, net, "dusk")
    ours, theirs = net.net.norm_out.scale_and_shift, cin.net.norm_out.scale_and_shift
    assert ours.start < theirs.start
    assert torch.equal(net.modulation[ours.start :], cin.table[0, theirs.start :])
    assert torch.equal(net.net.blocks[0].first.weight, cin.net.blocks[0].first.weight)


def test_any_style_starts_near_the_mean(table: tuple[Path, Any]) -> None:
    path, cin = table
    net: Any = catalogue.build(GhiasiConfig(widths=WIDTHS, blocks=2, hidden=8, bottleneck=4), 5)
    start_from(path, net)
    assert torch.allclose(net.head[-1].bias, cin.mean_style()["modulation"][0])
    assert torch.equal(net.net.up1.weight, cin.net.up1.weight)


def test_the_same_network_is_taken_whole(tmp_path: Path) -> None:
    config = AdainConfig(widths=(12, 8))
    one: Any = catalogue.build(config, 1)
    save(tmp_path / "checkpoint.pt", one, {})
    save_file({name: weight.half() for name, weight in one.state_dict().items()}, tmp_path / "weights.safetensors")
    for name in ("checkpoint.pt", "weights.safetensors"):
        other: Any = catalogue.build(config, 2)
        start_from(tmp_path / name, other)
        for weight, wanted in zip(other.state_dict().values(), one.state_dict().values(), strict=True):
            assert torch.allclose(weight, wanted.half().float())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (JohnsonConfig(widths=(8, 16), blocks=2), "other widths"),
        (JohnsonConfig(widths=WIDTHS, blocks=3), "fewer blocks"),
        (AdainConfig(widths=(12, 8)), "no start for adain"),
    ],
)
def test_what_does_not_fit_is_refused(table: tuple[Path, Any], config: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        start_from(table[0], catalogue.build(config, 0))


SMALL = StyleKernelConfig(
    widths=(4, 8, 16), style_width=8, encoder_blocks=1, decoder_blocks=1, style_blocks=1, key_width=4, code_width=8,
    hidden_width=8, grid=2, groups4=4, groups8=4, shuffle_groups=2,
)  # fmt: skip


def test_style_kernels_that_get_filter_banks_paint_as_before(tmp_path: Path) -> None:
    before: Any = catalogue.build(SMALL, 1)
    save_file(before.state_dict(), tmp_path / "weights.safetensors")
    after: Any = catalogue.build(replace(SMALL, banks=(6, 5)), 2)
    start_from(tmp_path / "weights.safetensors", after)
    frame, picture = torch.rand(1, 3, 40, 48), torch.rand(1, 3, 50, 60)
    with torch.no_grad():
        painted = [net(frame, net.encode_style(picture)) for net in (before, after)]
        assert torch.equal(*painted)
    again: Any = catalogue.build(replace(SMALL, banks=(6, 5)), 3)
    save_file(after.state_dict(), tmp_path / "weights.safetensors")
    start_from(tmp_path / "weights.safetensors", again)
    assert all(torch.equal(a, b) for a, b in zip(after.state_dict().values(), again.state_dict().values(), strict=True))


def test_new_units_of_a_style_code_change_nothing_at_first_and_bend(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(8)
    pictures = torch.rand(12, 3, 40, 48, generator=generator) ** torch.linspace(0.3, 3, 12)[:, None, None, None]
    before: Any = catalogue.build(replace(SMALL, standardised=True), 1)
    measure(before, [before.see_style(pictures)], learned=False)
    save_file(before.state_dict(), tmp_path / "weights.safetensors")
    after: Any = catalogue.build(replace(SMALL, standardised=True, code_width=14), 2)
    start_from(tmp_path / "weights.safetensors", after)
    seen = after.see_style(pictures)
    widen(after, [after.see_style(few) for few in pictures.split(5)], 3)
    known = {name: value.clone() for name, value in after.state_dict().items()}
    encoder = after.style_encoder
    with torch.no_grad():
        for name, value in after.encode_seen(seen).items():
            torch.testing.assert_close(value, before.encode_seen(seen)[name], atol=1e-5, rtol=1e-5)
        told = (encoder.told(encoder.deepened(seen["deepest"]), seen["moments"]) - encoder.usual) / encoder.spread
        new = encoder.code(told)[:, 8:]
    assert bool((new >= 0).all())
    assert bool((new > 0).any(0).all()) and bool((new == 0).any(0).all())  # awake, and bent within the pictures
    torch.testing.assert_close(new.std(0, correction=0), torch.full((6,), 14**-0.5))
    widen(after, iter(()), 4)  # nothing is left to wake
    assert all(torch.equal(value, known[name]) for name, value in after.state_dict().items())


def test_a_checkpoint_of_style_kernels_that_standardised_nothing_is_taken(tmp_path: Path) -> None:
    before: Any = catalogue.build(SMALL, 1)
    save(tmp_path / "checkpoint.pt", before, {})
    after: Any = catalogue.build(replace(SMALL, standardised=True), 2)
    start_from(tmp_path / "checkpoint.pt", after)
    for part in ("decoder.up1", "style_encoder.code.0"):
        torch.testing.assert_close(
            after.get_submodule(part).weight, before.get_submodule(part).weight, atol=1e-3, rtol=1e-3
        )


@pytest.mark.parametrize(
    "changed",
    [
        {"code_width": 9},
        {"widths": (4, 8, 12)},
        {"banks": (6,)},
        {"encoder_blocks": 2},
        {"decoder_blocks": 2},
        {"style_blocks": 2},
        {"standardised": True},
    ],
)
def test_style_kernels_of_another_shape_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    save_file(catalogue.build(replace(SMALL, **changed), 1).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="does not hold weights of this network"):
        start_from(tmp_path / "weights.safetensors", catalogue.build(SMALL, 2))


def test_a_style_encoder_learns_what_is_usual_and_its_dead_units_begin_anew() -> None:
    net: Any = catalogue.build(replace(SMALL, standardised=True), 1)
    encoder = net.style_encoder
    pictures = torch.rand(12, 3, 40, 48, generator=torch.Generator().manual_seed(3))
    seen = net.see_style(pictures)
    with torch.no_grad():
        encoder.code[0].bias[:5] = 50  # answer to everything
        encoder.code[0].bias[5:] = -50  # to nothing: what they add is the same for all pictures
        encoder.modulation.weight[:, 5:] = 0
        encoder.hint.weight[:, 5:] = 0
        before = net.encode_seen(seen)
        measure(net, [net.see_style(few) for few in pictures.split(5)], learned=True)
        after = net.encode_seen(seen)
        for name in ("modulation", "hint"):
            torch.testing.assert_close(after[name], before[name], atol=1e-3, rtol=1e-3)
        told = (encoder.told(encoder.deepened(seen["deepest"]), seen["moments"]) - encoder.usual) / encoder.spread
        awake = (encoder.code[0](told) > 0).float().mean(0)
        fresh = encoder.code(told)[:, 5:]
    assert bool((awake[5:] > 0).all()) and bool((awake[5:] < 1).all())
    # They tell nothing twice, and of eight units each tells an eighth.
    torch.testing.assert_close(fresh.T @ fresh / len(fresh), torch.eye(3) / 8, atol=1e-3, rtol=0)
    assert torch.allclose(fresh.mean(0), torch.zeros(()), atol=1e-3)
    assert torch.allclose(told.mean(0), torch.zeros(()), atol=1e-3)


def test_what_is_usual_is_told_once() -> None:
    net: Any = catalogue.build(replace(SMALL, standardised=True), 1)
    generator = torch.Generator().manual_seed(4)
    measure(net, [net.see_style(torch.rand(6, 3, 32, 32, generator=generator))], learned=False)
    known = {name: value.clone() for name, value in net.state_dict().items()}
    measure(net, [net.see_style(torch.rand(6, 3, 32, 32, generator=generator) ** 3)], learned=True)
    assert all(torch.equal(value, known[name]) for name, value in net.state_dict().items())


def test_a_single_picture_tells_what_is_usual_without_a_division_by_nothing() -> None:
    net: Any = catalogue.build(replace(SMALL, standardised=True), 1)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    measure(net, [net.see_style(picture)], learned=False)
    assert all(bool(value.isfinite().all()) for value in net.encode_style(picture).values())


def test_random_layers_are_scaled_until_the_picture_arrives() -> None:
    config = replace(CONFIGS["live"], widths=(8, 16, 32), style_width=24, grid=4)
    net: Any = catalogue.build(config, 1)
    generator = torch.Generator().manual_seed(6)
    images, pictures = (torch.rand(4, 3, 8, 8, generator=generator) for _ in range(2))
    images, pictures = (torch.nn.functional.interpolate(few, (64, 64), mode="bicubic") for few in (images, pictures))
    seen = net.see_style(pictures)
    told: dict[str, Any] = {}
    layers = {"first": net.encoder.stem, "bank": net.decoder.banks[1].conv, "up": net.decoder.up2}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, __, out, name=name: told.update({name: out.std((0, 2, 3))}))
    with torch.no_grad():
        before = net.unfinished(images, net.encode_seen(seen), (48, 48)).std((2, 3)).mean()
        even_out(net, images, seen, (48, 48))
        after = net.unfinished(images, net.encode_seen(seen), (48, 48)).std((2, 3)).mean()
    assert before < 0.02
    assert after > 0.08
    for name, wanted in (("first", 1.0), ("bank", 1 / 48), ("up", 1.0)):
        assert told[name].mean().item() == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("learned", [False, True])
def test_a_step_of_the_optimiser_moves_a_style_but_little(learned: bool) -> None:
    net: Any = catalogue.build(CONFIGS["live"], 1)
    encoder = net.style_encoder
    generator = torch.Generator().manual_seed(7)
    seen = net.see_style(torch.rand(8, 3, 64, 64, generator=generator))
    if learned:
        with torch.no_grad():
            encoder.code[0].bias.fill_(-50)  # all units are dead, and begin anew
    measure(net, [seen], learned=learned)
    told = encoder.told(encoder.deepened(seen["deepest"]), seen["moments"]).detach()

    def tensors() -> tuple[torch.Tensor, torch.Tensor]:
        code = encoder.code((told - encoder.usual) / encoder.spread)
        return code, encoder.modulation(code)

    before = tensors()
    (before[0][0].sum() + before[1][0].sum()).backward()  # of one picture, all numbers the same way: the worst
    torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3).step()
    with torch.no_grad():
        for then, now in zip(before, tensors(), strict=True):
            assert 1e-4 < (now - then).abs().max() < 0.05
