"""Post-processing of class maps, against a flood fill voxel by voxel."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.tasks.postprocessing import ClassOptions, Postprocessing

OPTIONS = st.builds(ClassOptions, st.booleans(), st.sampled_from([0.0, 4.0, 9.0]), st.booleans())


def flooded(mask: np.ndarray, corners: bool) -> list[set[tuple[int, ...]]]:
    """The components, in the order of their first voxels."""
    steps = [
        step
        for step in product((-1, 0, 1), repeat=mask.ndim)
        if any(step) and (corners or sum(map(abs, step)) == 1)
    ]
    left = {tuple(map(int, place)) for place in np.argwhere(mask)}
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        component, queue = set(), [start]
        left.discard(start)
        while queue:
            place = queue.pop()
            component.add(place)
            for step in steps:
                other = tuple(a + b for a, b in zip(place, step, strict=True))
                if other in left:
                    left.discard(other)
                    queue.append(other)
        found.append(component)
    return found


def expected_mask(mask: np.ndarray, options: ClassOptions, voxel: float) -> np.ndarray:
    components = flooded(mask, corners=True)
    if options.largest_component and components:
        components = [max(components, key=len)]
    components = [one for one in components if len(one) * voxel >= options.min_volume]
    kept = np.zeros_like(mask)
    for one in components:
        kept[tuple(np.array(sorted(one)).T)] = True
    if options.fill_holes:
        for one in flooded(~np.pad(kept, 1), corners=False):
            if (0,) * mask.ndim not in one:
                kept[tuple(np.array(sorted(one)).T - 1)] = True
    return kept


@settings(max_examples=60)
@given(
    data=st.data(),
    options=st.lists(OPTIONS, min_size=2, max_size=2),
    shape=st.sampled_from([(9, 8), (6, 5, 4)]),
)
def test_each_class_is_changed_as_voxel_by_voxel(
    data: st.DataObject, options: list[ClassOptions], shape: tuple[int, ...]
) -> None:
    seed, share = data.draw(st.integers(0, 1000)), data.draw(st.sampled_from([0.1, 0.4, 0.6]))
    noise = np.random.default_rng(seed)
    labels = (noise.random(shape) < share).astype(np.uint8) * noise.choice(
        [1, 2], shape, p=[0.7, 0.3]
    ).astype(np.uint8)
    found = Postprocessing(dict(enumerate(options, start=1))).apply(labels, voxel=2.0)
    expected = labels.copy()
    for number, one in enumerate(options, start=1):
        mask = labels == number
        kept = expected_mask(mask, one, 2.0)
        expected[mask & ~kept] = 0
        expected[kept & (labels == 0)] = number
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


def test_nothing_is_lost_on_the_way_through_json() -> None:
    one = Postprocessing({1: ClassOptions(True), 7: ClassOptions(min_volume=12.5, fill_holes=True)})
    assert Postprocessing.load(one.dump()) == one
    assert (
        str(one.classes[7]) == "at least 12.5 mm^3, holes filled"
        and str(one.classes[1]) == "largest component"
    )
    with pytest.raises(TypeError):
        Postprocessing.load({"1": {"largest": True}})


def test_classes_that_are_absent_or_not_named_stay() -> None:
    labels = np.array([[0, 1, 0, 1, 3], [0, 0, 0, 1, 3]], np.int16)
    found = Postprocessing({1: ClassOptions(True), 2: ClassOptions(True), 9: ClassOptions(True)}).apply(
        labels, 1.0
    )
    assert np.array_equal(found, [[0, 0, 0, 1, 3], [0, 0, 0, 1, 3]]) and found.dtype == np.int16


def test_holes_are_filled_up_to_other_classes() -> None:
    labels = np.ones((5, 5), np.uint8)
    labels[1:4, 1:4] = [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    found = Postprocessing({1: ClassOptions(fill_holes=True)}).apply(labels, 1.0)
    assert found[2, 2] == 2 and (found == 1).sum() == 24
