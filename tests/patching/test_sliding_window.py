"""Blended windows: those of MONAI, without the logits of the whole image."""

import weakref
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from torch.nn import functional as F

from ucf_vit.core.errors import UserError
from ucf_vit.patching.sliding_window.blend import largest_class, predict_cells
from ucf_vit.patching.sliding_window.cell_sums import CellSums
from ucf_vit.patching.sliding_window.windows import Windows

SIDES = st.integers(2, 3).flatmap(
    lambda axes: st.tuples(
        st.lists(st.integers(1, 9), min_size=axes, max_size=axes),
        st.lists(st.integers(1, 20), min_size=axes, max_size=axes),
    )
)
OVERLAPS = st.sampled_from([0.0, 0.25, 0.5, 0.7])


def network(axes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    kind = torch.nn.Conv2d if axes == 2 else torch.nn.Conv3d
    return kind(2, 3, 3, padding=1)


def assembled(image, cells):
    """The predictions of the whole; each voxel is there once."""
    whole = None
    for region, values in cells:
        if whole is None:
            whole = torch.full((len(image), values.shape[1], *image.shape[2:]), torch.nan)
        assert whole[(..., *region)].isnan().all()
        whole[(..., *region)] = values
    return whole


@settings(max_examples=60)
@given(
    sides=SIDES,
    overlap=OVERLAPS,
    batch=st.integers(1, 2),
    at_once=st.integers(1, 5),
    memory=st.sampled_from([0, 3000, 2**30]),
)
def test_predictions_are_those_of_monai(sides, overlap, batch, at_once, memory):
    window, space = sides
    image = torch.randn(batch, 2, *space, generator=torch.Generator().manual_seed(1))
    predict = network(len(space))
    pads = [pad for n, w in reversed(list(zip(space, window, strict=True))) for pad in (0, max(w - n, 0))]
    with torch.no_grad():
        blended = sliding_window_inference(
            F.pad(image, pads), window, 4, predict, overlap=overlap, mode="gaussian"
        )
        expected = blended[(..., *(slice(0, n) for n in space))]
        options = {"overlap": overlap, "at_once": at_once, "memory": memory}
        found = assembled(image, predict_cells(predict, image, window, **options))
    torch.testing.assert_close(found, expected)


@given(sides=SIDES, overlap=OVERLAPS)
def test_a_cell_is_complete_with_its_last_window(sides, overlap):
    window, space = sides
    space = [max(n, w) for n, w in zip(space, window, strict=True)]
    windows = Windows(space, window, overlap)
    lies_in: dict[tuple[int, ...], list[int]] = {}
    for number in range(len(windows)):
        for cell in windows.cells(number):
            lies_in.setdefault(cell, []).append(number)
    assert sum(
        prod(part.stop - part.start for part in windows.cell_region(cell)) for cell in lies_in
    ) == prod(space)
    for cell, numbers in lies_in.items():
        following = [windows.next_window(cell, number) for number in numbers]
        assert following == [*numbers[1:], None]


def test_what_waits_in_memory_does_not_grow_with_the_first_axis(monkeypatch):
    most = [0]
    put = CellSums.put

    def watched(self, cell, sums, next_window):
        put(self, cell, sums, next_window)
        most[0] = max(most[0], len(self))

    monkeypatch.setattr(CellSums, "put", watched)
    counts = []
    for length in (32, 64):
        most[0] = 0
        list(predict_cells(network(3), torch.zeros(1, 2, length, 16, 16), (8, 8, 8)))
        counts.append(most[0])
    assert counts[0] == counts[1]


def test_predictions_are_freed_before_the_next_ones():
    refs = []

    def predict(tiles):
        assert all(ref() is None for ref in refs)
        output = tiles + 1
        refs.append(weakref.ref(output))
        return output

    for number, _ in enumerate(predict_cells(predict, torch.zeros(1, 2, 24, 8, 8), (8, 8, 8), at_once=2)):
        assert number < 20
    assert len(refs) == 3


def test_memory_has_a_limit():
    sums = CellSums(limit=4 * 10 * 8)
    for place in range(6):
        sums.put((place,), torch.full((1, 2, 5, 8), float(place)), next_window=place)
        assert sums._used <= 4 * 10 * 8
    for place in (3, 0, 5, 1, 4, 2):
        assert torch.equal(sums.take((place,)), torch.full((1, 2, 5, 8), float(place)))
    assert sums.take((0,)) is None and not len(sums)
    sums.close()


@pytest.mark.parametrize("overlap", [1.0, -0.1])
def test_an_overlap_that_is_none(overlap):
    with pytest.raises(UserError, match="overlap"):
        list(predict_cells(network(2), torch.zeros(1, 2, 8, 8), (4, 4), overlap=overlap))


@pytest.mark.parametrize(("classes", "kind"), [(1, torch.uint8), (5, torch.uint8), (257, torch.int16)])
def test_the_largest_class_is_the_first_of_the_largest(classes, kind):
    scores = torch.randint(0, 4, (2, classes, 3, 5), generator=torch.Generator().manual_seed(0)).float()
    first = (scores == scores.amax(1, keepdim=True)).to(torch.uint8).argmax(1)
    found = largest_class(scores)
    assert found.dtype == kind and torch.equal(found.long(), first)
