"""Curves of a run, drawn from the lines of its `metrics.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ucf_vit.drawing.style import LINES, new_figure, png

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
_SIZE = (4.6, 3.0)
_MOST_IN_LEGEND = 16


def draw_curves(entries: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """PNG files by name: the loss, each family of validation metrics, the learning rate; those that exist.

    A family is what shares the letters a name begins with: dice_1, dice_2 and dice_mean are one picture.
    """
    drawn = {"loss": _draw_loss(entries)}
    for family, names in _families(entries).items():
        curves = {name: series(entries, f"validation/{name}") for name in names}
        drawn[f"validation_{family}"] = _draw_lines(curves, f"validation {family}")
    drawn["learning_rate"] = _draw_lines({"lr": series(entries, "lr")}, "learning rate")
    return {name: data for name, data in drawn.items() if data is not None}


def series(entries: Sequence[dict[str, Any]], name: str) -> Series:
    """Steps `[N]` and finite values `[N]` of one metric, `[0]` where there are none."""
    points = np.array([(entry["step"], entry[name]) for entry in entries if name in entry], dtype=np.float64)
    points = points.reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    return points[:, 0], points[:, 1]


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential mean `[N]` over 5 % of the values, at least 5, without a pull to zero at the start.

    The correction divides by the weight seen so far, as Adam does (Kingma and Ba 2015, section 3).
    """
    from scipy.signal import lfilter  # takes longer to import than all other hooks together

    weight = 2.0 / (1.0 + max(5.0, 0.05 * len(values)))
    seen = 1.0 - (1.0 - weight) ** np.arange(1, len(values) + 1)
    return np.asarray(lfilter([weight], [1.0, weight - 1.0], values)) / seen


def _families(entries: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for entry in entries for name in entry if name.startswith("validation/"))
    families: dict[str, list[str]] = {}
    for name in (name.removeprefix("validation/") for name in names):
        begin = re.match(r"[^\W\d_]+", name)
        families.setdefault(begin[0].lower() if begin else "other", []).append(name)
    families.pop("loss", None)
    return families


def _draw_loss(entries: Sequence[dict[str, Any]]) -> bytes | None:
    (steps, values), (at, validation) = series(entries, "loss"), series(entries, "validation/loss")
    if len(steps) + len(at) == 0:
        return None
    with new_figure(*_SIZE) as figure:
        axes = figure.add_subplot(title="loss", xlabel="step")
        if len(steps):
            axes.plot(steps, values, color=LINES[0], alpha=0.25, linewidth=0.8, marker=_marker(steps))
            axes.plot(
                steps, smooth(values), color=LINES[0], label="training (smoothed)", marker=_marker(steps)
            )
        if len(at):
            axes.plot(at, validation, color=LINES[1], label="validation", marker="o", markersize=3)
        _scale(axes, np.concatenate((values, validation)))
        axes.legend()
        return png(figure)


def _draw_lines(curves: dict[str, Series], title: str) -> bytes | None:
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if not curves:
        return None
    with new_figure(*_SIZE) as figure:
        axes = figure.add_subplot(title=title, xlabel="step")
        for name, (steps, values) in curves.items():
            axes.plot(steps, values, label=name, marker=_marker(steps), markersize=3)
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        if 1 < len(curves) <= _MOST_IN_LEGEND:
            axes.legend(ncols=1 + len(curves) // 9, fontsize=7)
        return png(figure)


def _marker(steps: NDArray[np.float64]) -> str:
    return "o" if len(steps) < 30 else ""


def _scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """A logarithmic axis for losses that fall by two orders of magnitude or more."""
    if values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")
