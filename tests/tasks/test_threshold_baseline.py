"""The intensity baseline: the best interval there is, scored as every evaluation is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.synthetic import make_volume
from ucf_vit.tasks.threshold_baseline import IntensityInterval, ThresholdBaseline, fit_threshold


def sample(image, label, name="volume"):
    image = np.asarray(image, np.float32)
    return Sample(image, None if label is None else np.asarray(label, np.int64), ("ct",) * len(image), name)


@pytest.fixture(scope="module")
def concrete():
    samples = []
    for seed in range(6):
        image, label = make_volume((64, 64, 64), seed)
        scaled = (image - image.mean()) / image.std()
        samples.append(sample(scaled[None], label, f"concrete {seed}"))
    return samples


def test_intensity_does_not_segment_the_synthetic_concrete(concrete):
    dice = fit_threshold(concrete[:4], num_classes=4).dice(concrete[4:])
    classes = [dice[f"dice_{number}"] for number in (1, 2, 3)]
    assert all(0.3 < score < 0.75 for score in classes)
    assert dice["dice"] == pytest.approx(np.mean(classes))
    assert 0.4 < dice["dice"] < 0.66


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_no_interval_is_better_on_the_training_samples(seed):
    rng = np.random.default_rng(seed)
    some_lack_some = [(1, 2), (0, 1, 2), (0, 1), (0, 2), (0,)]
    classes = some_lack_some[: 2 + seed % 4]
    samples = [sample(rng.integers(0, 6, (1, 5, 4)), rng.choice(some, (5, 4))) for some in classes]
    best = fit_threshold(samples, 3).dice(samples)
    ends = np.arange(-0.5, 6)
    for number in (1, 2):
        scores = [
            ThresholdBaseline({1: IntensityInterval(0, low, high), 2: IntensityInterval(0, low, high)}).dice(
                samples
            )[f"dice_{number}"]
            for low in ends
            for high in ends[ends > low]
        ]
        np.testing.assert_allclose(best[f"dice_{number}"], np.nanmax(scores))


def test_the_range_of_the_intensities_does_not_matter(concrete):
    moved = [sample(300 * item.image - 7, item.label) for item in concrete[:3]]
    plain = fit_threshold(concrete[:2], 4).dice(concrete[2:3])
    assert fit_threshold(moved[:2], 4).dice(moved[2:]) == pytest.approx(plain, abs=0.01)


def test_a_class_that_an_item_lacks_counts_where_it_is_predicted():
    with_both = sample([[[0, 1, 2, 2]]], [[0, 1, 2, 2]])
    with_one = sample([[[0, 1, 2, 2]]], [[0, 1, 0, 0]])
    dice = fit_threshold([with_both], 4).dice([with_both, with_one])
    assert dice["dice_1"] == 1
    assert dice["dice_2"] == 0.5
    assert np.isnan(dice["dice_3"])
    assert dice["dice"] == 0.75


def test_an_interval_is_not_paid_for_in_items_without_the_class():
    """Value 5 is half of the object in one item, and all of three items that have no object."""
    with_it = sample([[[0, 0, 5, 9]]], [[0, 0, 1, 1]])
    without = sample([[[0, 0, 5, 5]]], [[0, 0, 0, 0]])
    baseline = fit_threshold([with_it, without, without, without], 2)
    assert baseline.intervals[1].low > 5
    assert baseline.dice([with_it, without]) == {"dice": pytest.approx(2 / 3), "dice_1": pytest.approx(2 / 3)}


def test_values_beyond_the_training_range_belong_to_the_outer_intervals():
    baseline = fit_threshold([sample([[[0, 0, 1, 1]]], [[1, 1, 2, 2]])], 3)
    assert baseline.dice([sample([[[-5, 9]]], [[1, 2]])]) == {"dice": 1, "dice_1": 1, "dice_2": 1}


def test_the_best_channel_is_taken():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, (8, 8, 8))
    baseline = fit_threshold([sample(np.stack([rng.random(label.shape), label]), label)], 2)
    assert baseline.intervals[1].channel == 1


def test_a_constant_volume_is_no_error():
    flat = sample(np.zeros((1, 4, 4)), np.eye(4))
    assert fit_threshold([flat], 2).dice([flat])["dice_1"] == pytest.approx(0.4)


def test_samples_may_come_from_a_generator(concrete):
    assert fit_threshold(iter(concrete[:2]), 4) == fit_threshold(concrete[:2], 4)


def test_samples_that_cannot_be_fitted_are_named():
    with pytest.raises(DataError, match="no training sample"):
        fit_threshold([], 3)
    with pytest.raises(DataError, match="case_7: the intensity threshold needs a label"):
        fit_threshold([sample(np.zeros((1, 4, 4)), None, "case_7")], 3)
