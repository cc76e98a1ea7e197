"""Curves of the metrics of a run, from the lines of its `metrics.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ucf_vit.drawing.style import LINES, new_figure, render_png

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
_SIZE = (4.6, 3.0)
_MAX_LEGEND = 16


def draw_curves(
    entries: Sequence[dict[str, Any]], titles: Mapping[str, str] = MappingProxyType({})
) -> dict[str, bytes]:
    """Returns PNG files by name: loss, each family of validation metrics, and learning rate, if they exist.

    Metrics belong to one family if their names begin with the same letters: dice_1, dice_2 and dice_mean are
    drawn in one picture. `titles` are those of metrics that are not shown by their name.
    """
    drawn = {"loss": _draw_loss(entries)}
    for family, names in _families(entries).items():
        curves = {titles.get(name, name): metric_series(entries, f"validation/{name}") for name in names}
        drawn[f"validation_{family}"] = _draw_lines(curves, f"validation {family}")
    drawn["learning_rate"] = _draw_lines({"lr": metric_series(entries, "lr")}, "learning rate")
    return {name: data for name, data in drawn.items() if data is not None}


def metric_series(entries: Sequence[dict[str, Any]], name: str) -> Series:
    """Returns steps `[N]` and finite values `[N]` of one metric; N is 0 if there are none."""
    points = np.array([(entry["step"], entry[name]) for entry in entries if name in entry], dtype=np.float64)
    points = points.reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    return points[:, 0], points[:, 1]


def smooth_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the exponential mean `[N]` over 5 % of the values, at least 5, without a bias at the start.

    The bias correction divides by the sum of the weights so far, as in Adam (Kingma and Ba 2015, section 3).
    """
    from scipy.signal import lfilter  # takes longer to import than all other hooks together

    weight = 2.0 / (1.0 + max(5.0, 0.05 * len(values)))
    sum_of_weights = 1.0 - (1.0 - weight) ** np.arange(1, len(values) + 1)
    return np.asarray(lfilter([weight], [1.0, weight - 1.0], values)) / sum_of_weights


def _families(entries: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for entry in entries for name in entry if name.startswith("validation/"))
    families: dict[str, list[str]] = {}
    for name in (name.removeprefix("validation/") for name in names):
        prefix = re.match(r"[^\W\d_]+", name)
        families.setdefault(prefix[0].lower() if prefix else "other", []).append(name)
    families.pop("loss", None)
    return families


def _draw_loss(entries: Sequence[dict[str, Any]]) -> bytes | None:
    steps, values = metric_series(entries, "loss")
    validation_steps, validation = metric_series(entries, "validation/loss")
    if len(steps) + len(validation_steps) == 0:
        return None
    with new_figure(*_SIZE) as figure:
        axes = figure.add_subplot(title="loss", xlabel="step")
        if len(steps):
            axes.plot(steps, values, color=LINES[0], alpha=0.25, linewidth=0.8, marker=_marker(steps))
            axes.plot(
                steps,
                smooth_values(values),
                color=LINES[0],
                label="training (smoothed)",
                marker=_marker(steps),
            )
        if len(validation_steps):
            axes.plot(
                validation_steps, validation, color=LINES[1], label="validation", marker="o", markersize=3
            )
        _set_scale(axes, np.concatenate((values, validation)))
        axes.legend()
        return render_png(figure)


def _draw_lines(curves: dict[str, Series], title: str) -> bytes | None:
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if not curves:
        return None
    with new_figure(*_SIZE) as figure:
        axes = figure.add_subplot(title=title, xlabel="step")
        for name, (steps, values) in curves.items():
            axes.plot(steps, values, label=name, marker=_marker(steps), markersize=3)
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        if 1 < len(curves) <= _MAX_LEGEND:
            axes.legend(ncols=1 + len(curves) // 9, fontsize=7)
        return render_png(figure)


def _marker(steps: NDArray[np.float64]) -> str:
    return "o" if len(steps) < 30 else ""


def _set_scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Makes the axis logarithmic for losses that fall by two orders of magnitude or more."""
    if values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")
