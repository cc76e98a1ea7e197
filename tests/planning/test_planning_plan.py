"""The plan as a whole: every tile once, equal loads, files that say what they are for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.planning import npz_arrays
from ucf_vit.planning.cost import Workload
from ucf_vit.planning.make_plan import make_plan
from ucf_vit.planning.plan import Plan

FILES = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=12), min_size=1, max_size=4)


def works(files: list[list[int]], costs: tuple[float, ...] = ()) -> list[Workload]:
    pairs = zip(files, costs or (1.0,) * len(files), strict=True)
    return [Workload(f"d{i}", np.array(tiles, np.int64), cost) for i, (tiles, cost) in enumerate(pairs)]


@settings(deadline=None)
@given(FILES, st.integers(1, 9), st.integers(1, 5))
def test_every_tile_is_read_by_one_rank_whatever_the_shapes(files, ranks, batch_size):
    if sum(map(sum, files)) < ranks:
        return
    plan = make_plan(works(files), ranks, batch_size, few_ranks="interleave")
    seen = {}
    for rank in range(ranks):
        own = list(plan.tiles_of_rank(rank))
        assert sum(run.tiles for run in own) == plan.loads[rank] > 0
        for run in own:
            for tile in range(run.first, run.first + run.tiles):
                assert seen.setdefault((run.dataset, run.file, tile), rank) == rank
    assert len(seen) == sum(map(sum, files))
    assert plan.interleaved == (ranks < len(files))
    if not plan.interleaved:
        assert sum(map(int, plan.dataset_group_list.split(":"))) == ranks
        assert plan.steps == max(plan.batches_per_rank_epoch.values())
        for part in plan.parts:
            assert plan.passes(part) >= 1
            if part.tiles >= 100 * part.ranks or part.tiles % part.ranks == 0:
                assert plan.imbalance_of(part) <= 1.01


def test_ten_files_on_six_ranks_drop_nothing():
    plan = make_plan(works([[64] * 10]), 6, 2)
    assert plan.loads.tolist() == [107, 107, 107, 107, 106, 106]
    assert plan.imbalance < 1.01
    assert plan.batches_per_rank_epoch == {"d0": 54}
    assert plan.dataset_group_list == "6"


def test_small_data_sets_repeat_and_costly_ones_get_more_ranks():
    plan = make_plan(works([[300], [90], [10]]), 5, 1)
    assert plan.dataset_group_list == "3:1:1"
    assert [plan.passes(part) for part in plan.parts] == [1, 100 / 90, 10]
    assert make_plan(works([[300], [300]], (2.0, 1.0)), 6, 1).dataset_group_list == "4:2"


def test_one_variable_at_a_time_makes_more_batches():
    plan = make_plan([Workload("v", np.array([10, 11]), 1.0, variables=3)], 2, 4)
    assert plan.batches_per_rank_epoch == {"v": 9}
    assert plan.loads.tolist() == [33, 30]


def test_fewer_ranks_than_data_sets():
    three = works([[90], [9, 1], [40]])
    with pytest.raises(UserError, match="start 3 or more"):
        make_plan(three, 2, 4)
    plan = make_plan(three, 2, 4, few_ranks="interleave")
    assert plan.loads.tolist() == [70, 70]
    assert plan.batches_per_rank_epoch == {"d0": 12, "d1": 2, "d2": 5}
    assert plan.steps == 19 and plan.dataset_group_list is None
    assert [run.dataset for run in plan.tiles_of_rank(0)] == ["d0", "d1", "d2"]
    with pytest.raises(UserError, match="3 tiles for 4"):
        make_plan(works([[1, 2]]), 4, 4)


def test_a_rank_reads_its_own_rows_of_the_file(tmp_path: Path):
    made = make_plan(
        works([[7] * 50, [3, 200]]), 8, 4, digests={"d0": "x", "d1": "y"}, layout={"tile": [8, 8]}
    )
    made.save(tmp_path / "plan.npz")
    found = Plan.load(tmp_path / "plan.npz")
    assert isinstance(found.runs, np.memmap)
    assert made.describe_differences(found) == []
    for rank in range(8):
        assert list(found.tiles_of_rank(rank)) == list(made.tiles_of_rank(rank))
    npz_arrays.save(tmp_path / "old.npz", "plan", {"ranks": 8}, {"loads": made.loads})
    with pytest.raises(UserError, match="of another version"):
        Plan.load(tmp_path / "old.npz")
    assert (found.imbalance, found.steps, found.parts) == (made.imbalance, made.steps, made.parts)


def test_differences_between_plans_are_named():
    plan = make_plan(works([[7] * 5, [30]]), 4, 4, digests={"d0": "x"}, layout={"tile": [8, 8]})
    other = make_plan(works([[7] * 6, [30]]), 3, 2, digests={"d0": "z"}, layout={"tile": [4, 8]})
    assert plan.describe_differences(other) == [
        "the number of data ranks is 3, the plan is for 4",
        "data.batch_size is 2, the plan is for 4",
        "tile is [4, 8], the plan is for [8, 8]",
        "d0 has 6 files with 42 tiles, the plan is for 5 with 35",
    ]
    moved = replace(
        plan, parts=(replace(plan.parts[0], files_digest="z"), replace(plan.parts[1], tile_cost=2.0))
    )
    assert plan.describe_differences(moved) == [
        "d0 has other files, or files of other shapes",
        "a tile of d1 costs 2, 1 in the plan",
    ]
    less = make_plan(works([[7] * 5]), 4, 4, digests={"d0": "x"}, layout={"tile": [8, 8]})
    assert plan.describe_differences(less) == ["data set d1 of the plan is not in the config"]
    assert less.describe_differences(plan) == ["data set d1 is not in the plan"]
