"""Seeded splits: no group is divided, folds partition, and nothing depends on the order of files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources import Item
from ucf_vit.data.splits.make import check_classes, seeded
from ucf_vit.data.splits.seeded import Fractions, Unit, seeded_splits, share_out

ITEMS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=60
)  # group and class of each item


def items_of(pairs: Sequence[tuple[int, int]]) -> list[Item]:
    return [
        Item(f"k{number}", f"/data/k{number}.npy", class_index=kind, group=f"g{group}" if group else "")
        for number, (group, kind) in enumerate(pairs)
    ]


def split(items: list[Item], fractions: Fractions, seed: int = 0) -> dict[str, str]:
    return seeded({"ct": items}, {"ct": None}, fractions, seed, "classes")["ct"]  # type: ignore[dict-item]


@settings(deadline=None)
@given(ITEMS, st.integers(0, 5), st.randoms())
def test_no_group_is_divided_and_the_order_of_files_changes_nothing(
    pairs: list[tuple[int, int]], seed: int, random: object
) -> None:
    items = items_of(pairs)
    fractions = Fractions(0.25, 0.25)
    try:
        found = split(items, fractions, seed)
    except DataError as refused:
        assert "groups" in str(refused) and ("validation" in str(refused) or "test" in str(refused))
        return
    assert found.keys() == {item.key for item in items}
    for group in {item.group for item in items if item.group}:
        assert len({found[item.key] for item in items if item.group == group}) == 1
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split(shuffled, fractions, seed) == found


@settings(deadline=None)
@given(ITEMS, st.integers(2, 5), st.integers(0, 3))
def test_folds_partition_the_items(pairs: list[tuple[int, int]], folds: int, seed: int) -> None:
    items = items_of(pairs)
    try:
        found = [split(items, Fractions(0.0, 0.0, folds, fold), seed) for fold in range(folds)]
    except DataError as refused:
        assert f"of {folds}" in str(refused)
        return
    validates = Counter(key for one in found for key, name in one.items() if name == "validation")
    assert validates == {item.key: 1 for item in items}
    assert all(set(one.values()) == {"training", "validation"} for one in found)


def test_folds_share_their_test_items() -> None:
    items = items_of([(0, n % 2) for n in range(40)])
    found = [split(items, Fractions(0.0, 0.25, 3, fold)) for fold in range(3)]
    tests = [{key for key, name in one.items() if name == "test"} for one in found]
    assert len(tests[0]) == 10 and tests[0] == tests[1] == tests[2]


@given(st.integers(3, 400), st.integers(0, 20))
def test_fractions_of_single_items_are_met_within_one(count: int, seed: int) -> None:
    units = [Unit(str(number), {"": 1}) for number in range(count)]
    shares = [0.7, 0.2, 0.1]
    sizes = np.bincount(share_out(units, shares, seed), minlength=3)
    assert np.abs(sizes - count * np.array(shares)).max() <= 1


def test_classes_have_the_same_proportions_and_seeds_differ() -> None:
    items = items_of([(0, 0)] * 60 + [(0, 1)] * 30 + [(0, 2)] * 10)
    found = split(items, Fractions(0.2, 0.1))
    counts = Counter((found[item.key], item.class_index) for item in items)
    assert [counts["validation", kind] for kind in range(3)] == [12, 6, 2]
    assert [counts["test", kind] for kind in range(3)] == [6, 3, 1]
    assert found != split(items, Fractions(0.2, 0.1), seed=1)
    assert found == split(items, Fractions(0.2, 0.1))


def test_rare_classes_do_not_empty_a_split() -> None:
    """Each class has two items, so that no class alone would give validation any."""
    items = items_of([(0, n // 2) for n in range(100)])
    counts = Counter(split(items, Fractions(0.2, 0.1)).values())
    assert abs(counts["validation"] - 20) <= 3 and abs(counts["test"] - 10) <= 3


def test_an_added_item_of_another_data_set_keeps_its_patient_together() -> None:
    ct = [Item(f"c{n}", "", group=f"p{n}") for n in range(20)]
    mr = [Item(f"m{n}", "", group=f"p{n}") for n in range(0, 20, 2)]
    sources = {"ct": None, "mr": None}
    found = seeded({"ct": ct, "mr": mr}, sources, Fractions(0.3, 0.2), 3, "classes")  # type: ignore[arg-type]
    assert all(found["ct"][f"c{n}"] == found["mr"][f"m{n}"] for n in range(0, 20, 2))
    assert set(found["mr"].values()) == {"training", "validation", "test"}


def test_test_items_of_the_layout_stay_there() -> None:
    items = [replace(item, split="test") if n < 5 else item for n, item in enumerate(items_of([(0, 0)] * 25))]
    found = split(items, Fractions(0.25, 0.0))
    assert Counter(found.values()) == {"training": 15, "validation": 5, "test": 5}
    assert all(found[f"k{n}"] == "test" for n in range(5))


def test_an_empty_fold_is_named() -> None:
    units = [Unit(name, {"": 2}) for name in "abc"]
    with pytest.raises(DataError, match=r"no item for fold 3 of 4: there are 3 groups"):
        seeded_splits(units, Fractions(0.0, 0.0, 4), 0)


def test_a_class_that_does_not_train_is_named() -> None:
    items = items_of([(0, 0), (0, 0), (0, 1)])
    splits = {"k0": "training", "k1": "test", "k2": "validation"}
    with pytest.raises(DataError, match=r"ct: 1 class\(es\) are in no training item, .*: dog \(item k2\)"):
        check_classes("ct", items, splits, ("cat", "dog"))
    check_classes("ct", items, {**splits, "k2": "training"}, ("cat", "dog"))
