"""Packing pictures, drawing from them, cutting them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.errors import InputError
from engines.training import data


def write_picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 64)) -> None:
    """A PNG of one colour, given as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.broadcast_to(np.array(colour[::-1], np.uint8), (*size, 3)).copy())


def gradient() -> NDArray[np.uint8]:
    """BGR 100 x 300: black at the left, a ramp over the middle square, white at the right."""
    row = np.concatenate([np.zeros(100), np.linspace(0, 255, 100), np.full(100, 255.0)])
    return np.broadcast_to(row[None, :, None], (100, 300, 3)).astype(np.uint8).copy()


def test_pictures_become_squares_in_rgb(tmp_path: Path) -> None:
    write_picture(tmp_path / "content" / "a_1.png", (200, 100, 50))
    cv2.imwrite(str(tmp_path / "content" / "b_1.png"), gradient())
    photos = data.PictureSet(tmp_path / "content", tmp_path / "packed", "content")
    assert len(photos) == 2 and photos.names == ["a_1.png", "b_1.png"]
    images = photos.images(torch.tensor([0, 1, 1]))
    assert images.shape == (3, 3, data.SIDE_PX, data.SIDE_PX) and images.dtype == torch.float32
    assert (images[0].mean(dim=(1, 2)) * 255).tolist() == pytest.approx([200, 100, 50])
    # The ramp of the middle square alone is left.
    middle = images[1, 0].mean(dim=0)
    assert middle[0] < 0.02 and middle[-1] > 0.98
    assert middle[data.SIDE_PX // 2].item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(images[1], images[2])


def test_what_is_packed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        write_picture(tmp_path / "style" / f"{i}.png", (10 * i, 0, 0))
    first = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style")
    assert len(list((tmp_path / "packed").glob("[!.]*"))) == 1
    monkeypatch.setattr(cv2, "imread", None)
    again = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style")
    assert np.array_equal(first.pixels, again.pixels)


def test_other_pictures_are_packed_anew(tmp_path: Path) -> None:
    for folder, colour in (("one", (255, 0, 0)), ("two", (0, 0, 255))):
        write_picture(tmp_path / folder / f"{folder}.png", colour)
    one, two = (data.PictureSet(tmp_path / name, tmp_path / "packed", "style") for name in ("one", "two"))
    assert one.images(torch.tensor([0]))[0, :, 0, 0].tolist() == [1, 0, 0]
    assert two.images(torch.tensor([0]))[0, :, 0, 0].tolist() == [0, 0, 1]


def test_pictures_on_a_device_are_the_same(tmp_path: Path) -> None:
    for i in range(3):
        write_picture(tmp_path / "style" / f"{i}.png", (10 * i, 0, 0))
    pictures, asked = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style"), torch.tensor([2, 0, 2])
    before = pictures.images(asked)
    pictures.move_to("cpu")
    assert torch.equal(pictures.images(asked), before)


def test_held_out_names_are_never_trained_on(tmp_path: Path) -> None:
    name = next(n for n in sorted(data.held_out()) if n.startswith("content/")).removeprefix("content/")
    for kind in ("content", "style"):
        write_picture(tmp_path / kind / "mine_1.png", (9, 9, 9))
        (tmp_path / kind / name).write_bytes((tmp_path / kind / "mine_1.png").read_bytes())
    assert data.PictureSet(tmp_path / "content", tmp_path / "packed", "content").names == ["mine_1.png"]
    # It is held out as a photo; a style picture may have the same name.
    assert set(data.PictureSet(tmp_path / "style", tmp_path / "packed", "style").names) == {"mine_1.png", name}


def test_held_out_holds_photos_and_styles() -> None:
    kinds = {name.split("/")[0] for name in data.held_out()}
    assert kinds == {"content", "style"}
    assert all(Path(name).suffix and not Path(name).is_absolute() for name in data.held_out())


def test_large_groups_do_not_drown_small_ones(tmp_path: Path) -> None:
    for i in range(16):
        write_picture(tmp_path / "style" / f"large_{i:02}.png", (i, i, i), (8, 8))
    write_picture(tmp_path / "style" / "small_0.png", (255, 255, 255), (8, 8))
    styles = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style")
    assert float(styles.weights.sum()) == pytest.approx(1)
    # 16 pictures weigh as the root of 16: 4 times the one, 4/5 of all.
    assert float(styles.weights[:16].sum()) == pytest.approx(0.8)
    assert float(styles.weights[16]) == pytest.approx(0.2)
    torch.manual_seed(0)
    drawn = styles.draw(4000)
    assert drawn.shape == (4000,)
    assert float((drawn == 16).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_a_limited_set_draws_no_others(tmp_path: Path) -> None:
    for i in range(7):
        write_picture(tmp_path / "style" / f"own_{i}.png", (i, i, i), (8, 8))
    styles = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style")
    torch.manual_seed(0)
    styles.limit(9)
    assert set(styles.draw(200).tolist()) == set(range(7))
    styles.limit(3)
    assert set(styles.draw(200).tolist()) == {0, 3, 6}
    assert len(styles) == 7


def test_a_limited_set_keeps_small_groups_whole(tmp_path: Path) -> None:
    for group, size in (("large", 64), ("middle", 16), ("small", 2)):
        for i in range(size):
            write_picture(tmp_path / "style" / f"{group}_{i:02}.png", (i, i, i), (8, 8))
    styles = data.PictureSet(tmp_path / "style", tmp_path / "packed", "style")
    before = styles.weights.split([64, 16, 2])
    styles.limit(20)
    after = styles.weights.split([64, 16, 2])
    # 18 are left when the two are taken, of which the roots 8 and 4 make 12 and 6.
    assert [int((part > 0).sum()) for part in after] == [12, 6, 2]
    assert after[0][0] > 0 and after[0][63] > 0
    assert [float(part.sum()) for part in after] == pytest.approx([float(part.sum()) for part in before])


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="has no pictures") as caught:
            data.PictureSet(folder, tmp_path / "packed", "content")
        assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "content" / "good.png", (1, 2, 3))
    (tmp_path / "content" / "bad.jpg").write_bytes(b"this is not a picture")
    with pytest.raises(InputError, match=r"bad\.jpg is not a picture"):
        data.PictureSet(tmp_path / "content", tmp_path / "packed", "content")
    assert not list((tmp_path / "packed").glob("[!.]*"))


def numbered(n: int, side: int) -> torch.Tensor:
    """(n, 3, side, side): every pixel another value."""
    return torch.arange(n * 3 * side * side, dtype=torch.float32).reshape(n, 3, side, side)


def is_crop(crop: torch.Tensor, image: torch.Tensor) -> bool:
    side = crop.shape[1]
    for candidate in (crop, crop.flip(2)):
        place = int((image[0] == candidate[0, 0, 0]).flatten().int().argmax())
        top, left = divmod(place, image.shape[2])
        if torch.equal(image[:, top : top + side, left : left + side], candidate):
            return True
    return False


def test_fixed_crops_are_the_same_for_the_same_key() -> None:
    images = numbered(1, 40).expand(32, 3, 40, 40) / (3 * 40 * 40)
    keys = torch.arange(32)
    torch.manual_seed(0)
    first = data.fixed_crops(images, keys, 24, 1.0)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again = data.fixed_crops(images.flip(0), keys.flip(0), 24, 1.0).flip(0)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (32, 3, 24, 24)
    assert len({crop.numpy().tobytes() for crop in first}) > 25
    mirrored = sum(bool(crop[0, 0, 0] > crop[0, 0, 1]) for crop in first)
    assert 6 < mirrored < 26


def test_random_crops_are_parts_of_their_own_picture() -> None:
    images = numbered(8, 32)
    crops = data.random_crops(images, 20)
    assert crops.shape == (8, 3, 20, 20)
    assert all(is_crop(crop, image) for crop, image in zip(crops, images, strict=True))
    assert not torch.equal(crops, data.random_crops(images, 20))


def test_a_crop_may_be_the_whole_picture() -> None:
    images = numbered(2, 16)
    # A crop at less than the whole picture's scale would need more of it than there is.
    for crops in (data.random_crops(images, 16), data.fixed_crops(images, torch.tensor([1, 2]), 16, 1.0)):
        assert all(is_crop(crop, image) for crop, image in zip(crops, images, strict=True))


def test_fixed_crops_are_scaled_up_to_the_scale() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    crops = data.fixed_crops(ramp.expand(32, 3, 64, 64), torch.arange(32), 32, 2.0)
    assert crops.shape == (32, 3, 32, 32)
    # The larger, the less steep: from 3/4 (enlarged by 4/3) to 1/2 (by 2).
    slope = (crops[:, 0, 16, 20] - crops[:, 0, 16, 12]).abs() / 8 * 63
    assert slope.max() < 0.8 and slope.min() > 0.48
    assert slope.max() > 0.7 and slope.min() < 0.55


def test_scaled_keeps_the_range_and_what_has_the_size() -> None:
    images = torch.rand(2, 3, 16, 16)
    assert data.scaled(images, 16) is images
    for side in (24, 8):
        other = data.scaled(images, side)
        assert other.shape == (2, 3, side, side)
        assert other.min() >= 0 and other.max() <= 1
    # Nothing is left out where it becomes smaller: noise is averaged.
    assert data.scaled(images, 4).std() < 0.5 * images.std()


def test_square_is_the_middle_of_the_picture() -> None:
    wide = np.full((20, 50, 3), 9, np.uint8)
    wide[:, 15:35] = 200
    for side in (10, 20, 40):
        assert (data.square(wide, side) == 200).all()
        assert data.square(wide.transpose(1, 0, 2), side).shape == (side, side, 3)
