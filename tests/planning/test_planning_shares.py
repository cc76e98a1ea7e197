"""Tiles and ranks: exact against brute force and against the loader's own arithmetic."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tiles import Tiling
from ucf_vit.planning.allocate import allocate, largest_load
from ucf_vit.planning.cost import Workload, count_tiles
from ucf_vit.planning.tile_runs import cut_into_runs, split_evenly, split_interleaved


def work(tiles: list[int], cost: float = 1.0) -> Workload:
    return Workload("d", np.array(tiles, np.int64), cost)


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(1, 40)] * 3), min_size=1, max_size=8),
    st.tuples(*[st.integers(1, 16)] * 3),
    st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    st.booleans(),
)
def test_tiles_are_those_of_the_loader(shapes, size, overlap, use_all):
    found = count_tiles(np.array(shapes), size, overlap, use_all)
    assert found.tolist() == [len(Tiling(shape, size, overlap, use_all)) for shape in shapes]


WORKS = st.lists(
    st.builds(
        lambda n, cost: work([n], cost), st.integers(1, 30), st.sampled_from([0.01, 0.7, 1.0, 1.0, 2.5, 40.0])
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(WORKS, st.integers(0, 9))
def test_the_largest_load_is_that_of_the_best_of_all_allocations(works, more):
    ranks = len(works) + more
    if sum(one.total for one in works) < ranks:
        with pytest.raises(UserError, match="use fewer ranks"):
            allocate(works, ranks)
        return
    found = allocate(works, ranks)
    assert sum(found) == ranks
    assert all(1 <= n <= one.total for n, one in zip(found, works, strict=True))
    worst = lambda given: max(map(largest_load, works, given))  # noqa: E731
    every = product(range(1, more + 2), repeat=len(works))
    assert worst(found) == min(worst(given) for given in every if sum(given) == ranks)


def test_equal_data_sets_get_equal_ranks_and_costlier_ones_more():
    assert allocate([work([100])] * 3, 12) == [4, 4, 4]
    assert allocate([work([100]), work([300])], 8) == [2, 6]
    assert allocate([work([100], 3.0), work([300])], 8) == [4, 4]
    assert allocate([Workload("v", np.array([100]), 1.0, variables=3), work([300])], 8) == [4, 4]


def test_no_data_set_gets_more_ranks_than_tiles():
    assert allocate([work([2], 1000.0), work([50])], 20) == [2, 18]


def test_fewer_ranks_than_data_sets_are_refused():
    with pytest.raises(UserError, match="start 3 or more, or let every rank"):
        allocate([work([5])] * 3, 2)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 20), st.integers(0, 30))
def test_every_tile_has_one_rank_and_ranks_differ_by_one_tile(tiles, ranks, start):
    counts = np.array(tiles)
    runs = cut_into_runs(counts, split_evenly(int(counts.sum()), ranks, start))
    seen = [(f, t) for _, f, first, n in zip(*runs, strict=True) for t in range(first, first + n)]
    assert seen == [(f, t) for f, n in enumerate(tiles) for t in range(n)]
    loads = np.bincount(runs.rank, weights=runs.tiles, minlength=ranks)
    assert loads.max() - loads.min() <= 1
    assert (np.diff(runs.rank) >= 0).all() and (runs.tiles > 0).all()
    assert len(runs.rank) <= len(tiles) + ranks
    if counts.sum() >= 100 * ranks:
        assert loads.max() <= 1.01 * loads.mean()


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 12))
def test_interleaved_ranks_read_of_all_and_differ_by_one_tile(totals, ranks):
    shares = split_interleaved(totals, ranks)
    assert [int(share.sum()) for share in shares] == totals
    assert all(np.ptp(share) <= 1 for share in shares)
    assert np.ptp(sum(shares)) <= 1


@pytest.mark.parametrize(("tiles", "cost"), [([], 1.0), ([3, 0], 1.0), ([3], 0.0), ([3], float("nan"))])
def test_invalid_workloads_are_refused(tiles, cost):
    with pytest.raises(UserError, match="expected"):
        work(tiles, cost)
