"""Gatys' loss of a painting and its gradient, tile by tile where the picture is large: memory then has a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.training import losses
from engines.training.gatys_recipe import LAYERS, Recipe
from engines.training.metrics import FeatureNetwork, Features

# Tiles begin at multiples of GRID_PX, as every layer's places do, and see MARGIN_PX around them: no place of relu5_1
# sees further than 66 px in VGG-16 and 78 px in VGG-19. So a loss in tiles is the loss of the whole, but for rounding.
GRID_PX, MARGIN_PX = 16, 80
TILE_PX = 512
# A picture up to so many pixels is one tile: as much as a tile with its margins.
WHOLE_PX = (TILE_PX + 2 * MARGIN_PX) ** 2
_STRIDES = {layer: 2**place for place, layer in enumerate(LAYERS)}


@dataclass(frozen=True, slots=True)
class Parts:
    """A loss and what it is made of; content and style without their weights."""

    loss: float
    content: float
    style: float


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows and columns of a picture: its own, and with the margins (top, bottom, left, right)."""

    own: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]


def tiles_of(height: int, width: int, tile_px: int = TILE_PX, whole_px: int = WHOLE_PX) -> tuple[Tile, ...]:
    """Tiles that cover a picture, each place in one of them; a single one up to `whole_px` pixels.

    tile_px: a multiple of GRID_PX.
    """
    if height * width <= whole_px:
        whole = (0, height, 0, width)
        return (Tile(whole, whole),)
    return tuple(
        Tile(
            (top, bottom, left, right),
            (
                max(0, top - MARGIN_PX),
                min(height, bottom + MARGIN_PX),
                max(0, left - MARGIN_PX),
                min(width, right + MARGIN_PX),
            ),
        )
        for top, bottom in _spans(height, tile_px)
        for left, right in _spans(width, tile_px)
    )


class Wanted:
    """What a painting of one size shall have: the photo's content, and the mean of the styles' Gram matrices."""

    def __init__(
        self,
        network: FeatureNetwork,
        photo: Tensor,
        styles: Sequence[tuple[Tensor, float]],
        recipe: Recipe,
        tiles: tuple[Tile, ...] | None = None,
    ) -> None:
        """photo: float32 (1, 1 or 3, h, w) in 0..1. styles: the same of any sizes, with their shares, which sum to 1.

        tiles: of the photo's size; None: `tiles_of` chooses.
        """
        self._network, self._recipe = network, recipe
        self._tiles = tiles_of(*photo.shape[2:]) if tiles is None else tiles
        with torch.no_grad():
            # Kept by tiles, as they are compared.
            self._content = [
                {layer: found[layer] for layer in recipe.content} for found in map(self._seen(photo), self._tiles)
            ]
            sizes = {
                layer: sum(float(tile[layer].square().sum()) for tile in self._content) for layer in recipe.content
            }
            total = sum(recipe.content.values())
            self._scales = {
                layer: share / total / (sizes[layer] + losses.EPS) for layer, share in recipe.content.items()
            }
            self._grams = {layer: torch.zeros((), device=photo.device) for layer in recipe.style}
            for picture, share in styles:
                for layer, gram in self._grams_of(picture, tiles_of(*picture.shape[2:]))[0].items():
                    self._grams[layer] = self._grams[layer] + share * gram

    def judge(self, painting: Tensor) -> Parts:
        """The loss of `painting`, a leaf of the photo's shape; its gradient is added to painting.grad."""
        recipe = self._recipe
        if recipe.total_variation:
            rough = recipe.total_variation * losses.total_variation(painting)
            rough.backward()  # type: ignore[no-untyped-call]
            told = float(rough.detach())
        else:
            told = 0.0
        if len(self._tiles) == 1:
            found = self._seen(painting)(self._tiles[0])
            content = self._content_loss(found, 0)
            style = self._style_loss({layer: losses.gram(found[layer]) for layer in recipe.style})
            (content + recipe.style_weight * style).backward()  # type: ignore[no-untyped-call]
            total, style = float(content.detach()), style.detach()
        else:
            total, style = self._judge_tiles(painting)
        return Parts(total + recipe.style_weight * float(style) + told, total, float(style))

    def _judge_tiles(self, painting: Tensor) -> tuple[float, Tensor]:
        """Twice over the tiles: for the Gram matrices, then, knowing the gradient to those, for the painting's."""
        with torch.no_grad():
            grams, places = self._grams_of(painting, self._tiles)
        for gram in grams.values():
            gram.requires_grad_(True)
        style = self._style_loss(grams)
        pulls = dict(zip(grams, torch.autograd.grad(style, list(grams.values())), strict=True))
        seen, total = self._seen(painting), 0.0
        for place, tile in enumerate(self._tiles):
            found = seen(tile)
            content = self._content_loss(found, place)
            parts = [(pull * _products(found[layer])).sum() / places[layer] for layer, pull in pulls.items()]
            pulled = torch.stack(parts).sum()
            (content + self._recipe.style_weight * pulled).backward()  # type: ignore[no-untyped-call]
            total += float(content.detach())
        return total, style.detach()

    def _seen(self, picture: Tensor) -> _Seen:
        return _Seen(self._network, picture)

    def _content_loss(self, found: Features, place: int) -> Tensor:
        wanted = self._content[place]
        parts = [scale * (found[layer] - wanted[layer]).square().sum() for layer, scale in self._scales.items()]
        return torch.stack(parts).sum()

    def _style_loss(self, grams: Features) -> Tensor:
        shares, total = self._recipe.style, sum(self._recipe.style.values())
        parts = [share / total * losses.relative(grams[layer], self._grams[layer]) for layer, share in shares.items()]
        return torch.stack(parts).sum()

    def _grams_of(self, picture: Tensor, tiles: tuple[Tile, ...]) -> tuple[Features, dict[str, int]]:
        """Gram matrices of a whole picture, per place, and how many places the layers have."""
        sums: Features = {}
        places = dict.fromkeys(self._recipe.style, 0)
        for found in map(self._seen(picture), tiles):
            for layer in places:
                products = _products(found[layer])
                sums[layer] = sums[layer] + products if layer in sums else products
                places[layer] += found[layer][0, 0].numel()
        return {layer: products / places[layer] for layer, products in sums.items()}, places


class _Seen:
    """The features of a picture's tiles, (1, 1 or 3, h, w): of each what belongs to its own places."""

    def __init__(self, network: FeatureNetwork, picture: Tensor) -> None:
        self._network, self._picture = network, picture
        self._size = tuple(picture.shape[2:])

    def __call__(self, tile: Tile) -> Features:
        top, bottom, left, right = tile.seen
        found = self._network(self._picture[:, :, top:bottom, left:right].expand(-1, 3, -1, -1))
        if tile.own == tile.seen:
            return found
        cut: Features = {}
        for layer, features in found.items():
            stride = _STRIDES[layer]
            rows, columns = (
                slice((own - seen) // stride, None if end == size else (end - seen) // stride)
                for own, end, seen, size in (
                    (tile.own[0], tile.own[1], top, self._size[0]),
                    (tile.own[2], tile.own[3], left, self._size[1]),
                )
            )
            cut[layer] = features[:, :, rows, columns]
        return cut


def _products(features: Tensor) -> Tensor:
    """(1, c, h, w) -> (1, c, c): a Gram matrix, summed over the places"""
    return losses.gram(features) * features[0, 0].numel()


def _spans(length: int, tile_px: int) -> list[tuple[int, int]]:
    """Starts and ends; a last tile of less than a margin is given to the one before it."""
    starts = list(range(0, max(1, length - MARGIN_PX), tile_px))
    return list(zip(starts, [*starts[1:], length], strict=True))
