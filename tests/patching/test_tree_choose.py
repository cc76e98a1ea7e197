"""Tiles, patches and lengths chosen for an image always give trees, and leave little out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.choose import choose_length, choose_patch_size, choose_tile
from ucf_vit.patching.tree.forest import Forest

SHAPES = st.lists(st.integers(1, 3000), min_size=2, max_size=2) | st.lists(
    st.integers(1, 300), min_size=3, max_size=3
)


@given(shape=SHAPES, min_leaf=st.integers(1, 5))
def test_chosen_defaults_can_be_grown(shape: list[int], min_leaf: int) -> None:
    if min(shape) < min_leaf:
        with pytest.raises(UserError, match="no leaf"):
            choose_tile(shape, min_leaf)
        return
    tile = choose_tile(shape, min_leaf)
    forest = Forest(tile, min_leaf)
    assert all(side - kept <= max(side / 8, min_leaf - 1) for side, kept in zip(shape, tile, strict=True))
    patch = choose_patch_size(tile)
    assert patch in (2, 4, 8, 16)
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
    assert choose_patch_size(tile) == patch
    assert choose_length(Forest(tile), patch) == length
