"""Curves of the metrics of a run, from the lines of its `metrics.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ucf_vit.drawing.style import LINES, class_colour, figure_files

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
_SIZE = (4.6, 3.0)
_MAX_LEGEND = 16


class Curve(NamedTuple):
    """Values of a metric by step; `number` is that of the class that they are of, if they are of one."""

    series: Series
    title: str
    number: int | None = None


def draw_curves(
    entries: Sequence[dict[str, Any]],
    titles: Mapping[str, str] = MappingProxyType({}),
    classes: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, bytes]:
    """Returns loss, each family of validation metrics, and learning rate, if they exist, as files by name.

    Metrics belong to one family if their names begin with the same letters: dice_1, dice_2 and dice_mean are
    drawn in one picture, `validation_dice`. `titles` are those of metrics that are not shown by their name;
    those in `classes` are of one class and have the colour of its number. See `figure_files`.
    """
    files = _draw_loss(entries)
    for family, names in _families(entries).items():
        title = titles.get(family, family)
        curves = [
            Curve(
                metric_series(entries, f"validation/{name}"),
                titles.get(name, name).removeprefix(f"{title}: "),
                classes.get(name),
            )
            for name in names
        ]
        files |= _draw_lines(f"validation_{family}", f"Validation: {title}", curves)
    learning_rate = Curve(metric_series(entries, "lr"), "learning rate")
    return files | _draw_lines("learning_rate", "Learning rate", [learning_rate])


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


def _draw_loss(entries: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    steps, values = metric_series(entries, "loss")
    validation_steps, validation = metric_series(entries, "validation/loss")
    if len(steps) + len(validation_steps) == 0:
        return {}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(title="Loss", xlabel="step")
        blue: dict[str, Any] = {"color": LINES[0], "marker": _marker(steps), "markersize": 3}
        if len(steps):
            axes.plot(steps, values, alpha=0.25, linewidth=0.8, **blue)
            axes.plot(steps, smooth_values(values), label="training (smoothed)", **blue)
        if len(validation_steps):
            red: dict[str, Any] = {"color": LINES[1], "marker": "o", "markersize": 3}
            axes.plot(validation_steps, validation, label="validation", **red)
        _set_scale(axes, np.concatenate((values, validation)))
        axes.legend()

    return figure_files("loss", *_SIZE, draw)


def _draw_lines(name: str, title: str, curves: Sequence[Curve]) -> dict[str, bytes]:
    curves = [curve for curve in curves if len(curve.series[0])]
    if not curves:
        return {}
    of_classes = any(curve.number is not None for curve in curves)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(title=title, xlabel="step")
        for curve in curves:
            steps, values = curve.series
            style: dict[str, Any] = {"marker": _marker(steps), "markersize": 3, "label": curve.title}
            if curve.number is not None:
                style["color"] = class_colour(curve.number)
            elif of_classes:
                style |= {"color": matplotlib.rcParams["text.color"], "linewidth": 2.2, "zorder": 3}
                style["label"] = f"{curve.title}, all classes"
            axes.plot(steps, values, **style)
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        if 1 < len(curves) <= _MAX_LEGEND:
            axes.legend(ncols=1 + len(curves) // 9, fontsize=7)

    return figure_files(name, *_SIZE, draw)


def _marker(steps: NDArray[np.float64]) -> str:
    return "o" if len(steps) < 30 else ""


def _set_scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Makes the axis logarithmic for losses that fall by two orders of magnitude or more."""
    if values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")
