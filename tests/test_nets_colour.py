"""The closed-form colour map: it does move mean and covariance, and leaves equal pictures alone."""

from __future__ import annotations

import torch

from engines.nets import colour


def picture(seed: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, 3, generator=generator) * scale
    return 0.5 + (mixing @ torch.randn(3, 1024, generator=generator)).reshape(1, 3, 32, 32)


def test_inverse_root_against_eigenvalues() -> None:
    _, covariance = colour.statistics(picture(0, 0.1))
    values, vectors = torch.linalg.eigh(covariance)
    expected = vectors @ torch.diag_embed(values.rsqrt()) @ vectors.transpose(1, 2)
    torch.testing.assert_close(colour.inverse_root(covariance), expected, rtol=1e-3, atol=1e-3)


def test_inverse_root_of_nearly_grey_pictures() -> None:
    grey = torch.linspace(0, 1, 1024).reshape(1, 1, 32, 32).expand(1, 3, 32, 32)
    _, covariance = colour.statistics(grey)
    product = colour.inverse_root(covariance) @ covariance @ colour.inverse_root(covariance)
    torch.testing.assert_close(product, torch.eye(3)[None], rtol=0, atol=5e-3)


def test_transport_moves_mean_and_covariance_to_the_style() -> None:
    frame, style = picture(1, 0.08), picture(2, 0.05)
    mean, covariance = colour.statistics(frame)
    style_mean, style_covariance = colour.statistics(style)
    matrix, offset = colour.transport(mean, covariance, style_mean, colour.root(style_covariance))
    torch.testing.assert_close(matrix @ covariance @ matrix.transpose(1, 2), style_covariance, rtol=1e-2, atol=1e-5)
    torch.testing.assert_close((matrix @ mean[:, :, None])[:, :, 0] + offset, style_mean)
    torch.testing.assert_close(matrix, matrix.transpose(1, 2), rtol=1e-3, atol=1e-4)  # the optimal map is symmetric


def test_a_picture_in_its_own_colours_stays_as_it_is() -> None:
    frame = picture(3, 0.05).clamp(0, 1)
    mean, covariance = colour.statistics(frame)
    matrix, offset = colour.transport(mean, covariance, mean, colour.root(covariance))
    torch.testing.assert_close(colour.recolour(frame, matrix, offset), frame, atol=2e-3, rtol=0)
