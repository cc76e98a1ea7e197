"""The order in which ranks read tiles of their own: as planned, everything, ranks in step, resumable."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.order.epoch_order import Group
from ucf_vit.data.order.global_order import GlobalOrder
from ucf_vit.data.order.rank_order import RankOrder, Remainder
from ucf_vit.planning.cost import Workload
from ucf_vit.planning.make_plan import make_plan
from ucf_vit.planning.plan import Plan
from ucf_vit.planning.sharing import Sharing

Seen = list[tuple[int, int]]
data_sets = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=3)


def plan_of(counts: list[list[int]], ranks: int, batch_size: int, variables: int = 1, **options) -> Plan:
    works = [Workload(f"d{i}", np.array(c), variables=variables) for i, c in enumerate(counts)]
    return make_plan(works, ranks, batch_size, few_ranks="interleave", **options)


def orders(
    counts: list[list[int]], ranks: int = 2, batch_size: int = 3, variables: int = 1, seed: int = 0, **options
) -> list[RankOrder]:
    ranks = min(ranks, sum(map(sum, counts)))
    plan = plan_of(counts, ranks, batch_size, variables, **options)
    groups = [
        Group(f"d{i}", f"d{i}/{v}", np.array(c), 5) for i, c in enumerate(counts) for v in range(variables)
    ]
    return [RankOrder.of(plan, groups, seed, rank) for rank in range(ranks)]


def batches(
    parts: list[RankOrder], epoch: int = 0, first: int = 0, rest: Remainder | None = None
) -> list[list]:
    """The requests of each rank, which are equally many, each full and of one group."""
    found = [list(order.requests(epoch, first, rest or order.full_epoch)) for order in parts]
    assert len({len(requests) for requests in found}) == 1
    for request in (request for requests in found for request in requests):
        assert len(request.tiles) == len(request.keys) == parts[0].sharing.batch_size
    return found


def tiles(requests: list[list], steps: int | None = None) -> Seen:
    return [(r.group, t) for mine in requests for r in mine[:steps] for t in r.tiles.tolist()]


def everything(order: RankOrder) -> set[tuple[int, int]]:
    return {(number, tile) for number, group in enumerate(order.groups) for tile in range(group.size)}


@given(data_sets, st.integers(1, 6), st.integers(1, 4), st.integers(1, 2), st.integers(0, 2))
def test_each_rank_reads_what_the_plan_gives_it(counts, ranks, batch_size, variables, epoch):
    parts = orders(counts, ranks, batch_size, variables)
    plan = plan_of(counts, len(parts), batch_size, variables)
    requests = batches(parts, epoch)
    assert all(len(mine) == plan.steps == len(parts[0]) for mine in requests)
    for rank, mine in enumerate(requests):
        planned = set()
        for piece in plan.tiles_of_rank(rank):
            for group, known in enumerate(parts[0].groups):
                if known.dataset == piece.dataset:
                    first = int(known.ends[piece.file] - known.counts[piece.file]) + piece.first
                    planned |= {(group, tile) for tile in range(first, first + piece.tiles)}
        assert set(tiles([mine])) == planned
    assert set(tiles(requests)) == everything(parts[0])


@given(data_sets, st.integers(1, 5), st.integers(1, 4))
def test_a_pass_ends_before_a_tile_is_repeated(counts, ranks, batch_size):
    for order in orders(counts, ranks, batch_size):
        mine = batches([order])[0]
        for group in range(len(counts)):
            read = [t for r in mine if r.group == group for t in r.tiles.tolist()]
            times = Counter(read).values()
            assert max(times, default=0) - min(times, default=0) <= 1
            keys = [k for r in mine if r.group == group for k in r.keys.tolist()]
            assert len(set(keys)) == len(keys)


changes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6)), min_size=1, max_size=4)


@given(data_sets, changes, st.integers(1, 2), st.integers(0, 2))
def test_an_epoch_goes_on_with_other_ranks_and_batches(counts, changes, variables, epoch):
    """Each stretch has ranks, a batch size and the number of batches it takes (the last: all)."""
    state, seen = None, set()
    for turn, (ranks, batch_size, count) in enumerate(changes):
        parts = orders(counts, ranks, batch_size, variables)
        places = [order.resume(state) if state else (0, order.full_epoch) for order in parts]
        assert all(place == places[0] for place in places)
        position, rest = places[0]
        requests = batches(parts, epoch, position, rest)
        steps = len(requests[0]) if turn == len(changes) - 1 else min(count, len(requests[0]))
        first = tiles(requests, steps)
        if rest.segments and not position:
            assert not seen & set(first)
        seen |= set(first)
        made = parts[0].state(rest) | {"epoch": epoch, "position": position + steps}
        state = json.loads(json.dumps(made))
    assert seen == everything(parts[0])


@given(data_sets, st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_the_same_ranks_go_on_as_if_nothing_had_happened(counts, ranks, batch_size, position):
    for order in orders(counts, ranks, batch_size):
        position = min(position, len(order))
        state = json.loads(json.dumps(order.state(order.full_epoch))) | {"epoch": 1, "position": position}
        place, rest = order.resume(state)
        left = [r.tiles.tolist() for r in order.requests(1, place, rest)]
        assert left == [r.tiles.tolist() for r in order.requests(1, 0, order.full_epoch)][position:]


def test_a_second_change_goes_on_from_the_first():
    """The state of an epoch that was shared out anew is gone on with by the same ranks, too."""
    four, two = orders([[9] * 5, [4] * 6], 4, 2), orders([[9] * 5, [4] * 6], 2, 2)
    _, rest = two[0].resume(four[0].state(four[0].full_epoch) | {"epoch": 0, "position": 3})
    state = json.loads(json.dumps(two[0].state(rest))) | {"epoch": 0, "position": 2}
    assert two[0].resume(state) == (2, rest)
    again, position = four[0].resume(state)[1], four[0].resume(state)[0]
    assert position == 0 and [segment.done for segment in again.segments] == [3, 2]


def test_epochs_seeds_and_ranks_differ():
    one, other = orders([[9] * 5, [7] * 5], 2), orders([[9] * 5, [7] * 5], 2, seed=1)
    read = [tiles(batches(parts, epoch)) for parts, epoch in [(one, 0), (one, 0), (one, 1), (other, 0)]]
    assert read[0] == read[1] and read[0] != read[2] and read[0] != read[3]


def test_memory_does_not_grow_with_the_epochs():
    """Each has an order of 100,000 tiles, 0.8 MB, for this rank."""
    order = RankOrder([Group("d", "d", np.full(100, 1000))], 0, 0, Sharing(1, 4), 25_000, [1.0])
    held = []
    tracemalloc.start()
    for epoch in range(12):
        next(order.requests(epoch, 0, order.full_epoch))
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[3] < 0.5e6


def test_given_groups_and_steps_are_used():
    parts = orders([[8] * 6, [8] * 2], 4, 2, groups=[1, 3], steps=5)
    requests = batches(parts)
    assert len(parts[0]) == 5
    assert [{r.group for r in mine} for mine in requests] == [{0}, {1}, {1}, {1}]


def test_orders_change_only_between_epochs():
    (rank,) = orders([[9] * 5], 1)
    order = GlobalOrder(rank.groups, 3, 0)
    begun, fresh = {"epoch": 2, "position": 4}, {"epoch": 2, "position": 0}
    assert order.resume(rank.state(rank.full_epoch) | fresh) == (0, order.full_epoch)
    assert rank.resume(order.state(order.full_epoch) | fresh) == (0, rank.full_epoch)
    with pytest.raises(CheckpointError, match=r"data\.order was rank and is now global"):
        order.resume(rank.state(rank.full_epoch) | begun)
    with pytest.raises(CheckpointError, match=r"data\.order was global and is now rank"):
        rank.resume(order.state(order.full_epoch) | begun)


def test_replacements_are_all_other_tiles():
    (order,) = orders([[5, 4]], 1)
    request = next(order.requests(0, 0, order.full_epoch))
    found = [tile for tile, _ in order.replacements(request, 1)]
    assert sorted([*found, int(request.tiles[1])]) == list(range(9))
