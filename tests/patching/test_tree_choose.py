"""Tiles, patches and lengths chosen for an image always give trees, and leave little out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.choose import choose_length, choose_patch_size, choose_tile, smallest_leaf
from ucf_vit.patching.tree.forest import Forest

SHAPES = st.lists(st.integers(1, 3000), min_size=2, max_size=2) | st.lists(
    st.integers(1, 300), min_size=3, max_size=3
)


@given(shape=SHAPES, sides=st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_chosen_defaults_can_be_grown(shape: list[int], sides: list[int]) -> None:
    min_leaf = sides[: len(shape)]
    if any(side < leaf for side, leaf in zip(shape, min_leaf, strict=True)):
        with pytest.raises(UserError, match="no leaf"):
            choose_tile(shape, min_leaf)
        return
    tile = choose_tile(shape, min_leaf)
    forest = Forest(tile, min_leaf)
    for side, kept, leaf in zip(shape, tile, min_leaf, strict=True):
        assert side - kept <= max(side / 8, leaf - 1)
    patch = choose_patch_size(tile)
    assert len(set(patch)) == 1 and patch[0] in (2, 4, 8, 16)
    assert forest.num_roots <= choose_length(forest, patch) <= forest.num_cells


def test_more_is_cropped_if_there_would_be_more_roots_than_tokens() -> None:
    assert choose_tile((20, 24), 2) == (20, 24)
    assert choose_tile((20, 24), 2, length=30) == (20, 24)
    assert choose_tile((20, 24), 2, length=20) == (16, 24)
    assert choose_tile((20, 24), 2, length=1) == (16, 16)


@pytest.mark.parametrize(
    ("shape", "tile", "patch", "length"),
    [
        ((512, 512), (512, 512), 16, 256),
        ((1080, 1920), (1024, 1792), 16, 1792),
        ((500, 500), (448, 448), 8, 784),
        ((64, 64, 64), (64, 64, 64), 8, 127),
        ((155, 240, 240), (144, 240, 240), 8, 4048),
    ],
)
def test_default_sizes(shape: tuple[int, ...], tile: tuple[int, ...], patch: int, length: int) -> None:
    assert choose_tile(shape, 2) == tile
    assert choose_patch_size(tile) == (patch,) * len(tile)
    assert choose_length(Forest(tile), patch) == length


def test_a_patch_has_the_shape_of_leaves_whose_sides_differ() -> None:
    assert choose_patch_size((64, 64, 64), (4, 4, 2)) == (8, 8, 4)
    assert choose_patch_size((256, 512), (1, 2)) == (4, 8)
    assert choose_patch_size((20, 20, 20), (3, 3, 1)) == (3, 3, 1)


@given(st.lists(st.integers(1, 32), min_size=2, max_size=3), st.integers(1, 16))
def test_a_leaf_given_by_its_shortest_side_has_the_shape_of_a_patch(patch: list[int], shortest: int) -> None:
    if all(side * shortest % min(patch) == 0 for side in patch):
        leaf = smallest_leaf(shortest, patch)
        assert min(leaf) == shortest
    else:
        with pytest.raises(UserError, match="no whole pixels; give a side for each axis, such as") as error:
            smallest_leaf(shortest, patch)
        leaf = tuple(json.loads(str(error.value).split("such as ")[1]))
        assert smallest_leaf(leaf, patch) == leaf
    assert all(
        a * p == b * q for a, q in zip(leaf, patch, strict=True) for b, p in zip(leaf, patch, strict=True)
    )


def test_sides_of_leaves_that_are_not_one_per_axis_are_refused() -> None:
    with pytest.raises(UserError, match=r"min_leaf \[4, 4\] has 2 entries for a tile of 3 axes"):
        smallest_leaf([4, 4], [16, 16, 8])
