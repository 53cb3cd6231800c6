"""What is promised of the clip before the finish; the finish's own parts are tested beside what engines do."""

from __future__ import annotations

import torch

from engines.nets import colour, finish


def test_what_is_clipped_may_come_back() -> None:
    painting = torch.tensor([-0.5, -0.5, 0.25, 1.5, 1.5], requires_grad=True)
    clipped = finish.clipped(painting)
    assert torch.equal(clipped, torch.tensor([0.0, 0.0, 0.25, 1.0, 1.0]))
    # A step goes against the gradient: of the four outside, the second and the fourth come nearer.
    clipped.backward(torch.tensor([1.0, -1.0, 2.0, 1.0, -1.0]))  # type: ignore[no-untyped-call]
    assert painting.grad is not None
    assert painting.grad.tolist() == [0.0, -1.0, 2.0, 1.0, 0.0]


def test_no_gradient_asks_for_colours_that_the_finish_undoes() -> None:
    random = torch.Generator().manual_seed(3)
    style, photo = torch.rand(2, 1, 3, 64, 64, generator=random)
    mean, covariance = colour.statistics(style)
    wanted = {
        "tones": finish.tones(style),
        "palette": torch.cat([mean, colour.root(covariance).flatten(1)], 1),
        "bands": finish.bands(style),
        "spectrum": finish.spectrum_of(255 * finish.luma(style)),
    }
    painting = (0.3 + 0.1 * photo).requires_grad_()
    finish.finished(painting, wanted)[:, :, ::2].square().sum().backward()  # type: ignore[no-untyped-call]
    gradient = painting.grad
    assert gradient is not None and gradient.abs().mean() > 0.1
    # A change of all colours by an affine map: brighter, more contrast, greens as the reds are.
    brighter, contrast, greener = (
        torch.ones(3, 64, 64),
        photo[0] - photo.mean((2, 3))[0, :, None, None],
        torch.zeros(3, 64, 64),
    )
    greener[1] = contrast[0]
    for change in (brighter, contrast, greener):
        along = (gradient[0] * change).sum() / change.norm()
        assert along.abs() < 1e-3 * gradient.norm()
