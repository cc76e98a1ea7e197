import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import resample_abs_pos_embed

from ucf_vit.core.errors import UserError
from ucf_vit.nn.embedding.embed import Positions
from ucf_vit.nn.embedding.positions import interpolate, sincos

grids = st.lists(st.integers(1, 6), min_size=1, max_size=3)
GOLDEN = {
    "2d_4x4_48": (4, 4),
    "2d_14x14_768": (14, 14),
    "2d_16x16_384": (16, 16),
    "2d_8x4_48": (8, 4),
    "2d_3x5_32": (3, 5),
    "2d_1x7_16": (1, 7),
    "3d_4x4x4_48": (4, 4, 4),
    "3d_2x3x4_96": (2, 3, 4),
    "3d_8x8x8_384": (8, 8, 8),
    "3d_4x2x1_24": (4, 2, 1),
    "1d_10_32": (10,),
}


@pytest.mark.parametrize("key", GOLDEN)
def test_equals_the_established_table(key, reference):
    golden = torch.from_numpy(np.load(reference / "golden" / "pos_embed.npz")[key])
    torch.testing.assert_close(sincos(GOLDEN[key], golden.shape[1]), golden, rtol=0, atol=1e-12)


@given(grid=grids, dim=st.integers(12, 70))
def test_any_width_gives_each_place_a_row_of_its_own(grid, dim):
    table = sincos(grid, dim)
    assert table.shape == (math.prod(grid), dim)
    assert table.abs().max() <= 1
    assert len(torch.unique(table, dim=0)) == len(table)


@pytest.mark.parametrize("dim", [384, 512, 768, 1024, 1280])
def test_the_widths_in_use_share_their_columns_evenly_in_3d(dim):
    table = sincos((3, 3, 3), dim).view(3, 3, 3, dim)
    depends = [
        (table.select(axis, 0) != table.select(axis, 1)).flatten(0, -2).any(0).sum() for axis in range(3)
    ]
    assert sum(depends) == dim
    assert max(depends) - min(depends) <= 2


def test_a_published_table_leaves_a_class_token_without_place(reference):
    golden = np.load(reference / "golden" / "pos_embed.npz")["2d_4x4_48_cls"]
    assert not golden[0].any()
    torch.testing.assert_close(sincos((4, 4), 48), torch.from_numpy(golden[1:]))


@given(old=grids, factor=st.integers(1, 3))
def test_interpolation_keeps_what_is_constant_and_the_same_grid(old, factor):
    table = torch.randn(math.prod(old), 5)
    torch.testing.assert_close(interpolate(table, old, old), table)
    new = [factor * n for n in old]
    ones = interpolate(torch.ones_like(table), old, new)
    torch.testing.assert_close(ones, torch.ones(math.prod(new), 5))


@pytest.mark.parametrize(("old", "new"), [((4, 4), (7, 7)), ((8, 6), (4, 9)), ((14, 14), (16, 16))])
def test_interpolation_in_2d_is_that_of_timm(old, new):
    table = torch.randn(math.prod(old), 12)
    theirs = resample_abs_pos_embed(table[None], new_size=list(new), old_size=list(old), num_prefix_tokens=0)
    torch.testing.assert_close(interpolate(table, old, new), theirs[0], rtol=0, atol=1e-5)


def test_interpolation_in_3d_follows_a_slope():
    ramp = torch.arange(6.0).view(1, 6, 1).expand(5, 6, 4).reshape(-1, 1)
    fine = interpolate(ramp, (5, 6, 4), (5, 12, 4)).view(5, 12, 4)
    expected = (torch.arange(12.0) + 0.5) / 2 - 0.5
    torch.testing.assert_close(fine[2, 3:9, 1], expected[3:9], rtol=0, atol=0.05)


def test_an_interpolated_sincos_table_is_near_the_one_between_the_old_places():
    fine = interpolate(sincos((8, 8, 8), 48), (8, 8, 8), (16, 8, 8)).view(16, 8, 8, 48)
    coarse = sincos((8, 8, 8), 48).view(8, 8, 8, 48)
    between = (fine[6] + fine[7]) / 2
    torch.testing.assert_close(between, coarse[3], rtol=0, atol=0.15)


def test_kinds_of_positions():
    fixed, learned = Positions((2, 3), 8, "sincos"), Positions((2, 3), 8, "learned")
    assert not list(fixed.parameters())
    assert [tuple(p.shape) for p in learned.parameters()] == [(6, 8)]
    assert fixed.state_dict().keys() == learned.state_dict().keys() == {"table"}
    with pytest.raises(UserError, match="did you mean 'learned'"):
        Positions((2, 3), 8, "leaned")


def test_positions_of_some_cells():
    positions = Positions((2, 3), 8, "sincos")
    positions.reset_parameters()
    places = torch.tensor([[5, 0], [2, 3]])
    tokens = torch.zeros(2, 6, 8)
    some = positions(torch.zeros(2, 2, 8), places)
    torch.testing.assert_close(some, positions(tokens).gather(1, places[..., None].expand(-1, -1, 8)))
