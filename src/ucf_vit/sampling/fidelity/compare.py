"""Fidelity of samples: distance to held-out tiles, and to the nearest training tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import generator
from ucf_vit.data.batch import Batch
from ucf_vit.sampling.fidelity.features import FEATURES, RandomFeatures
from ucf_vit.sampling.fidelity.frechet import frechet_distance
from ucf_vit.sampling.fidelity.nearest import Nearest
from ucf_vit.sampling.fidelity.reservoir import Reservoir

ENOUGH = 2 * FEATURES
"""Number of tiles that determine a covariance of the features well enough."""
Tiles = Iterable[tuple[Batch, Tensor]]
"""Batches, each with the mask `[B]` of selected rows."""


@dataclass(frozen=True)
class Fidelity:
    """Result of `compare`.

    `generated` (samples to held-out tiles), `floor` (held-out to training tiles) and `noise` (to held-out
    tiles) are Fréchet distances, each between `number` and `number` tiles. `nearest` are the root mean square
    differences `[N]` of samples to their nearest training tiles, `neighbour` these tiles `[N, C, *S]` and
    `file` their files. `nearest_held_out` are the same differences for held-out tiles.
    """

    number: int
    generated: float
    floor: float
    noise: float
    training_tiles: int
    held_out_tiles: int
    nearest: Tensor
    nearest_held_out: Tensor
    neighbour: Tensor
    file: list[str]

    def summary(self) -> dict[str, object]:
        """Returns the contents of `fidelity.json`."""
        return {
            "tiles_of_each": self.number,
            "frechet": {
                "generated_to_held_out": self.generated,
                "held_out_to_training": self.floor,
                "noise_to_held_out": self.noise,
            },
            "nearest_training_tile": {
                "median_of_generated": float(self.nearest.median()),
                "median_of_held_out": float(self.nearest_held_out.median()),
                "generated": [
                    {"rms_difference": distance, "file": file}
                    for distance, file in zip(self.nearest.tolist(), self.file, strict=True)
                ],
            },
            "tiles": {"training": self.training_tiles, "held_out": self.held_out_tiles},
        }


def compare(samples: Tensor, training: Tiles, held_out: Tiles, seed: int, device: torch.device) -> Fidelity:
    """Compares samples `[N, C, *S]` with tiles, in one pass over the tiles; stores up to N of each kind.

    Raises UserError if there are fewer than two of a kind.
    """
    number = len(samples)
    reference, trained = Reservoir(number), Reservoir(number)
    for batch, rows in held_out:
        reference.add(batch.image[rows], batch.keys[rows])
    held = _enough(reference, "held-out tiles")
    nearest, nearest_held = Nearest(samples, device), Nearest(held, device)
    for batch, rows in training:
        image = batch.image[rows]
        trained.add(image, batch.keys[rows])
        files = [file for file, selected in zip(batch.files, rows.tolist(), strict=True) if selected]
        for search in (nearest, nearest_held):
            search.add(image, files)
    known = _enough(trained, "training tiles")
    least = min(number, len(held), len(known))
    held, known = held[:least], known[:least]
    encoder = RandomFeatures(held)
    features = encoder.of(held, device)

    def distance(images: Tensor) -> float:
        return frechet_distance(encoder.of(images, device), features)

    return Fidelity(
        number=least,
        generated=distance(samples[:least]),
        floor=distance(known),
        noise=distance(noise_like(held, seed)),
        training_tiles=trained.seen,
        held_out_tiles=reference.seen,
        nearest=nearest.distance,
        nearest_held_out=nearest_held.distance,
        neighbour=nearest.tile,
        file=nearest.file,
    )


def noise_like(tiles: Tensor, seed: int) -> Tensor:
    """Returns normal noise in the shape and range of `tiles`; the range is two deviations wide."""
    low, high = float(tiles.min()), float(tiles.max())
    noise = torch.randn(tiles.shape, generator=generator(seed, "noise to compare with"))
    return ((low + high) / 2 + (high - low) / 2 * noise).clamp(low, high)


def _enough(stored: Reservoir, kind: str) -> Tensor:
    if len(stored) < 2:
        raise UserError(f"--compare: {stored.seen} {kind} like the samples; at least two are needed")
    return stored.images


def in_words(fidelity: Fidelity) -> str:
    """Returns a text that explains the results."""
    number = fidelity.number
    generated, held_out = float(fidelity.nearest.median()), float(fidelity.nearest_held_out.median())
    ratio = generated / held_out if held_out > 0 else math.nan
    few = f", and {number:,} are few: take --number {ENOUGH} or more" if number < ENOUGH else ""
    return (
        f"Each distance is between {number:,} and {number:,} tiles. It is larger for fewer tiles: compare "
        f"only distances for the same number{few}.\n"
        f"Samples are {ratio:.2f} times as far from their nearest training tile as held-out tiles are; much "
        "less than 1 would mean copies."
    )
