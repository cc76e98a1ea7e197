"""Where trees do not adapt, what to change is said, and only there."""

import pytest
import torch

from ucf_vit.patching.adaptive import AdaptivePatcher
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.patching.tree.uniformity import advice_if_uniform, uniform_share


@pytest.mark.parametrize(("side", "dims"), [(64, 2), (32, 3)])
@pytest.mark.parametrize("length", [1, 64, 100, 200, 512, 900])
def test_a_tree_without_detail_is_even(side, dims, length):
    leaves = grow_trees(torch.zeros(2, *[side] * dims), Forest((side,) * dims, 2), length)
    assert uniform_share(leaves).tolist() == [1, 1]


def test_the_share_is_of_the_area_in_leaves_of_an_even_tree():
    """A uniform tree of 13 leaves has sides 16 and 8; here four leaves have 2 pixels and three have 4."""
    detail = torch.zeros(1, 32, 32)
    detail[0, 0, 0] = 1
    leaves = grow_trees(detail, Forest((32, 32), 2), 13)
    assert sorted(leaves.sides[0, :, 0].tolist()) == [2] * 4 + [4] * 3 + [8] * 3 + [16] * 3
    assert uniform_share(leaves).tolist() == [(3 * 8**2 + 3 * 16**2) / 32**2]


def advice(image, **options):
    options = {"tile_size": image.shape[1:], "patch_size": 4, "fixed_length": 256} | options
    patcher = AdaptivePatcher(**options)
    detail = patcher.detail_of(image[None])
    return advice_if_uniform(patcher.grow_on(detail), detail[0], patcher)


def noise(side=128, channels=1):
    return torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))


def half_empty():
    image = noise()
    image[:, :, 32:] = 0.5
    return image


def test_causes_are_told_apart():
    assert "finds nothing in this tile" in advice(torch.zeros(1, 128, 128))
    chessboard = torch.ones(16, 16).kron(torch.tensor([[0.0, 1], [1, 0]]).kron(torch.ones(4, 4)))[None]
    said = advice(chessboard, detail="canny")
    assert said.startswith("the patches are nearly uniform (leaves of 8 pixels): detail canny is everywhere")
    assert "adaptive_patching: false" in advice(noise(), fixed_length=4096)


def test_small_roots_are_the_cause_where_leaves_cannot_be_larger():
    """Most of the 45 roots are leaves: larger ones there are none."""
    image = torch.zeros(1, 40, 72)
    image[:, 3:5, 3:5] = 1
    said = advice(image, fixed_length=96, detail="gradient")
    assert (
        "in a tile of 40 x 72 no leaf can be larger than 8 pixels; take sides" in said
        and "multiples of 32" in said
    )


def test_nothing_is_said_where_leaves_adapt_or_are_few():
    assert advice(half_empty(), detail="gradient", detail_smoothing=[1]) == ""
    assert advice(torch.zeros(1, 128, 128), fixed_length=61) == ""
    assert advice(torch.zeros(1, 128, 128), fixed_length=64) != ""


def test_one_of_several_trees_that_adapts_is_enough():
    image = torch.cat([half_empty(), torch.zeros(1, 128, 128)])
    options = {"detail": "gradient", "detail_smoothing": [1], "separate_channels": True}
    assert advice(image, **options) == ""
    assert advice(torch.zeros(2, 128, 128), **options) != ""


def test_missing_leaves_do_not_count():
    rule = {"split_rule": "threshold", "split_threshold": 1e9}
    assert advice(noise(), **rule) == "", "a tree of its root alone"
