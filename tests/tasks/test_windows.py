"""Whole items by a sliding window: windows overlap as asked, and their middles count most."""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tiny_models import DEFAULTS, SHAPES, build
from ucf_vit.core.errors import UserError
from ucf_vit.tasks import Classification, Denoising, MaskedAutoencoding, Segmentation, Task

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


def whole(name: str) -> tuple[Task, Tensor]:
    """A task in evaluation mode, and an image whose sides are no tiles."""
    torch.manual_seed(0)
    options = {
        "in_channels": 2,
        "tile_size": (8, 12),
        "patch_size": 4,
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
    }
    decoder = {"decoder_embed_dim": 8, "decoder_depth": 1, "decoder_num_heads": 2}
    if name == "masked":
        task: Task = MaskedAutoencoding(build("mae", options | decoder), tile_size=(8, 12))
    else:
        task = Classification(build("vit", options | {"num_classes": 5}), tile_size=(8, 12))
    return task.eval(), torch.rand(2, 2, 11, 20)


@torch.no_grad()
def test_a_classifier_returns_the_mean_over_tiles() -> None:
    task, image = whole("classification")
    padded = nn.functional.pad(image[:, :, :7], (0, 0, 0, 1))
    corners = [padded[..., column : column + 12] for column in (0, 6, 8)]
    expected = torch.stack([task.model(corner) for corner in corners]).mean(dim=0)
    torch.testing.assert_close(task.predict_whole(image[:, :, :7]), expected)
    volume = torch.stack([image, image.flip(-1)], dim=-1)
    both = torch.stack([task.predict_whole(one) for one in volume.unbind(-1)]).mean(dim=0)
    torch.testing.assert_close(task.predict_whole(volume), both)


@torch.no_grad()
@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_a_masked_autoencoder_fills_in_what_it_removes(norm_pix_loss: bool) -> None:
    task, image = whole("masked")
    task.norm_pix_loss = norm_pix_loss
    tile = image[..., :8, :12]
    filled = task.predict_whole(tile)
    kept = ((filled - tile).abs() < 1e-5).all(dim=1).unflatten(1, (2, 4)).unflatten(3, (3, 4)).all(dim=(2, 4))
    assert kept.sum(dim=(1, 2)).tolist() == [1, 1] and torch.equal(kept[0], kept[1])
    found = task.predict_whole(image)
    assert found.shape == image.shape and found.isfinite().all()
    assert torch.equal(found, task.predict_whole(image))


def test_a_diffusion_model_refuses() -> None:
    task = Denoising(build("diffusion", DEFAULTS | SHAPES[0] | {"in_channels": 1}))
    with pytest.raises(UserError, match="make new ones with ucf-vit sample"):
        task.predict_whole(torch.zeros(1, 1, 8, 8))


def test_parts_are_those_of_the_whole_and_each_comes_once(tmp_path: Path) -> None:
    """Also with all sums in a file, and of slices of volumes, some of which are predicted together."""
    torch.manual_seed(0)
    task = Segmentation(nn.Conv2d(2, 3, 1), 3, (SIDE, SIDE))
    for shape in ((11, 21), (11, 21, 7)):
        image = torch.randn(2, 2, *shape)
        whole, count = task.predict_whole(image), torch.zeros(shape)
        for region, values in task.predict_parts(image, memory=0, directory=tmp_path):
            torch.testing.assert_close(values, whole[(..., *region)], rtol=0, atol=0)
            count[region] += 1
        assert (count == 1).all()
    slices = torch.stack([task.predict_whole(image[..., z]) for z in range(7)], dim=-1)
    torch.testing.assert_close(whole, slices)


def test_a_prediction_of_its_own_is_one_part() -> None:
    class Doubled(Segmentation):
        def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
            return 2 * super().predict_whole(image, variables)

    image = torch.zeros(1, 1, 20, SIDE)
    expected = 2 * Segmentation(Place(), 2, (SIDE, SIDE)).predict_whole(image)
    ((region, values),) = Doubled(Place(), 2, (SIDE, SIDE)).predict_parts(image, memory=0)
    assert region == (slice(0, 20), slice(0, SIDE)) and torch.equal(values, expected)
