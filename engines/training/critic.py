"""The discriminator of the adversarial loss: does this patch belong to that picture?"""

from __future__ import annotations

from torch import Tensor, nn


class Critic(nn.Module):
    """A small patch discriminator, told the style by its code."""

    def __init__(self, code_width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.score, self.match = nn.Conv2d(128, 1, 1), nn.Linear(code_width, 128)

    def forward(self, image: Tensor, code: Tensor) -> Tensor:
        """image (n, 3, h, w) in 0..1, code (n, code_width) -> scores (n, 1, h/8, w/8): 1 for yes, 0 for no"""
        features = self.trunk(image)  # (n, 128, h/8, w/8)
        return self.score(features) + (features * self.match(code)[:, :, None, None]).mean(1, keepdim=True)  # type: ignore[no-any-return]
