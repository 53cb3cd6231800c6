from __future__ import annotations

import torch

from engines.nets.guidance import spread_guidance


def test_guidance_is_spread_to_where_the_frame_has_what_it_was_made_of() -> None:
    # Where cells stand in the guide's picture, 0..1 across it, is a guidance that interpolation has to keep.
    guide, frame = (64, 80), (131, 221)
    rows, columns = (((torch.arange(px // 4 + 4) - 1.5) * 4) / px for px in guide)  # two cells of margin
    guidance = torch.stack([rows[:, None].expand(-1, len(columns)), columns.expand(len(rows), -1)])[None]
    spread = spread_guidance(guidance, frame)
    assert spread.shape == (1, 2, (136 + 16) // 4, (224 + 16) // 4)
    wanted_rows, wanted_columns = (((torch.arange(n) - 1.5) * 4) / px for n, px in zip((38, 60), frame, strict=True))
    torch.testing.assert_close(spread[0, 0, :, 7], wanted_rows)
    torch.testing.assert_close(spread[0, 1, 5], wanted_columns)
