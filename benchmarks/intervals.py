"""Coverage of the 95 % intervals of mean scores, over simulated studies whose true mean is known.

python benchmarks/intervals.py --studies 2000

Scores of a study have an effect of their patient and one of the case. `dice` is beta-distributed; in `with
misses` each tenth structure is missed, so that its Dice is 0, and its distance the diagonal of 300 mm; `hd95`
is log-normal, up to the diagonal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from ucf_vit.metrics.statistics.bootstrap import mean_interval

Array = NDArray[np.float64]
DIAGONAL, MISSES = 300.0, 0.1
SIZES = ((20, 1), (20, 2), (50, 1), (50, 2), (100, 1), (100, 4), (200, 1), (200, 4))
"""Numbers of cases, and of cases per patient."""
Draw = Callable[[Array, Array], Array]
"""Function from standard normal values, and uniform ones, to scores."""


def dice(values: Array, chance: Array) -> Array:
    return np.asarray(beta.ppf(norm.cdf(values), 8, 2))


def dice_with_misses(values: Array, chance: Array) -> Array:
    return np.where(chance < MISSES, 0.0, dice(values, chance))


def hd95(values: Array, chance: Array) -> Array:
    return np.minimum(DIAGONAL, np.exp(1.5 + 0.7 * values))


def hd95_with_misses(values: Array, chance: Array) -> Array:
    return np.where(chance < MISSES, DIAGONAL, hd95(values, chance))


SCORES: dict[str, tuple[Draw, tuple[float, float]]] = {
    "dice": (dice, (0, 1)),
    "dice with misses": (dice_with_misses, (0, 1)),
    "hd95": (hd95, (0, np.inf)),
    "hd95 with misses": (hd95_with_misses, (0, np.inf)),
}


def true_mean(draw: Draw) -> float:
    """Returns the mean of a score over all quantiles of its distribution."""
    values = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    mean = float(draw(values, np.ones_like(values)).mean())
    missed = float(draw(np.zeros(1), np.zeros(1))[0])
    return (
        mean if missed == float(draw(np.zeros(1), np.ones(1))[0]) else (1 - MISSES) * mean + MISSES * missed
    )


def coverage(name: str, cases: int, per_patient: int, studies: int, seed: int = 0) -> tuple[float, float]:
    """Returns the shares of studies whose interval holds the true mean, and their mean width."""
    draw, limits = SCORES[name]
    truth, generator = true_mean(draw), np.random.default_rng([seed, cases, per_patient])
    patients = np.arange(cases) // per_patient
    hits, widths = 0, 0.0
    for _ in range(studies):
        shared = generator.normal(size=cases // per_patient)[patients]
        values = 0.6 * shared + 0.8 * generator.normal(size=cases)
        low, high = mean_interval(draw(values, generator.random(cases)), patients, limits) or (0, 0)
        hits += low <= truth <= high
        widths += high - low
    return hits / studies, widths / studies


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2000, help="number of studies per row")
    studies = parser.parse_args().studies
    print("| score | cases | patients | coverage | mean width |\n|---|---|---|---|---|", flush=True)
    start = time.perf_counter()
    for name in SCORES:
        for cases, per_patient in SIZES:
            share, width = coverage(name, cases, per_patient, studies)
            print(f"| {name} | {cases} | {cases // per_patient} | {share:.1%} | {width:.3g} |", flush=True)
    print(f"{studies} studies per row, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
