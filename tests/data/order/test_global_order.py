"""The order of an epoch: everything once, the same for all layouts, another one every epoch."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.data.order.epoch_order import Group, Request
from ucf_vit.data.order.global_order import GlobalOrder
from ucf_vit.data.order.shuffling import sample_keys, shuffled_tiles

counts_of_groups = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=3)


def orders(counts, batch_size=3, ranks=1, seed=0, **options) -> list[GlobalOrder]:
    groups = [
        Group(f"d{i}", f"d{i}", np.array(c), options.pop(f"buffer{i}", 5)) for i, c in enumerate(counts)
    ]
    return [GlobalOrder(groups, batch_size, seed, rank, ranks, **options) for rank in range(ranks)]


def seen(parts: list[GlobalOrder], epoch: int = 0) -> list[tuple[int, int]]:
    return counted(request for order in parts for request in order.requests(epoch))


def counted(requests: Iterable[Request]) -> list[tuple[int, int]]:
    """Group and number of the tiles that count."""
    return [(r.group, tile) for r in requests if r.counts for tile in r.tiles.tolist()]


def everything(counts) -> list[tuple[int, int]]:
    return [(group, tile) for group, of_files in enumerate(counts) for tile in range(sum(of_files))]


def check_step(shares: Sequence[Request], batch_size: int) -> None:
    """In a step all ranks read tiles of one group, distributed as evenly as possible."""
    assert len({share.group for share in shares}) == 1
    assert all(1 <= len(share.tiles) == len(share.keys) <= batch_size for share in shares)
    own = [len(share.tiles) if share.counts else 0 for share in shares]
    assert max(own) - min(own) <= 1 and max(own) > 0
    assert all(share.per_rank == sum(own) / len(own) for share in shares)
    tiles = {tile for _, tile in counted(shares)}
    assert all(set(share.tiles.tolist()) <= tiles for share in shares)


@given(counts_of_groups, st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_each_tile_once_for_any_number_of_ranks(counts, batch_size, ranks, epoch):
    parts = orders(counts, batch_size, ranks)
    assert sorted(seen(parts, epoch)) == everything(counts)
    steps = list(zip(*(order.requests(epoch) for order in parts), strict=True))
    assert len(steps) == len(parts[0])
    for shares in steps:
        check_step(shares, batch_size)


def test_ten_tiles_on_six_ranks():
    """Two batches of one tile each: in the second, two of the six have none of their own."""
    parts = orders([[1] * 10], 1, 6)
    assert sorted(seen(parts)) == everything([[1] * 10])
    steps = list(zip(*(order.requests(0) for order in parts), strict=True))
    assert [[share.counts for share in shares] for shares in steps] == [[True] * 6, [True] * 4 + [False] * 2]
    assert [shares[0].per_rank for shares in steps] == [1, 4 / 6]


@given(counts_of_groups, st.integers(1, 5), st.integers(1, 4))
def test_without_shuffling_nothing_is_left_out_for_any_number_of_ranks(counts, batch_size, ranks):
    parts = orders(counts, batch_size, ranks, shuffle=False)
    assert sorted(seen(parts)) == everything(counts)
    sizes = [sum(len(r.tiles) for r in order.requests(0)) for order in parts]
    assert max(sizes) - min(sizes) <= len(counts)
    assert seen(parts, epoch=3) == seen(parts, epoch=0)


@given(counts_of_groups, st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(0, 2))
def test_ranks_share_the_global_batches_of_one_process(counts, batch_size, ranks, epoch):
    (alone,) = orders(counts, batch_size * ranks)
    parts = orders(counts, batch_size, ranks)
    assert all(len(order) == len(order.schedule(epoch)) for order in (alone, *parts))
    together = list(zip(*(order.requests(epoch) for order in parts), strict=True))
    for shares, whole in zip(together, alone.requests(epoch), strict=True):
        own = [share for share in shares if share.counts]
        assert {share.group for share in shares} == {whole.group}
        assert np.array_equal(np.concatenate([share.tiles for share in own]), whole.tiles)
        assert np.array_equal(np.concatenate([share.keys for share in own]), whole.keys)


def test_the_order_depends_on_seed_and_epoch_only():
    counts = [[4] * 20, [3] * 10]
    first = seen(orders(counts))
    assert first == seen(orders(counts))
    assert first != seen(orders(counts), epoch=1)
    assert first != seen(orders(counts, seed=1))
    assert sorted(first) == sorted(seen(orders(counts), epoch=1))


def test_resuming_gives_the_requests_that_were_left():
    (order,) = orders([[4] * 20, [3] * 10])
    whole = list(order.requests(2))
    for first in (0, 1, 17, len(whole)):
        left = list(order.requests(2, first))
        assert [r.tiles.tolist() for r in left] == [r.tiles.tolist() for r in whole[first:]]


changes = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 7)), min_size=1, max_size=4)


@given(counts_of_groups, changes, st.integers(0, 2))
def test_an_epoch_goes_on_with_other_ranks_and_batches(counts, changes, epoch):
    """Each stretch has a batch size, a number of ranks, and how many batches it takes (the last: all)."""
    position, consumed, before, tiles = 0, None, None, []
    for turn, (batch_size, ranks, count) in enumerate(changes):
        parts = orders(counts, batch_size, ranks)
        if before is None or consumed is None:
            consumed = parts[0].full_epoch
        else:
            places = {order.resume_after(before, epoch, position, consumed) for order in parts}
            ((position, consumed),) = places
        stop = None if turn == len(changes) - 1 else count
        steps = list(zip(*(list(o.requests(epoch, position, consumed))[:stop] for o in parts), strict=True))
        for shares in steps:
            check_step(shares, batch_size)
            tiles += counted(shares)
        position, before = position + len(steps), parts[0]
    assert sorted(tiles) == everything(counts)


@given(counts_of_groups, st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_the_same_layout_goes_on_as_if_nothing_had_happened(counts, batch_size, ranks, position):
    order = orders(counts, batch_size, ranks)[0]
    position = min(position, len(order))
    place, consumed = order.resume_after(order, 1, position, order.full_epoch)
    left = [(r.group, r.tiles.tolist()) for r in order.requests(1, place, consumed)]
    assert left == [(r.group, r.tiles.tolist()) for r in order.requests(1, position)]


def test_the_same_global_batch_goes_on_with_the_same_global_batches():
    (alone,), pair = orders([[8] * 4, [8] * 5], 4), orders([[8] * 4, [8] * 5], 2, 2)
    assert pair[0].resume_after(alone, 0, 7, alone.full_epoch) == (7, alone.full_epoch)
    assert alone.resume_after(pair[1], 0, 7, alone.full_epoch) == (7, alone.full_epoch)


@pytest.mark.parametrize(("before", "after"), [((2, 2), (4, 1)), ((1, 6), (2, 4)), ((3, 1), (1, 5))])
def test_other_ranks_read_the_remainder_of_an_epoch(before, after):
    """Each is a batch size and ranks; one data set ends with fewer tiles than ranks."""
    counts = [[5], [40]]
    first, then = orders(counts, *before), orders(counts, *after)
    for position in range(len(first[0]) + 1):
        tiles = counted(r for order in first for r in list(order.requests(0))[:position])
        place, consumed = then[0].resume_after(first[0], 0, position, first[0].full_epoch)
        tiles += counted(r for order in then for r in order.requests(0, place, consumed))
        assert sorted(tiles) == everything(counts)


def test_the_order_of_one_epoch_is_cached():
    (order,) = orders([[100] * 100])
    for epoch in range(5):
        list(order.requests(epoch))
        assert [number for number, _ in order._orders.values()] == [epoch]


def test_a_batch_holds_one_group_and_groups_are_mixed():
    (order,) = orders([[4] * 30, [4] * 30], batch_size=4)
    groups = [request.group for request in order.requests(0)]
    assert len(groups) == 60
    changes = np.count_nonzero(np.diff(groups))
    assert 15 < changes < 45


@pytest.mark.parametrize("buffer", [0, 50, 200])
def test_a_shuffle_buffer_keeps_the_tiles_of_a_file_near_each_other(buffer):
    group = Group("d", "d", np.full(100, 40), buffer)
    files = shuffled_tiles(group, seed=0, epoch=0) // 40
    spans = [np.ptp(np.flatnonzero(files == file)) for file in range(100)]
    assert max(spans) <= 40 + buffer
    if buffer == 0:
        assert max(spans) == 39
    else:
        assert np.mean(spans) > 40 + 0.5 * buffer
        within = [len(set(files[i : i + 20].tolist())) for i in range(0, 4000, 20)]
        assert np.mean(within) > 2


def test_files_and_tiles_are_both_shuffled():
    order = shuffled_tiles(Group("d", "d", np.full(50, 40)), seed=0, epoch=0)
    files = list(dict.fromkeys((order // 40).tolist()))
    assert files != sorted(files)
    assert (
        sum(order[i : i + 40].tolist() == sorted(order[i : i + 40].tolist()) for i in range(0, 2000, 40)) == 0
    )


def test_keys_differ_by_tile_epoch_seed_and_group():
    tiles = np.arange(100_000)
    keys = np.concatenate(
        [sample_keys(*args, tiles) for args in [(0, "a", 0), (0, "a", 1), (1, "a", 0), (0, "b", 0)]]
    )
    assert keys.dtype == np.int64 and keys.min() >= 0
    assert len(np.unique(keys)) == len(keys)
    assert abs(keys.mean() / 2**62 - 1) < 0.01


def test_a_million_tiles_are_ordered_in_a_second():
    (order,) = orders([[100] * 10_000], batch_size=8, buffer0=1000)
    begin = time.process_time()
    first = next(order.requests(0))
    assert time.process_time() - begin < 3
    assert len(order) == 125_000
    assert len(first.tiles) == 8
