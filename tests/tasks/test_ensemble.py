"""Ensembles: means over networks and mirrored tiles, in one place for predictions and evaluations."""

from itertools import chain, combinations
from pathlib import Path

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from tiny_models import DEFAULTS, SHAPES, build
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.tasks import Classification, Denoising, Segmentation
from ucf_vit.tasks.ensemble import ensemble_of, for_dataset

SIDE = 8


def lopsided(axes: int, seed: int) -> nn.Module:
    """A network whose output of a flipped image is not the flipped output."""
    torch.manual_seed(seed)
    kind = nn.Conv2d if axes == 2 else nn.Conv3d
    return nn.Sequential(kind(1, 4, 3, padding=1), nn.ReLU(), kind(4, 3, 3, padding=1))


def segmentation(axes: int, seed: int) -> Segmentation:
    return Segmentation(lopsided(axes, seed), 3, (SIDE,) * axes).eval()


def mean_of_flips(networks: list[nn.Module], tile: Tensor) -> Tensor:
    axes = range(2, tile.ndim)
    flips = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
    return torch.stack([net(tile.flip(f)).flip(f) for net in networks for f in flips]).mean(0)


@pytest.mark.parametrize("axes", [2, 3])
@torch.inference_mode()
def test_logits_are_the_mean_over_networks_and_flips(axes: int, tmp_path: Path) -> None:
    """Streamed with all sums in a file, and whole, equal to MONAI's windows over the mean."""
    tasks = [segmentation(axes, seed) for seed in (0, 1)]
    image = torch.randn(1, 1, *(11, 21, 9)[:axes], generator=torch.Generator().manual_seed(0))
    networks = [task.model for task in tasks]
    expected = sliding_window_inference(
        image, (SIDE,) * axes, 4, lambda tile: mean_of_flips(networks, tile), 0.5, mode="gaussian"
    )
    combined = ensemble_of(tasks, mirror=True)
    whole = combined.predict_whole(image)
    torch.testing.assert_close(whole, expected)
    assert not torch.allclose(whole, ensemble_of(tasks).predict_whole(image), atol=1e-3)
    assert not torch.allclose(whole, ensemble_of(tasks[:1], mirror=True).predict_whole(image), atol=1e-3)
    for region, values in combined.predict_parts(image, memory=0, directory=tmp_path):
        assert torch.equal(values, whole[(..., *region)])


@torch.inference_mode()
def test_slices_are_mirrored_within_themselves() -> None:
    task = ensemble_of([segmentation(2, 0)], mirror=True)
    volume = torch.randn(1, 1, 11, 9, 5, generator=torch.Generator().manual_seed(0))
    slices = torch.stack([task.predict_whole(one) for one in volume.unbind(-1)], dim=-1)
    torch.testing.assert_close(task.predict_whole(volume), slices)


@torch.inference_mode()
def test_classes_of_images_are_averaged_in_predictions_and_evaluations() -> None:
    tasks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        tasks.append(Classification(nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 3))).eval())
    image = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([t.model(i) for t in tasks for i in map(image.flip, [(), 2, 3, (2, 3)])]).mean(0)
    combined = ensemble_of(tasks, mirror=True)
    torch.testing.assert_close(combined.predict_whole(image), expected)
    label = torch.tensor([0, 2])
    batch = Batch(image, label, ("grey",), torch.zeros(2, dtype=torch.int64), "tiny", ("a", "b"))
    loss = nn.functional.cross_entropy(expected, label, reduction="sum").item()
    assert combined.evaluate(batch)["loss"][0].item() == pytest.approx(loss, rel=1e-5)


@torch.inference_mode()
def test_members_get_values_of_their_own() -> None:
    """By data set and variable; what is missing, or beyond the image, stays 0."""
    tasks = [Segmentation(nn.Conv2d(2, 3, 1), 3, (SIDE, SIDE)).eval() for _ in range(2)]
    image = torch.randn(1, 2, 5, 21, generator=torch.Generator().manual_seed(0))
    image[..., 3] = 0
    change = {"heat": (2.0, -1.0), "wind": (0.5, 3.0)}
    combined = ensemble_of(tasks, changes={"ocean": [{}, change]})
    factor, offset = torch.tensor([[2.0, 0.5], [-1.0, 3.0]]).view(2, 2, 1, 1)
    theirs = torch.where(image == 0, image, image * factor + offset)
    expected = torch.stack([tasks[0].predict_whole(image), tasks[1].predict_whole(theirs)]).mean(0)
    found = for_dataset(combined, "ocean")
    torch.testing.assert_close(found.predict_whole(image, ["heat", "wind"]), expected)
    swapped = found.predict_whole(image.flip(1), ["wind", "heat"])
    torch.testing.assert_close(
        swapped,
        torch.stack([tasks[0].predict_whole(image.flip(1)), tasks[1].predict_whole(theirs.flip(1))]).mean(0),
    )
    same = for_dataset(combined, "land").predict_whole(image, ["heat", "wind"])
    torch.testing.assert_close(same, ensemble_of(tasks).predict_whole(image))
    assert for_dataset(tasks[0], "ocean") is tasks[0]
    with pytest.raises(ValueError, match="use for_dataset"):
        combined.predict_whole(image, ["heat", "wind"])


def test_outputs_that_are_the_tile_itself_stay_as_they_are() -> None:
    image = torch.randn(1, 3, 11, 21, generator=torch.Generator().manual_seed(0))
    task = ensemble_of([Segmentation(nn.Identity(), 3, (SIDE, SIDE)) for _ in range(2)], mirror=True)
    torch.testing.assert_close(task.predict_whole(image), image)


def test_members_stay_as_they_are() -> None:
    tasks = [segmentation(2, seed) for seed in (0, 1)]
    combined = ensemble_of(tasks)
    assert tasks[0].ensemble is None and combined is not tasks[0]
    assert [name for name, _ in combined.named_parameters()] == [n for n, _ in tasks[0].named_parameters()]
    assert ensemble_of(tasks[:1]) is tasks[0]


def test_tasks_without_averages_are_refused() -> None:
    denoising = Denoising(build("diffusion", DEFAULTS | SHAPES[0]))
    with pytest.raises(UserError, match="an ensemble averages the logits of classes, and Denoising"):
        ensemble_of([denoising, denoising])

    class Own(Segmentation):
        def predict_whole(self, image: Tensor, variables: object = None) -> Tensor:
            return self.model(image)

    with pytest.raises(UserError, match="mirroring averages tiles, and Own has a predict_whole of its own"):
        ensemble_of([Own(lopsided(2, 0), 3, (SIDE, SIDE))], mirror=True)
