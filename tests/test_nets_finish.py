"""What is promised of the clip before the finish; the finish's own parts are tested beside what engines do."""

from __future__ import annotations

import torch

from engines.nets import finish


def test_what_is_clipped_may_come_back() -> None:
    painting = torch.tensor([-0.5, -0.5, 0.25, 1.5, 1.5], requires_grad=True)
    clipped = finish.clipped(painting)
    assert torch.equal(clipped, torch.tensor([0.0, 0.0, 0.25, 1.0, 1.0]))
    # A step goes against the gradient: of the four outside, the second and the fourth come nearer.
    clipped.backward(torch.tensor([1.0, -1.0, 2.0, 1.0, -1.0]))  # type: ignore[no-untyped-call]
    assert painting.grad is not None
    assert painting.grad.tolist() == [0.0, -1.0, 2.0, 1.0, 0.0]
