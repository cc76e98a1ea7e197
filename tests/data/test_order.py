"""The order of an epoch: everything once, the same for all layouts, another one every epoch."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.data.order import Group, Order, sample_keys, shuffled

counts_of_groups = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=3)


def orders(counts, batch_size=3, ranks=1, seed=0, **options) -> list[Order]:
    groups = [
        Group(f"d{i}", f"d{i}", np.array(c), options.pop(f"buffer{i}", 5)) for i, c in enumerate(counts)
    ]
    return [Order(groups, batch_size, seed, rank, ranks, **options) for rank in range(ranks)]


def seen(parts: list[Order], epoch: int = 0) -> list[tuple[int, int]]:
    return [(r.group, t) for order in parts for r in order.requests(epoch) for t in r.tiles.tolist()]


@given(counts_of_groups, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_each_tile_once_and_a_bounded_remainder_left_out(counts, batch_size, ranks, epoch):
    tiles = seen(orders(counts, batch_size, ranks), epoch)
    assert len(set(tiles)) == len(tiles)
    for group, of_files in enumerate(counts):
        missing = sum(of_files) - sum(g == group for g, _ in tiles)
        assert missing == sum(of_files) % ranks  # at most ranks - 1
        assert {t for g, t in tiles if g == group} <= set(range(sum(of_files)))


@given(counts_of_groups, st.integers(1, 5), st.integers(1, 4))
def test_without_shuffling_nothing_is_left_out_for_any_number_of_ranks(counts, batch_size, ranks):
    parts = orders(counts, batch_size, ranks, shuffle=False)
    expected = [(g, t) for g, of_files in enumerate(counts) for t in range(sum(of_files))]
    assert sorted(seen(parts)) == expected
    sizes = [sum(len(r.tiles) for r in order.requests(0)) for order in parts]
    assert max(sizes) - min(sizes) <= len(counts)
    assert seen(parts, epoch=3) == seen(parts, epoch=0)


@given(counts_of_groups, st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(0, 2))
def test_ranks_share_the_global_batches_of_one_process(counts, batch_size, ranks, epoch):
    (alone,) = orders(counts, batch_size * ranks)
    parts = orders(counts, batch_size, ranks)
    assert all(len(order) == len(order.schedule(epoch)) for order in (alone, *parts))
    together = list(zip(*(order.requests(epoch) for order in parts), strict=True))
    assert len(together) == len(parts[0])
    enough = (whole for whole in alone.requests(epoch) if len(whole.tiles) >= ranks)
    for shares, whole in zip(together, enough, strict=True):
        joined = np.concatenate([share.tiles for share in shares])
        assert {share.group for share in shares} == {whole.group}
        assert len(joined) == len(whole.tiles) // ranks * ranks
        assert np.array_equal(joined, whole.tiles[: len(joined)])
        assert np.array_equal(np.concatenate([share.keys for share in shares]), whole.keys[: len(joined)])
        assert len({len(share.tiles) for share in shares}) == 1


def test_ranks_stay_in_step_when_groups_leave_different_remainders():
    parts = orders([[7], [5], [9]], batch_size=1, ranks=4)
    for shares in zip(*(order.requests(0) for order in parts), strict=True):
        assert len({(share.group, len(share.tiles)) for share in shares}) == 1


def test_a_function_of_seed_and_epoch_alone():
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
    position, taken, before, tiles = 0, None, None, []
    for turn, (batch_size, ranks, count) in enumerate(changes):
        parts = orders(counts, batch_size, ranks)
        if before is None or taken is None:
            taken = parts[0].whole
        else:
            places = {order.taken_up(before, epoch, position, taken) for order in parts}
            ((position, taken),) = places
        stop = None if turn == len(changes) - 1 else count
        steps = list(zip(*(list(o.requests(epoch, position, taken))[:stop] for o in parts), strict=True))
        for shares in steps:
            assert len({(share.group, len(share.tiles)) for share in shares}) == 1
            assert len(shares[0].tiles) > 0
            tiles += [(share.group, tile) for share in shares for tile in share.tiles.tolist()]
        position, before = position + len(steps), parts[0]
    assert len(set(tiles)) == len(tiles)
    for group, of_files in enumerate(counts):
        seen_here = {tile for g, tile in tiles if g == group}
        assert seen_here <= set(range(sum(of_files)))
        assert sum(of_files) - len(seen_here) < ranks


@given(counts_of_groups, st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_the_same_layout_goes_on_as_if_nothing_had_happened(counts, batch_size, ranks, position):
    order = orders(counts, batch_size, ranks)[0]
    position = min(position, len(order))
    place, taken = order.taken_up(order, 1, position, order.whole)
    left = [(r.group, r.tiles.tolist()) for r in order.requests(1, place, taken)]
    assert left == [(r.group, r.tiles.tolist()) for r in order.requests(1, position)]


def test_the_same_global_batch_goes_on_with_the_same_global_batches():
    (alone,), pair = orders([[8] * 4, [8] * 5], 4), orders([[8] * 4, [8] * 5], 2, 2)
    assert pair[0].taken_up(alone, 0, 7, alone.whole) == (7, alone.whole)
    assert alone.taken_up(pair[1], 0, 7, alone.whole) == (7, alone.whole)


def test_a_tile_that_was_cut_off_comes_once_there_are_fewer_ranks():
    """Also where the batch that was no batch for two ranks would have come before the place of the stop."""
    counts = [[5], [40]]
    pair, (alone,) = orders(counts, 2, 2), orders(counts, 4)
    for position in range(len(pair[0]) + 1):
        first = [list(order.requests(0))[:position] for order in pair]
        tiles = [(r.group, t) for part in first for r in part for t in r.tiles.tolist()]
        place, taken = alone.taken_up(pair[0], 0, position, pair[0].whole)
        tiles += [(r.group, t) for r in alone.requests(0, place, taken) for t in r.tiles.tolist()]
        assert sorted(tiles) == [(g, t) for g, (n,) in enumerate(counts) for t in range(n)]


def test_a_batch_holds_one_group_and_groups_are_mixed():
    (order,) = orders([[4] * 30, [4] * 30], batch_size=4)
    groups = [request.group for request in order.requests(0)]
    assert len(groups) == 60
    changes = np.count_nonzero(np.diff(groups))
    assert 15 < changes < 45


@pytest.mark.parametrize("buffer", [0, 50, 200])
def test_a_shuffle_buffer_keeps_the_tiles_of_a_file_near_each_other(buffer):
    group = Group("d", "d", np.full(100, 40), buffer)
    files = shuffled(group, seed=0, epoch=0) // 40
    spans = [np.ptp(np.flatnonzero(files == file)) for file in range(100)]
    assert max(spans) <= 40 + buffer
    if buffer == 0:
        assert max(spans) == 39
    else:
        assert np.mean(spans) > 40 + 0.5 * buffer
        within = [len(set(files[i : i + 20].tolist())) for i in range(0, 4000, 20)]
        assert np.mean(within) > 2


def test_files_and_tiles_are_both_shuffled():
    order = shuffled(Group("d", "d", np.full(50, 40)), seed=0, epoch=0)
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
    assert time.process_time() - begin < 1
    assert len(order) == 125_000
    assert len(first.tiles) == 8
