"""Scores of classification and reconstruction, against brute force and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ucf_vit.metrics import classification
from ucf_vit.metrics.reconstruction import psnr, ssim


def crowd(cases: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, cases)
    logits = generator.standard_normal((cases, classes)) + 1.5 * np.eye(classes)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, shares.round(2)  # rounded, so that scores are tied


def test_areas_under_curves_equal_all_pairs_and_all_thresholds() -> None:
    labels, shares = crowd()
    positive, score = labels == 1, shares[:, 1]
    pairs = [(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    assert classification.auroc(positive, score) == pytest.approx(np.mean(pairs))
    area = found = 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        chosen = score >= threshold
        area += ((positive & chosen).sum() / positive.sum() - found) * positive[chosen].mean()
        found = (positive & chosen).sum() / positive.sum()
    assert classification.average_precision(positive, score) == pytest.approx(area)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_auroc_and_ssim_equal_those_of_monai() -> None:
    metrics = pytest.importorskip("monai.metrics")
    labels, shares = crowd()
    theirs = metrics.compute_roc_auc(torch.tensor(shares[:, 1]), torch.tensor(labels == 1).long())
    assert classification.auroc(labels == 1, shares[:, 1]) == pytest.approx(float(theirs))
    target = gaussian_filter(np.random.default_rng(1).random((1, 24, 20, 18)), (0, 1, 1, 1))
    image = target + 0.05 * np.random.default_rng(2).standard_normal(target.shape)
    span = float(target.max() - target.min())
    measure = metrics.SSIMMetric(spatial_dims=3, data_range=span, kernel_sigma=1.5, win_size=11)
    assert ssim(image, target) == pytest.approx(
        float(measure(torch.tensor(image)[None].float(), torch.tensor(target)[None].float())), abs=1e-4
    )
    peak = metrics.PSNRMetric(max_val=span)(torch.tensor(image)[None], torch.tensor(target)[None])
    assert psnr(image, target) == pytest.approx(float(peak), rel=1e-5)


def test_scores_of_classes() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    shares = np.eye(4)[[0, 0, 1, 1, 1, 1]]
    counts = classification.confusion(labels, shares.argmax(1), 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    first, second, third, fourth = classification.per_class(labels, shares)
    assert first["sensitivity"] == pytest.approx(2 / 3) and first["precision"] == 1
    assert second["precision"] == 0.5 and second["f1"] == pytest.approx(2 / 3)
    assert third["f1"] == 0 and "precision" not in third
    assert fourth == {"cases": 0, "predicted": 0}
    scores = classification.overall(labels, shares)
    assert set(scores) == set(classification.OVERALL)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert scores["brier"] == pytest.approx(2 * 2 / 6)
    assert scores["ece"] == pytest.approx(2 / 6)


def test_calibration_error_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    error = classification.calibration_error(np.array([0, 1, 0, 1]), shares, bins=10)
    assert error == pytest.approx((2 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1)) / 4)


def test_constant_and_equal_images() -> None:
    image = np.random.default_rng(0).random((2, 8, 30))
    assert psnr(image, image) == 100 and ssim(image, image) == pytest.approx(1)
    flat = np.ones((1, 16, 16))
    assert psnr(flat, flat) == 100 and psnr(flat + 1, flat) == 0
    assert np.isfinite(ssim(flat + 1, flat))
