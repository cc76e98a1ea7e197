"""Class weights, label smoothing, mixup and cutmix of the training loss of classification."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.tasks import Classification
from ucf_vit.tasks.mixing import Mixing, mix

WEIGHTS = [0.5, 2.0, 1.0]


class Logits(nn.Module):
    """Network whose logits are linear in the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(3, 48, generator=torch.Generator().manual_seed(0))

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1) @ self.weight.T


def batch_of(size: int = 6, sides: tuple[int, ...] = (6, 8)) -> Batch:
    make = torch.Generator().manual_seed(1)
    image = torch.rand(size, 1, *sides, generator=make)
    label = torch.arange(size) % 3
    return Batch(image, label, ("a",), "d", tuple(map(str, range(size))), torch.arange(size) + 100)


def part(batch: Batch, rows: slice) -> Batch:
    return Batch(
        batch.image[rows], batch.label[rows], batch.variables, "d", batch.files[rows], batch.keys[rows]
    )


def test_weights_and_smoothing_are_those_of_torch_averaged_over_samples() -> None:
    batch = batch_of()
    task = Classification(Logits(), label_smoothing=0.1, class_weights=WEIGHTS)
    weights = torch.tensor(WEIGHTS)
    of_torch = F.cross_entropy(
        Logits()(batch.image), batch.label, weights, reduction="sum", label_smoothing=0.1
    )
    torch.testing.assert_close(task(batch).value, of_torch / 6)
    halves = [task(part(batch, rows)).value for rows in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(task(batch).value, (2 * halves[0] + 4 * halves[1]) / 6)
    plain = Classification(Logits()).evaluate(batch)
    assert torch.equal(task.evaluate(batch)["loss"], plain["loss"])


def test_balanced_weights_weigh_every_class_alike() -> None:
    task = Classification(Logits(), class_weights="balanced")
    counts = torch.tensor([6, 3, 0, 1])
    task.count_classes(counts.tolist())
    products = task._weights * counts
    torch.testing.assert_close(products[products > 0], torch.full((3,), 10 / 3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"class_weights": [1, -1, 1]}, r"class_weights\[1\] -1: expected a number >= 0"),
        ({"class_weights": [1, "a", 1]}, r"class_weights\[1\] 'a': expected a number >= 0"),
        ({"class_weights": "equal"}, "class_weights 'equal': expected 'balanced' or a number"),
        ({"class_weights": 3}, "class_weights 3: expected 'balanced' or a number"),
        ({"class_weights": [0, 0, 0]}, "class_weights .*: expected 'balanced' or a number"),
        ({"class_weights": [1.0, 2.0]}, "class_weights has 2 numbers; the network has 3 classes"),
        ({"mixup": -0.1}, "mixup -0.1: expected a number >= 0"),
        ({"mixup": "0.2"}, "mixup '0.2': expected a number >= 0"),
        ({"cutmix": float("nan")}, "cutmix nan: expected a number >= 0"),
        ({"cutmix": float("inf")}, "cutmix inf: expected a number >= 0"),
        ({"label_smoothing": 1}, "label_smoothing 1: expected a number >= 0 and < 1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict, text: str) -> None:
    with pytest.raises(UserError, match=text):
        Classification(Logits(), **options)(batch_of())


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_soft_targets(options: dict[str, float], smoothing: float) -> None:
    task = Classification(Logits(), label_smoothing=smoothing, class_weights=WEIGHTS, **options)
    drawn = task.draw(batch_of())
    mixed, share = mix(drawn)
    one_hot = F.one_hot(drawn.label, 3).float()
    target = share[:, None] * one_hot + (1 - share[:, None]) * one_hot.roll(1, dims=0)
    logits = Logits()(mixed.image)
    expected = F.cross_entropy(logits, target, torch.tensor(WEIGHTS), label_smoothing=smoothing)
    torch.testing.assert_close(task(drawn).value, expected)
    assert "top1" not in task(drawn).metrics


@pytest.mark.parametrize("sides", [(9, 14), (6, 8, 10)])
def test_shares_are_those_of_the_pixels(sides: tuple[int, ...]) -> None:
    """Mixup keeps the same share of each pixel, cutmix all of the pixels outside a box and none inside."""
    batch = batch_of(40, sides)
    partner = batch.image.roll(1, dims=0)
    axes = tuple(range(1, batch.image.ndim))
    mixed, share = mix(Mixing(mixup=1.0).draw(batch))
    view = share.view(-1, *[1] * len(axes))
    torch.testing.assert_close(mixed.image, view * batch.image + (1 - view) * partner)
    mixed, share = mix(Mixing(cutmix=1.0).draw(batch))
    own, cut = mixed.image == batch.image, mixed.image == partner
    assert torch.all(own | cut)
    torch.testing.assert_close(own.float().mean(dim=axes), share)
    for inside in cut[:, 0]:
        places = inside.nonzero()
        box = places.amax(0) - places.amin(0) + 1 if len(places) else torch.zeros(1)
        assert int(box.prod()) == len(places)


def test_shares_have_a_beta_distribution_and_belong_to_samples() -> None:
    size = 3000
    batch = batch_of(size, (4, 4))
    share = Mixing(mixup=0.4).draw(batch).drawn["share"]
    assert stats.kstest(share.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    box = Mixing(cutmix=2.0).draw(batch).drawn["box"].double()
    assert stats.kstest((box[..., 1] - box[..., 0]).prod(dim=1).numpy(), stats.beta(2, 2).cdf).pvalue > 1e-3
    cuts = Mixing(mixup=0.4, cutmix=2.0).draw(batch).drawn["share"] == 1
    assert abs(float(cuts.double().mean()) - 0.5) < 4 * 0.5 / np.sqrt(size)
    again = Mixing(mixup=0.4).draw(part(batch, slice(7, 9))).drawn["share"]
    assert torch.equal(again, share[7:9])


def test_a_batch_of_one_is_left_as_it_is() -> None:
    batch = batch_of(1)
    mixed, _ = mix(Mixing(mixup=1.0, cutmix=1.0).draw(batch))
    torch.testing.assert_close(mixed.image, batch.image)
