"""Scores of segmentations: their definitions, equality with MONAI and brute force, and the policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from ucf_vit.metrics.lesions import match_lesions
from ucf_vit.metrics.policy import SEGMENTATION, worst
from ucf_vit.metrics.segmentation import score_case
from ucf_vit.metrics.surface import diagonal, surface_distances
from ucf_vit.metrics.voxels import count_voxels

SPACING = (0.7, 1.0, 2.5)
LABELS = arrays.arrays(np.int64, (5, 4, 3), elements=st.sampled_from((-1, 0, 0, 1, 2)))


def blobs(seed: int, shape: tuple[int, ...] = (20, 18, 12), share: float = 0.8) -> np.ndarray:
    values = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2)
    return values > np.quantile(values, share)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_scores_equal_those_of_monai() -> None:
    metrics = pytest.importorskip("monai.metrics")
    ours, label = blobs(0), blobs(1) | blobs(0, share=0.9)
    (scores,) = score_case(ours.astype(np.uint8), label.astype(np.uint8), 2, SPACING, tolerance=1.0)
    pair = [torch.from_numpy(mask)[None, None] for mask in (ours, label)]
    values = {
        "dice": metrics.compute_dice(*pair),
        "hd95": metrics.compute_hausdorff_distance(*pair, percentile=95, spacing=SPACING),
        "nsd": metrics.compute_surface_dice(*pair, class_thresholds=[1.0], spacing=SPACING),
    }
    for name, value in values.items():
        assert scores.values[name] == pytest.approx(float(value), rel=1e-5), name
    assert 0 < scores.values["nsd"] < 1


def test_scores_equal_brute_force() -> None:
    ours, label = blobs(2), blobs(3) | blobs(2, share=0.9)
    (scores,) = score_case(ours.astype(np.int16), label.astype(np.int16), 2, SPACING, tolerance=1.5)
    positions = []
    for mask in (ours, label):
        padded = np.pad(mask, 1)
        shifted = [np.roll(padded, step, axis) for axis in range(3) for step in (-1, 1)]
        edge = (padded & ~np.logical_and.reduce(shifted))[1:-1, 1:-1, 1:-1]
        positions.append(np.argwhere(edge) * SPACING)
    distances = cdist(*positions)
    each = distances.min(axis=1), distances.min(axis=0)
    assert scores.values["hd95"] == pytest.approx(max(np.percentile(one, 95) for one in each))
    close = sum((one <= 1.5).sum() for one in each)
    assert scores.values["nsd"] == pytest.approx(close / sum(map(len, each)))
    both, voxel = (ours & label).sum(), 0.7 * 2.5 / 1000
    assert scores.values["sensitivity"] == both / label.sum()
    assert scores.values["precision"] == both / ours.sum()
    assert scores.values["volume_error"] == abs(int(ours.sum()) - int(label.sum())) / label.sum()
    assert scores.sizes["volume_labelled_ml"] == pytest.approx(label.sum() * voxel)
    assert scores.sizes["volume_difference_ml"] == pytest.approx((ours.sum() - label.sum()) * voxel)
    assert scores.sizes["volume_error_ml"] == abs(scores.sizes["volume_difference_ml"])


def test_distances_of_two_squares_are_in_mm() -> None:
    label = np.zeros((40, 30), np.int64)
    label[5:10, 5:10] = 1
    moved = np.roll(label, 3, axis=0)
    (scores,) = score_case(moved, label, 2, (2.0, 1.0), tolerance=0.5)
    assert scores.values["hd95"] == 6.0
    assert scores.values["volume_error"] == 0
    assert scores.sizes["area_labelled_mm2"] == 50.0


def test_lesions_match_by_overlap() -> None:
    label, ours = np.zeros((30, 10), bool), np.zeros((30, 10), bool)
    label[0:4, 0:4] = ours[0:4, 0:3] = True  # IoU 12 / 16: found
    label[8:12, 0:4] = ours[8:10, 0:4] = True  # IoU 1/2: missed, and made up
    label[16:18, 0:2] = True  # missed
    ours[24:26, 0:2] = ours[26:28, 2:4] = True  # one made up, since corners connect
    lesions = match_lesions(ours, label)
    assert lesions[:3] == (1, 2, 2)
    assert lesions.f1 == pytest.approx(1 / 3)
    assert lesions.panoptic_quality == pytest.approx(0.75 / 3)


def test_large_volumes_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, label = (torch.randint(0, 4, (2, 50), generator=generator) for _ in range(2))
    whole = count_voxels(ours, label, 4)
    monkeypatch.setattr("ucf_vit.metrics.voxels.AT_ONCE", 7)
    assert all(map(torch.equal, count_voxels(ours, label, 4), whole))
    assert whole.labelled.sum() == 100


def test_policy() -> None:
    label, ours = np.zeros((10, 10, 10), np.int64), np.zeros((10, 10, 10), np.int64)
    label[2:4, 2:4, 2:4], ours[2:4, 2:4, 2:4] = 1, 2
    missed, made_up, neither = score_case(ours, label, 4, SPACING)
    assert (missed.kind, made_up.kind, neither.kind) == ("missed", "only predicted", "neither")
    length = diagonal(label.shape, SPACING)
    assert length == pytest.approx(np.linalg.norm(np.multiply(SPACING, 10)))
    assert missed.values == made_up.values == worst(length)
    assert missed.values["hd95"] == length
    assert neither.values == neither.sizes == {}


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS)
def test_every_score_is_finite_and_none_is_worse_than_a_miss(ours: np.ndarray, label: np.ndarray) -> None:
    missing = score_case(np.zeros_like(label), label, 3, SPACING)
    for score, miss in zip(score_case(abs(ours), label, 3, SPACING), missing, strict=True):
        assert set(score.values) == (set() if score.kind == "neither" else set(SEGMENTATION))
        assert np.isfinite(list(score.values.values())).all()
        for name, value in score.values.items():
            against = miss.values.get(name, worst(score.diagonal)[name])
            assert value >= against if SEGMENTATION[name].better == "max" else value <= against, name


@settings(max_examples=30, deadline=None)
@given(LABELS, LABELS)
def test_ignored_voxels_change_nothing(ours: np.ndarray, label: np.ndarray) -> None:
    ours = abs(ours)
    others = np.where(label < 0, 2 - ours, ours)
    assert score_case(ours, label, 3, SPACING) == score_case(others, label, 3, SPACING)


@settings(max_examples=30, deadline=None)
@given(LABELS, LABELS)
def test_exchanging_label_and_prediction_exchanges_sensitivity_and_precision(
    ours: np.ndarray, label: np.ndarray
) -> None:
    ours, label = abs(ours), abs(label)
    for one, other in zip(
        score_case(ours, label, 3, SPACING), score_case(label, ours, 3, SPACING), strict=True
    ):
        if one.kind == "both":
            assert one.values["sensitivity"] == other.values["precision"]
            for name in ("dice", "hd95", "nsd", "lesion_f1", "panoptic_quality"):
                assert one.values[name] == pytest.approx(other.values[name])


def test_distances_are_zero_for_equal_masks() -> None:
    mask = blobs(5)
    distances = surface_distances(mask, mask, SPACING)
    assert distances.hausdorff() == 0
    assert distances.surface_dice(0.0) == 1
