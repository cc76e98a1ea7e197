from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.nn.embedding.box_positions import BoxPositions
from ucf_vit.nn.embedding.embed import PatchEmbed, Positions
from ucf_vit.nn.init import init_weights


@dataclass
class Boxes:
    center: Tensor
    sides: Tensor
    channel: Tensor


def boxes_on(grid, patch, batch=1):
    """The cells of a grid as boxes."""
    cells = torch.cartesian_prod(*(torch.arange(n) for n in grid)).reshape(-1, len(grid))
    sides = torch.tensor(patch).expand(batch, len(cells), -1)
    return Boxes((cells + 0.5) * sides, sides, torch.zeros(len(cells), dtype=torch.int64))


def built(*arguments):
    torch.manual_seed(0)
    positions = BoxPositions(*arguments)
    init_weights(positions)
    return positions


@settings(max_examples=30)
@given(
    grid=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    sides=st.lists(st.integers(1, 32), min_size=3, max_size=3),
    dim=st.integers(12, 40),
)
def test_a_leaf_that_is_a_cell_of_the_uniform_grid_has_its_row(grid, sides, dim):
    patch = sides[: len(grid)]
    uniform = Positions(grid, dim, "sincos")
    uniform.reset_parameters()
    positions, boxes = built(dim, "sincos", patch), boxes_on(grid, patch)
    tokens = torch.zeros(1, len(uniform.table), dim)
    row = positions.size.table[8]
    torch.testing.assert_close(positions(tokens, boxes=boxes), uniform(tokens) + row, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["sincos", "learned"])
@pytest.mark.parametrize("side", [64, 4096])
def test_as_large_as_tokens_whatever_the_tile(kind, side):
    torch.manual_seed(0)
    embed, positions = PatchEmbed(768, 192), built(192, kind, (16, 16))
    init_weights(embed)
    tokens = embed(torch.randn(1, 256, 768))
    boxes = Boxes(
        torch.rand(1, 256, 2) * side, torch.full((1, 256, 2), 8), torch.zeros(256, dtype=torch.int64)
    )
    ratio = positions(torch.zeros_like(tokens), boxes=boxes).std() / tokens.std()
    assert 0.3 < ratio < 1.5


@pytest.mark.parametrize("patch", [(1, 1), (6, 6), (16, 16), (16, 4)])
def test_every_size_has_a_row_of_its_own_and_none_counts_as_the_smallest(patch):
    table = built(8, "sincos", patch).size
    sizes = torch.tensor([[2 * 2**level] * 2 for level in range(6)])
    assert len(table(sizes / torch.tensor(patch)).unique(dim=0)) == 6
    assert torch.equal(table(torch.zeros(1, 2)), table.table[:1])
    assert torch.equal(table(torch.full((1, 2), 1e9)), table.table[-1:])


def test_the_size_of_a_leaf_in_the_shape_of_a_patch_is_that_of_its_doublings():
    table = built(8, "sincos", (16, 16, 8)).size
    for doublings in range(-3, 3):
        sides = torch.tensor([1.0, 1.0, 1.0]) * 2**doublings
        assert torch.equal(table(sides), table.table[8 + doublings])


@pytest.mark.parametrize("kind", ["sincos", "learned"])
def test_positions_of_some_boxes(kind):
    positions, boxes = built(12, kind, (4, 2), 3), boxes_on((2, 3), (4, 2), batch=2)
    boxes.channel = torch.tensor([0, 0, 1, 1, 2, 2])
    places = torch.tensor([[5, 0], [2, 3]])
    everything = positions(torch.zeros(2, 6, 12), boxes=boxes)
    some = positions(torch.zeros(2, 2, 12), places, boxes=boxes)
    torch.testing.assert_close(some, everything.gather(1, places[..., None].expand(-1, -1, 12)))


def test_channels_of_one_place_differ():
    positions, boxes = built(12, "sincos", (4, 4), 2), boxes_on((1, 1), (4, 4))
    boxes.center, boxes.sides = boxes.center.expand(-1, 2, -1), boxes.sides.expand(-1, 2, -1)
    boxes.channel = torch.tensor([0, 1])
    one, other = positions(torch.zeros(1, 2, 12), boxes=boxes)[0]
    assert not torch.equal(one, other)
    assert built(12, "sincos", (4, 4)).channel is None


def test_other_kinds_are_refused():
    with pytest.raises(UserError, match="did you mean 'learned'"):
        BoxPositions(8, "leaned", (4, 4))
