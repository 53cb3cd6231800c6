"""Every loss against a plain reference or the property that defines it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engines.nets import colour
from engines.training import losses, palette

N, C, H, W = 2, 4, 3, 5
Loss = Callable[[Tensor, Tensor], Tensor]


def features(seed: int, *shape: int) -> Tensor:
    """Like a layer after its ReLU: not negative, mean about 1. float64, so that references agree to many digits."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*(shape or (N, C, H, W)), generator=generator, dtype=torch.float64) * 2


def to_moments(painted: Tensor, style: Tensor) -> Tensor:
    return losses.style_moments(losses.moments(painted), losses.moments(style))


def to_gram(painted: Tensor, style: Tensor) -> Tensor:
    return losses.style_gram(painted, losses.gram(style))


RELATIVE: dict[str, Loss] = {
    "relative": losses.relative,
    "content": losses.content,
    "style_moments": to_moments,
    "style_gram": to_gram,
    "local_attention": losses.local_attention,
    "reconstruction": losses.reconstruction,
}


@pytest.mark.parametrize("loss", [*RELATIVE.values(), losses.remd], ids=[*RELATIVE, "remd"])
def test_nothing_is_lost_at_equality(loss: Loss) -> None:
    a, b = features(1), features(2)
    assert float(loss(a, a)) == pytest.approx(0, abs=1e-12)
    assert float(loss(b, a)) > 1e-3


@pytest.mark.parametrize("loss", RELATIVE.values(), ids=RELATIVE)
def test_relative_losses_do_not_know_the_scale(loss: Loss) -> None:
    # Only the small constants that keep the fractions finite know it.
    a, b = features(1), features(2)
    assert float(loss(a * 100, b * 100)) == pytest.approx(float(loss(a, b)), rel=1e-4)


@pytest.mark.parametrize("loss", RELATIVE.values(), ids=RELATIVE)
def test_samples_of_a_batch_are_averaged(loss: Loss) -> None:
    a, b = features(1), features(2)
    alone = [float(loss(a[i : i + 1], b[i : i + 1])) for i in range(N)]
    assert float(loss(a, b)) == pytest.approx(sum(alone) / N)


@pytest.mark.parametrize("loss", [*RELATIVE.values(), losses.remd], ids=[*RELATIVE, "remd"])
def test_gradients_are_those_of_the_value(loss: Loss) -> None:
    a, b = features(3, 1, 3, 2, 3).requires_grad_(), features(4, 1, 3, 2, 3)
    assert torch.autograd.gradcheck(lambda x: loss(x, b), (a,))


@pytest.mark.parametrize("loss", RELATIVE.values(), ids=RELATIVE)
def test_flat_features_have_finite_gradients(loss: Loss) -> None:
    flat = torch.zeros(1, C, H, W, requires_grad=True)
    loss(flat, features(1, 1, C, H, W).float()).backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None and flat.grad.isfinite().all()


def test_relative_is_one_for_nothing_painted() -> None:
    b = features(1)
    assert float(losses.relative(torch.zeros_like(b), b)) == pytest.approx(1, abs=1e-5)
    assert float(losses.relative(1.1 * b, b)) == pytest.approx(0.01, abs=1e-5)


def test_moments_are_those_of_every_channel() -> None:
    a = features(1)
    mean, deviation = losses.moments(a)
    for n in range(N):
        for c in range(C):
            values = a[n, c].flatten()
            assert float(mean[n, c]) == pytest.approx(float(values.sum()) / values.numel())
            variance = float(((values - values.mean()) ** 2).sum()) / values.numel()
            assert float(deviation[n, c]) == pytest.approx((variance + losses.EPS) ** 0.5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_and_gram_have_the_gradient_that_differences_tell(layout: torch.memory_format) -> None:
    a = features(1, N, C, 3, 4).double().contiguous(memory_format=layout).requires_grad_(True)
    assert torch.autograd.gradcheck(losses.moments, (a,))
    assert torch.autograd.gradcheck(losses.gram, (a,))


def test_gradients_of_moments_keep_layout_and_precision() -> None:
    a = features(1, 2, C, 6, 5).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_(True)
    mean, deviation = losses.moments(a)
    assert mean.dtype == deviation.dtype == torch.float32
    (mean.sum() + deviation.sum()).backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None and a.grad.dtype == torch.bfloat16
    assert a.grad.is_contiguous(memory_format=torch.channels_last)


def test_content_ignores_level_and_contrast_of_a_channel() -> None:
    a = features(1)
    gain, level = features(2, N, C, 1, 1) + 0.5, features(3, N, C, 1, 1)
    assert float(losses.content(a * gain + level, a)) == pytest.approx(0, abs=1e-6)
    # Unrelated features have a distance of about 2, negated ones 4.
    assert float(losses.content(-a, a)) == pytest.approx(4, abs=1e-3)


def test_style_moments_ignore_where_things_are() -> None:
    a, places = features(1), torch.randperm(H * W, generator=torch.Generator().manual_seed(0))
    moved = a.flatten(2)[:, :, places].reshape(a.shape)
    assert float(to_moments(moved, a)) == pytest.approx(0, abs=1e-12)
    assert float(to_gram(moved, a)) == pytest.approx(0, abs=1e-12)


def test_gram_is_a_loop_over_channels_and_places() -> None:
    a = features(1)
    expected = torch.zeros(N, C, C, dtype=a.dtype)
    for n in range(N):
        for i in range(C):
            for j in range(C):
                products = [float(a[n, i, y, x] * a[n, j, y, x]) for y in range(H) for x in range(W)]
                expected[n, i, j] = sum(products) / len(products)
    torch.testing.assert_close(losses.gram(a), expected)


def test_remd_is_a_loop_over_places() -> None:
    a, b = features(1), features(2, N, C, 2, 3)
    expected = []
    for n in range(N):
        ours, theirs = a[n].flatten(1).T, b[n].flatten(1).T
        cost = [[1 - float(p @ q / (p.norm() * q.norm())) for q in theirs] for p in ours]
        forth = sum(min(row) for row in cost) / len(cost)
        back = sum(min(column) for column in zip(*cost, strict=True)) / len(cost[0])
        expected.append(max(forth, back))
    assert float(losses.remd(a, b)) == pytest.approx(sum(expected) / N)


def test_remd_ignores_where_things_are_and_how_strong() -> None:
    a, places = features(1), torch.randperm(H * W, generator=torch.Generator().manual_seed(0))
    moved = a.flatten(2)[:, :, places].reshape(a.shape)
    assert float(losses.remd(moved * 3, a)) == pytest.approx(0, abs=1e-12)


def test_remd_wants_all_of_the_style() -> None:
    # One place alone is found in the style, but the rest of the style is not found in it.
    style = torch.eye(4, dtype=torch.float64).reshape(1, 4, 2, 2)
    painted = style[:, :, :1, :1].expand(1, 4, 2, 2)
    assert float(losses.remd(painted, style)) == pytest.approx(0.75)


def test_remd_of_large_pictures_is_told_by_some_places() -> None:
    a, b = features(1, 1, 8, 24, 24), features(2, 1, 8, 24, 24)
    whole = float(losses.remd(a, b, places=24 * 24))
    # The nearest of fewer places is further away.
    assert whole < float(losses.remd(a, b)) < 2 * whole
    assert float(losses.remd(a, b)) != float(losses.remd(a, b))


def normalised(a: Tensor) -> Tensor:
    flat = a.flatten(2)
    mean = flat.mean(2, keepdim=True)
    return ((flat - mean) / ((flat - mean).square().mean(2, keepdim=True) + 1e-5).sqrt()).reshape(a.shape)


def test_local_attention_target_is_a_loop_over_places() -> None:
    photo, style = features(1), features(2, N, C, 2, 4)
    queries, keys = normalised(photo), normalised(style)
    expected = torch.zeros_like(photo)
    for n in range(N):
        for y in range(H):
            for x in range(W):
                query = queries[n, :, y, x]
                weights = torch.stack([(query @ k).exp() for k in keys[n].flatten(1).T])
                weights = weights / weights.sum()
                values = style[n].flatten(1)
                mean = sum(w * v for w, v in zip(weights, values.T, strict=True))
                assert isinstance(mean, Tensor)
                variance = (weights * (values - mean[:, None]) ** 2).sum(1)
                expected[n, :, y, x] = (variance + losses.EPS).sqrt() * query + mean
    torch.testing.assert_close(losses.local_attention_target(photo, style), expected)


def test_local_attention_target_of_a_flat_style_is_that_style() -> None:
    colour = features(1, 1, C, 1, 1)
    target = losses.local_attention_target(features(2, 1, C, H, W), colour.expand(1, C, 4, 4))
    # The deviation is not quite 0, so that its root has a gradient.
    torch.testing.assert_close(target, colour.expand(1, C, H, W), atol=0.02, rtol=0)


def test_total_variation_is_a_loop_over_neighbours() -> None:
    image = features(1, N, 3, 4, 5) / 2
    rows = [(image[:, :, y + 1] - image[:, :, y]).square().mean() for y in range(3)]
    columns = [(image[:, :, :, x + 1] - image[:, :, :, x]).square().mean() for x in range(4)]
    expected = sum(float(r) for r in rows) / 3 + sum(float(c) for c in columns) / 4
    assert float(losses.total_variation(image)) == pytest.approx(expected)
    assert float(losses.total_variation(torch.full((1, 3, 4, 4), 0.7))) == 0


def test_temporal_counts_valid_pixels_alone() -> None:
    painted, moved = features(1, N, 3, 4, 6), features(2, N, 3, 4, 6)
    valid = torch.zeros(N, 1, 4, 6, dtype=painted.dtype)
    valid[0, :, 1:3, 2:] = 1
    valid[1, :, 0, 0] = 1
    expected = [
        float((painted[n, c, y, x] - moved[n, c, y, x]) ** 2)
        for n in range(N)
        for c in range(3)
        for y in range(4)
        for x in range(6)
        if valid[n, 0, y, x]
    ]
    assert len(expected) == 9 * 3
    assert float(losses.temporal(painted, moved, valid)) == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    elsewhere = painted + (1 - valid) * 10
    assert float(losses.temporal(elsewhere, painted, valid)) == 0


def test_temporal_without_a_valid_pixel_is_nothing() -> None:
    painted = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = losses.temporal(painted, torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert painted.grad is not None and not painted.grad.any()


def test_temporal_moves_both_paintings_at_valid_pixels_alone() -> None:
    painted, moved = features(1, 1, 3, 2, 2).requires_grad_(), features(2, 1, 3, 2, 2).requires_grad_()
    valid = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]], dtype=painted.dtype)
    assert torch.autograd.gradcheck(lambda a, b: losses.temporal(a, b, valid), (painted, moved))
    losses.temporal(painted, moved, valid).backward()  # type: ignore[no-untyped-call]
    assert painted.grad is not None and moved.grad is not None
    assert torch.equal(painted.grad != 0, valid.expand(1, 3, 2, 2) != 0)
    torch.testing.assert_close(moved.grad, -painted.grad)


def test_adversarial_sides_have_their_optima() -> None:
    ones, zeros = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert float(losses.adversarial_generator(ones)) == 0
    assert float(losses.adversarial_generator(zeros)) == 1
    assert float(losses.adversarial_discriminator(ones, zeros)) == 0
    assert float(losses.adversarial_discriminator(zeros, ones)) == 1
    # A critic that cannot tell them apart does best with one half for both.
    half = torch.full((2, 1, 3, 3), 0.5, requires_grad=True)
    confused = losses.adversarial_discriminator(half, half)
    confused.backward()  # type: ignore[no-untyped-call]
    assert float(confused.detach()) == pytest.approx(0.25)
    assert half.grad is not None and not half.grad.any()


def test_adversarial_sides_pull_apart() -> None:
    scores = torch.full((1, 1, 2, 2), 0.4, requires_grad=True)
    (painter,) = torch.autograd.grad(losses.adversarial_generator(scores), scores)
    (critic,) = torch.autograd.grad(losses.adversarial_discriminator(torch.ones(1, 1, 2, 2), scores), scores)
    assert (painter < 0).all() and (critic > 0).all()


def test_lab_is_opencvs() -> None:
    colours = torch.rand(1, 3, 500, generator=torch.Generator().manual_seed(0))
    colours[0, :, :3] = torch.tensor([[0.0, 0.02, 1.0]] * 3)
    ours = losses.lab(colours)[0].T.numpy()
    theirs = palette.lab((colours[0].T.numpy()[None] * 255).round().astype("uint8"))[0]
    assert abs(ours - theirs).max() < 1.0  # OpenCV's is of colours rounded to 8 bits


def test_palette_is_nothing_for_the_same_colours_elsewhere_and_a_shift_for_a_shift() -> None:
    image = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0)) * 0.8
    same = losses.palette(image, image.flip(2), directions=64, pixels=100_000)
    shifted = losses.palette(image + 0.1, image, directions=64, pixels=100_000)
    assert same < 0.03  # drawn with replacement, so not exactly 0
    # Grey by 0.1 is about 10 in L of 100; along random directions the mean of |cos| is a half.
    assert shifted == pytest.approx(0.05, abs=0.02)
    painted = (image * 0.5).requires_grad_()
    losses.palette(painted, image).backward()
    assert painted.grad is not None and painted.grad.abs().sum() > 0


def test_coarse_sees_grounds_and_no_strokes() -> None:
    side = losses.COARSE_PX
    ground = torch.full((1, 3, 2 * side, 2 * side), 0.5)
    strokes = ground + 0.3 * (-1.0) ** torch.arange(2 * side)[:, None]
    assert losses.coarse(strokes, ground) < 1e-9
    brighter = ground.clone()
    brighter[:, :, :side, :side] += 0.2
    assert losses.coarse(brighter, ground).item() == pytest.approx(0.2**2 / 4, rel=1e-3)


def test_own_palette_is_of_means_and_deviations_and_sees_contrast_fade() -> None:
    style = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    mean, covariance = colour.statistics(style)
    told = torch.cat([mean, colour.root(covariance).flatten(1)], 1)
    assert losses.own_palette(style.flip(3), told) < 1e-6
    faded = (mean[:, :, None, None] + 0.1 * (style - mean[:, :, None, None])).requires_grad_()
    lost = losses.own_palette(faded, told)
    assert lost.item() == pytest.approx((0.9 * style.flatten(2).std(2)).square().mean().item(), rel=0.01)
    lost.backward()
    assert faded.grad is not None
    outwards = faded.detach() - mean[:, :, None, None]
    assert (faded.grad * outwards).sum() < 0  # a step against it brings contrast back
    brighter = style + 0.2
    assert losses.own_palette(brighter, told).item() == pytest.approx(0.04, abs=1e-4)


def test_contrast_is_the_cross_entropy_of_a_loop_over_styles() -> None:
    torch.manual_seed(3)
    painted = [torch.rand(2, 5), torch.rand(2, 3)]
    styles = [torch.rand(4, 5) + 0.1, torch.rand(4, 3) + 0.1]
    own = torch.tensor([2, 0])
    expected = []
    for i in range(2):
        far = torch.stack(
            [
                torch.stack(
                    [losses.relative(p[i : i + 1], s[j : j + 1]) for p, s in zip(painted, styles, strict=True)]
                ).mean()
                for j in range(4)
            ]
        )
        expected.append(-torch.log_softmax(-far / 0.2, 0)[own[i]])
    torch.testing.assert_close(losses.contrast(painted, styles, own, 0.2), torch.stack(expected).mean())


def test_contrast_is_nothing_for_the_nearest_by_far_and_wants_the_own_one() -> None:
    styles = [torch.eye(4) * 3]
    own = torch.tensor([1])
    assert losses.contrast([styles[0][1:2]], styles, own) < 1e-6
    assert losses.contrast([styles[0][2:3]], styles, own) > 10


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_grid_stands_out_along_either_axis(period: int) -> None:
    torch.manual_seed(5)
    noise = 0.5 + 0.05 * torch.randn(2, 3, 96, 128)
    clean = losses.grid(noise)
    for axis in (2, 3):
        shape = [1, 1, 1, 1]
        shape[axis] = noise.shape[axis]
        lines = 0.05 * ((torch.arange(noise.shape[axis]) % period) < period // 2).float().reshape(shape)
        assert losses.grid(noise + lines) > clean + 0.2


def test_what_has_another_period_is_no_grid() -> None:
    torch.manual_seed(6)
    noise = 0.5 + 0.02 * torch.randn(2, 3, 160, 160)
    wave = 0.1 * torch.sin(torch.arange(160) * (2 * torch.pi / 11))
    assert losses.grid(noise + wave) < losses.grid(noise) + 0.15


def test_the_grid_of_a_flat_picture_is_nothing_and_has_a_gradient() -> None:
    image = torch.full((1, 3, 96, 96), 0.5, requires_grad=True)
    loss = losses.grid(image)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4) and image.grad is not None and torch.isfinite(image.grad).all()
