"""Whole items by a sliding window: windows overlap as asked, and their middles count most."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from ucf_vit.tasks import Segmentation

SIDE = 8


class Place(nn.Module):
    """The logit of class 1 is the column within the window."""

    def forward(self, image: Tensor) -> Tensor:
        column = torch.arange(float(image.shape[-1])).expand_as(image)
        return torch.cat([torch.zeros_like(column), column], dim=1)


def weight(*place: int) -> float:
    """A Gaussian round the window's middle, of an eighth of its side, and nowhere next to nothing."""
    distances = [(x - (SIDE - 1) / 2) / (SIDE / 8) for x in place]
    return max(math.exp(-sum(distance**2 for distance in distances) / 2), 1e-3)


@pytest.mark.parametrize(("overlap", "step"), [(0.5, 4), (0.25, 6), (0.75, 2)])
def test_logits_of_overlapping_windows_are_blended_by_a_gaussian(overlap: float, step: int) -> None:
    task = Segmentation(Place(), 2, (SIDE, SIDE), overlap=overlap)
    width = SIDE + step
    found = task.predict_whole(torch.zeros(1, 1, SIDE, width))[0, 1]
    for row, column in product(range(SIDE), range(width)):
        places = [column - start for start in (0, step) if 0 <= column - start < SIDE]
        weights = [weight(row, place) for place in places]
        expected = sum(w * place for w, place in zip(weights, places, strict=True)) / sum(weights)
        assert found[row, column].item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_windows_do_not_overlap_unless_asked() -> None:
    task = Segmentation(Place(), 2, (SIDE, SIDE), overlap=0.0)
    found = task.predict_whole(torch.zeros(1, 1, SIDE, 2 * SIDE))[0, 1]
    assert found[0].tolist() == [*range(SIDE), *range(SIDE)]


def test_half_of_a_window_overlaps_by_default() -> None:
    halves = Segmentation(Place(), 2, (SIDE, SIDE), overlap=0.5)
    given = Segmentation(Place(), 2, (SIDE, SIDE))
    image = torch.zeros(1, 1, SIDE, 20)
    torch.testing.assert_close(given.predict_whole(image), halves.predict_whole(image))
