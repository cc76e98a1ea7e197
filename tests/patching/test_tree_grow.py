import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_oracle import Box, greedy_leaves, region, threshold_leaves

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees, grow_trees_and_drop, sum_nodes
from ucf_vit.patching.tree.leaves import Leaves


@st.composite
def forests(draw):
    dims = draw(st.sampled_from([2, 2, 3]))
    most = 20 if dims == 2 else 8
    leaf = tuple(draw(st.integers(1, 3)) for _ in range(dims))
    return Forest(tuple(side * draw(st.integers(1, most // side)) for side in leaf), leaf)


@st.composite
def details(draw):
    """A forest and a map: sparse edges with many ties, or floats that add up without rounding."""
    forest = draw(forests())
    trees = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (trees, *forest.space)
    kind = draw(st.sampled_from(["edges", "counts", "floats", "empty"]))
    if kind == "edges":
        values = (rng.random(shape) < draw(st.sampled_from([0.02, 0.2, 0.9]))).astype(np.uint8)
    elif kind == "counts":
        values = rng.integers(0, 1000, shape)
    elif kind == "floats":
        values = (rng.integers(0, 2**10, shape) / 2**7).astype(np.float32)
    else:
        values = np.zeros(shape, np.float32)
    return forest, values


def boxes(leaves: Leaves, tree: int) -> list[Box]:
    """Leaves that are valid, in their order."""
    start, sides = leaves.start[tree].tolist(), leaves.sides[tree].tolist()
    return [(tuple(first), tuple(side)) for first, side in zip(start, sides, strict=True) if side[0]]


@given(details(), st.data())
@settings(max_examples=150)
def test_top_k_equals_the_greedy_loop(case, data):
    forest, detail = case
    length = data.draw(st.integers(forest.num_roots, forest.num_cells + 3))
    leaves = grow_trees(torch.from_numpy(detail), forest, length)
    assert leaves.length == length
    for tree in range(len(detail)):
        assert sorted(boxes(leaves, tree)) == sorted(greedy_leaves(detail[tree], forest, length))


@given(details(), st.data())
@settings(max_examples=50)
def test_leaves_are_in_z_order_and_cover_the_tile_once(case, data):
    forest, detail = case
    length = forest.reachable(data.draw(st.integers(forest.num_roots, forest.num_cells)))
    leaves = grow_trees(torch.from_numpy(detail), forest, length)
    assert leaves.valid is None
    after = leaves.first_cell + forest.branches ** (forest.depth - leaves.level)
    assert (leaves.first_cell[:, 1:] == after[:, :-1]).all(), "each leaf starts where the one before ends"
    assert (leaves.first_cell[:, 0] == 0).all() and (after[:, -1] == forest.num_cells).all()
    covered = np.zeros((len(detail), *forest.space), int)
    for tree in range(len(detail)):
        for box in boxes(leaves, tree):
            assert all(first % side == 0 for first, side in zip(*box, strict=True))
            covered[tree][region(box)] += 1
    assert (covered == 1).all()


@given(details(), st.data())
@settings(max_examples=50)
def test_threshold_splits_what_holds_more(case, data):
    forest, detail = case
    threshold = data.draw(st.sampled_from([0.0, 1.0, 5.5, 300.0]))
    want = [threshold_leaves(tree, forest, threshold) for tree in detail]
    leaves = grow_trees(torch.from_numpy(detail), forest, forest.num_cells, threshold)
    dropped = grow_trees_and_drop(torch.from_numpy(detail), forest, forest.num_cells, threshold)
    for tree, boxes_of_tree in enumerate(want):
        assert sorted(boxes(leaves, tree)) == sorted(boxes_of_tree)
        assert boxes(dropped, tree) == boxes(leaves, tree)
    assert leaves.valid.sum(dim=1).tolist() == [len(boxes_of_tree) for boxes_of_tree in want]
    assert not (leaves.valid[:, 1:] & ~leaves.valid[:, :-1]).any(), "what is not valid comes last"
    assert not leaves.start[~leaves.valid].any() and not leaves.level[~leaves.valid].any()
    alone = grow_trees(torch.from_numpy(detail[:1]), forest, forest.num_cells, threshold)
    assert torch.equal(alone.start[0], leaves.start[0]) and torch.equal(alone.level[0], leaves.level[0])


@given(details(), st.data())
@settings(max_examples=50)
def test_too_many_leaves_are_coarsened_or_dropped(case, data):
    forest, detail = case
    length = data.draw(st.integers(forest.num_roots, forest.num_cells))
    leaves = grow_trees(torch.from_numpy(detail), forest, length, threshold=0.0)
    keys = torch.arange(len(detail))
    dropped = grow_trees_and_drop(torch.from_numpy(detail), forest, length, 0.0, keys)
    for tree in range(len(detail)):
        everything = threshold_leaves(detail[tree], forest, 0.0)
        coarse = boxes(leaves, tree)
        assert sum(math.prod(sides) for _, sides in coarse) == detail[tree].size, "no hole"
        assert len(coarse) <= min(length, len(everything))
        kept = boxes(dropped, tree)
        assert len(kept) == min(length, len(everything)) and set(kept) <= set(everything)
        alone = grow_trees_and_drop(
            torch.from_numpy(detail[tree : tree + 1]), forest, length, 0.0, keys[tree : tree + 1]
        )
        assert boxes(alone, 0) == kept, "a tree does not depend on its batch"


def test_the_tree_goes_on_where_the_most_detailed_leaf_is_smallest():
    """All edges in one corner: the rest is split by size until there are enough leaves."""
    detail = torch.zeros(1, 64, 64, dtype=torch.uint8)
    detail[0, :4, :4] = 1
    leaves = grow_trees(detail, Forest((64, 64)), 256)
    assert leaves.valid is None and leaves.length == 256
    assert int((leaves.sides == 2).all(-1).sum()) >= 4


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_types_of_maps(dtype):
    edges = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(0)) < 0.3
    forest = Forest((16, 24))
    want = grow_trees(edges.float(), forest, forest.reachable(40))
    got = grow_trees(edges.to(dtype), forest, forest.reachable(40))
    assert torch.equal(got.start, want.start) and torch.equal(got.level, want.level)


def test_integer_totals_do_not_overflow():
    detail = torch.full((1, 4096, 4096), 255, dtype=torch.uint8)
    assert int(sum_nodes(detail, Forest((4096, 4096), 1024)).max()) == 255 * 4096**2


@given(details())
@settings(max_examples=30)
def test_no_child_holds_more_than_its_parent(case):
    """Also after rounding, on which the whole rule rests."""
    forest, detail = case
    rng = np.random.default_rng(0)
    rough = torch.from_numpy(detail.astype(np.float32)) * torch.from_numpy(
        rng.random(detail.shape, np.float32)
    )
    totals = sum_nodes(rough, forest)
    for level in range(1, forest.depth):
        first, middle, end = (forest.first_node(level + k) for k in (-1, 0, 1))
        parents = totals[:, first:middle].view(-1, *(count << (level - 1) for count in forest.grid))
        children = totals[:, middle:end].view(-1, *(count << level for count in forest.grid))
        for axis in range(1, children.ndim):
            parents = parents.repeat_interleave(2, dim=axis)
        assert (children <= parents).all()


def test_forest_errors_say_what_to_do():
    with pytest.raises(UserError, match=r"does not divide the tile \[30, 31\]; take the tile \[30, 32\]"):
        Forest((30, 31), 2)
    with pytest.raises(UserError, match=r"2401 roots of side 4 .* more than 196 tokens"):
        Forest((196, 196), 2).splits(196)
    with pytest.raises(UserError, match=r"expected \[trees, \*\[16, 16\]\]"):
        grow_trees(torch.zeros(16, 16), Forest((16, 16)), 4)
    with pytest.raises(UserError, match="2 sides"):
        Forest((16,))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_detail_that_cannot_be_summed_is_refused(value):
    detail = torch.zeros(2, 16, 16)
    detail[1, :2] = value
    for rule in (grow_trees, lambda *case: grow_trees_and_drop(*case, threshold=1.0)):
        with pytest.raises(UserError, match="the detail of a tile is not finite"):
            rule(detail, Forest((16, 16)), 13)
