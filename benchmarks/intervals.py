"""Coverage and width of the 95 % intervals of means, over simulated studies whose true mean is known.

python benchmarks/intervals.py --studies 2000

Scores of a study have an effect of their patient and one of the case. Dice is beta-distributed (mean 0.8,
"high" 0.95), HD95 log-normal up to the diagonal of 300 mm; with misses, each tenth structure has the worst
score. Lesion F1 is that of few lesions, of which most are found, and has few distinct values. A "difference"
is between two methods on the same cases.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from ucf_vit.metrics.statistics.bootstrap import Limits, mean_interval

Array = NDArray[np.float64]
DIAGONAL, MISSES = 300.0, 0.1
SIZES = ((5, 1), (10, 1), (20, 1), (20, 2), (50, 1), (50, 2), (100, 1), (100, 4), (200, 1), (200, 4))
"""Numbers of cases, and of cases per patient."""
Draw = Callable[[Array, np.random.Generator], Array]
"""Function from standard normal values of cases to their scores."""


def dice(values: Array, generator: np.random.Generator) -> Array:
    return np.asarray(beta.ppf(norm.cdf(values), 8, 2))


def high_dice(values: Array, generator: np.random.Generator) -> Array:
    return np.asarray(beta.ppf(norm.cdf(values), 40, 2))


def hd95(values: Array, generator: np.random.Generator) -> Array:
    return np.minimum(DIAGONAL, np.exp(1.5 + 0.7 * values))


def lesion_f1(values: Array, generator: np.random.Generator, skill: float = 1.0) -> Array:
    lesions = 1 + generator.poisson(1.5, values.shape)
    found = generator.binomial(lesions, skill * (0.5 + 0.45 * norm.cdf(values)))
    made_up = generator.poisson(0.3, values.shape)
    return np.asarray(2 * found / (found + lesions + made_up))


def with_misses(draw: Draw, worst: float) -> Draw:
    def scores(values: Array, generator: np.random.Generator) -> Array:
        return np.where(generator.random(values.shape) < MISSES, worst, draw(values, generator))

    return scores


def difference_of_dice(values: Array, generator: np.random.Generator) -> Array:
    """Two methods that differ little, on cases that are difficult for both."""
    one, other = (
        dice(0.95 * values + 0.31 * generator.normal(size=values.shape) + better, generator)
        for better in (0.1, 0.0)
    )
    return one - other


def difference_of_lesion_f1(values: Array, generator: np.random.Generator) -> Array:
    return lesion_f1(values, generator) - lesion_f1(values, generator, 0.93)


SCORES: dict[str, tuple[Draw, Limits]] = {
    "Dice": (dice, (0, 1)),
    "Dice, high": (high_dice, (0, 1)),
    "Dice, 10 % missed": (with_misses(dice, 0.0), (0, 1)),
    "HD95": (hd95, (0, DIAGONAL)),
    "HD95, 10 % missed": (with_misses(hd95, DIAGONAL), (0, DIAGONAL)),
    "lesion F1": (lesion_f1, (0, 1)),
    "difference of Dice": (difference_of_dice, (-1, 1)),
    "difference of lesion F1": (difference_of_lesion_f1, (-1, 1)),
}


def true_mean(draw: Draw) -> float:
    """Returns the mean of a score of two million cases."""
    generator = np.random.default_rng(0)
    return float(draw(generator.normal(size=2_000_000), generator).mean())


def coverage(name: str, cases: int, per_patient: int, studies: int, seed: int = 0) -> tuple[float, float]:
    """Returns the share of studies whose interval contains the true mean, and the mean width."""
    draw, limits = SCORES[name]
    truth, generator = true_mean(draw), np.random.default_rng([seed, cases, per_patient])
    patients = np.arange(cases) // per_patient
    hits, widths = 0, 0.0
    for _ in range(studies):
        shared = generator.normal(size=cases // per_patient)[patients]
        values = draw(0.6 * shared + 0.8 * generator.normal(size=cases), generator)
        low, high = mean_interval(values, patients, limits) or (values.mean(), values.mean())
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
