"""Dice of whole items: by hand, against MONAI, and the same for a model and a baseline."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import DiceMetric
from torch import Tensor, nn

from ucf_vit.data.batch import Batch, Sample
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import Segmentation, dice
from ucf_vit.tasks.threshold_baseline import IntensityInterval, ThresholdBaseline
from ucf_vit.training.validation import evaluate, evaluate_totals

ALONE = World(0, 1, torch.device("cpu"))


class Intensity(nn.Module):
    """Predicts the class that the intensity is the number of."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, image: Tensor) -> Tensor:
        return F.one_hot(image[:, 0].long(), self.num_classes).movedim(-1, 1).float() * 10


def batch_of(predicted: Tensor, label: Tensor) -> Batch:
    """One item."""
    return Batch(predicted[None, None].float(), label[None], ("x",), "d", ("f",), torch.zeros(1))


def of_model(pairs: list[tuple[Tensor, Tensor]], num_classes: int) -> dict[str, float]:
    task = Segmentation(Intensity(num_classes), num_classes, pairs[0][0].shape)
    metrics = evaluate(task, [batch_of(*pair) for pair in pairs], ALONE)
    return {name: value for name, value in metrics.items() if name != "loss"}


def of_baseline(pairs: list[tuple[Tensor, Tensor]], num_classes: int) -> dict[str, float]:
    intervals = {number: IntensityInterval(0, number - 0.5, number + 0.5) for number in range(1, num_classes)}
    samples = [Sample(p[None].numpy().astype(np.float32), t.numpy(), ("x",), "f") for p, t in pairs]
    return ThresholdBaseline(intervals).dice(samples)


def maps(*values: list[int]) -> Tensor:
    return torch.tensor(values)


def test_by_hand() -> None:
    """Class 1: 1, missed, in neither; class 2: 2/3, predicted alone, in neither."""
    label = maps([0, 1, 1, 2, 2], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0])
    predicted = maps([0, 1, 1, 2, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0])
    totals = dice.totals_of_labels(predicted, label, 4)
    assert dice.means(totals) == pytest.approx(
        {"dice": (0.5 + 1 / 3) / 2, "dice_1": 0.5, "dice_2": 1 / 3, "dice_3": math.nan}, nan_ok=True
    )
    assert dice.counts(totals) == {
        "dice_1": {"labelled": 2, "missed": 1, "only predicted": 0, "neither": 1},
        "dice_2": {"labelled": 1, "missed": 0, "only predicted": 1, "neither": 1},
        "dice_3": {"labelled": 0, "missed": 0, "only predicted": 0, "neither": 3},
    }


def test_a_model_and_a_baseline_that_predict_the_same_have_the_same_dice() -> None:
    """Volume a has classes 1 and 2, of which 2 is missed; b has 1 alone."""
    a, b = maps([1, 1, 1, 1, 2, 2, 0, 0]), maps([1, 1, 1, 1, 0, 0, 0, 0])
    pairs = [(b, a), (b, b)]
    assert of_model(pairs, 3) == of_baseline(pairs, 3) == {"dice": 0.5, "dice_1": 1.0, "dice_2": 0.0}


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_model_and_baseline_agree_and_classes_of_the_label_are_those_of_monai(
    seed: int, classes: int
) -> None:
    make = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        some = int(torch.randint(1, classes + 1, (), generator=make))
        return torch.randint(0, some, (3, 4), generator=make)

    pairs = [(draw(), draw()) for _ in range(3)]
    model = of_model(pairs, classes)
    assert model == pytest.approx(of_baseline(pairs, classes), nan_ok=True)
    metric = DiceMetric(include_background=False, reduction="none", num_classes=classes)
    for predicted, label in pairs:
        metric(*(F.one_hot(one[None], classes).movedim(-1, 1) for one in (predicted, label)))
    of_monai = metric.aggregate().numpy()
    labelled = np.stack([[bool((label == k).any()) for k in range(1, classes)] for _, label in pairs])
    found = np.stack([[bool((found == k).any()) for k in range(1, classes)] for found, _ in pairs])
    of_monai = np.where(labelled, of_monai, np.where(found, 0.0, np.nan))
    for k in range(1, classes):
        values = of_monai[:, k - 1]
        expected = np.nan if np.isnan(values).all() else np.nanmean(values)
        assert model[f"dice_{k}"] == pytest.approx(expected, nan_ok=True)


def test_without_any_labelled_class_dice_has_no_value() -> None:
    """However good: a network that predicts nothing would have none, one that predicts something 0."""
    empty = torch.zeros(1, 4, dtype=torch.int64)
    for predicted, of_class in ((empty, math.nan), (empty + 1, 0.0)):
        found = dice.means(dice.totals_of_labels(predicted, empty, 2))
        assert math.isnan(found["dice"])
        assert found["dice_1"] == pytest.approx(of_class, nan_ok=True)


def test_totals_do_not_depend_on_how_items_are_batched() -> None:
    make = torch.Generator().manual_seed(0)
    predicted, label = (torch.randint(0, 3, (5, 2, 3, 4), generator=make) for _ in range(2))
    parts = [dice.totals_of_labels(predicted[p], label[p], 3) for p in (slice(2), slice(2, 5))]
    torch.testing.assert_close(parts[0] + parts[1], dice.totals_of_labels(predicted, label, 3))


def test_the_counts_of_an_evaluation_are_those_of_its_items() -> None:
    a, b = maps([1, 1, 2, 0]), maps([1, 1, 0, 0])
    task = Segmentation(Intensity(3), 3, (1, 4))
    totals = evaluate_totals(task, [batch_of(b, a), batch_of(a, b), batch_of(b, b)], ALONE)
    assert task.counts(totals)["dice_2"] == {"labelled": 1, "missed": 1, "only predicted": 1, "neither": 1}
    assert sum(task.counts(totals)["dice_1"].values()) == 3
