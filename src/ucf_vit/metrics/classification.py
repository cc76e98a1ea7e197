"""Scores of classified cases, from the probabilities of all classes of each case.

A class that is neither labelled nor predicted has no score; the mean over classes is over those with one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ucf_vit.metrics.policy import Metric

BINS = 15
"""Number of bins of the calibration error."""
OVERALL = {
    one.name: one
    for one in (
        Metric("accuracy", "Accuracy"),
        Metric("balanced_accuracy", "Balanced accuracy"),
        Metric("auroc", "AUROC"),
        Metric("auprc", "AUPRC"),
        Metric("f1", "F1"),
        Metric("ece", "Calibration error", "min"),
        Metric("brier", "Brier score", "min", most=2.0),
    )
}
"""Scores of all cases together; AUROC, AUPRC and F1 are means over classes."""


def confusion(labels: NDArray[Any], predicted: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Returns the numbers of cases `[K, K]` by label (rows) and prediction (columns)."""
    pairs = labels.astype(np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class(labels: NDArray[Any], probabilities: NDArray[Any]) -> list[dict[str, float]]:
    """Returns sensitivity, precision, F1, AUROC and AUPRC of each class, from labels `[N]` and
    probabilities `[N, K]`.

    Scores that are not defined are left out: sensitivity and AUPRC of a class without cases, precision of
    one that is never predicted, AUROC of one that no case or every case has.
    """
    counts = confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    scores = []
    for number, row in enumerate(counts):
        hit, cases, predicted = int(row[number]), int(row.sum()), int(counts[:, number].sum())
        values: dict[str, float] = {"cases": cases, "predicted": predicted}
        if cases:
            values["sensitivity"] = hit / cases
            values["auprc"] = average_precision(labels == number, probabilities[:, number])
        if predicted:
            values["precision"] = hit / predicted
        if cases or predicted:
            values["f1"] = 2 * hit / (cases + predicted)
        if 0 < cases < len(labels):
            values["auroc"] = auroc(labels == number, probabilities[:, number])
        scores.append(values)
    return scores


def overall(labels: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """Returns the scores `OVERALL` of labels `[N]` and probabilities `[N, K]`.

    Those that are not defined are left out.
    """
    classes = per_class(labels, probabilities)
    values = {"accuracy": float((probabilities.argmax(axis=1) == labels).mean())}
    for name, of_class in {
        "balanced_accuracy": "sensitivity",
        "auroc": "auroc",
        "auprc": "auprc",
        "f1": "f1",
    }.items():
        defined = [one[of_class] for one in classes if of_class in one]
        if defined:
            values[name] = float(np.mean(defined))
    return values | {"ece": calibration_error(labels, probabilities), "brier": brier(labels, probabilities)}


def auroc(positive: NDArray[np.bool_], score: NDArray[Any]) -> float:
    """Returns the area under the ROC curve of scores `[N]`: the share of pairs in order, ties as half.

    Mann and Whitney 1947; some but not all cases are positive.
    """
    count = int(positive.sum())
    ranks = float(rankdata(score)[positive].sum())
    return (ranks - count * (count + 1) / 2) / (count * (len(score) - count))


def average_precision(positive: NDArray[np.bool_], score: NDArray[Any]) -> float:
    """Returns the area under the precision-recall curve as the mean of precisions, without interpolation."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))  # of runs of equal scores
    new = np.diff(hits[ends], prepend=0)
    return float((new * hits[ends] / (ends + 1)).sum() / hits[-1])


def calibration_error(labels: NDArray[Any], probabilities: NDArray[Any], bins: int = BINS) -> float:
    """Returns the expected calibration error of the predicted class (Guo et al. 2017), with equal bins."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    numbers = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(numbers, confidence - correct, bins)
    return float(np.abs(gaps).sum() / len(labels))


def brier(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Returns the mean over cases of the squared error of all probabilities, from 0 to 2 (Brier 1950)."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float((np.square(probabilities, dtype=np.float64).sum(axis=1) - 2 * chosen + 1).mean())
