"""Conditions of diffusion samples: named labels, such as the class of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.tasks.classification import class_label

Conditions = Mapping[str, Sequence[str]]
"""Values of each condition by its name, in the order of their numbers."""


def labels_of(conditions: Conditions, batch: Batch) -> Tensor | None:
    """Returns the labels of the conditions of a batch, `[B, K]` int64; None if K is 0."""
    if not conditions:
        return None
    return torch.stack([_label(name, known, batch) for name, known in conditions.items()], dim=1)


def _label(name: str, known: Sequence[str], batch: Batch) -> Tensor:
    if name == "class":
        return class_label(batch)
    if batch.dataset not in known:
        raise UserError(
            f"the model is conditioned on the data sets {', '.join(known)}, not on {batch.dataset!r}"
        )
    return torch.full((len(batch),), known.index(batch.dataset), device=batch.image.device)


def check_labels(conditions: Conditions, labels: Tensor | None, guidance: float, *, needed: bool) -> None:
    """Raises UserError if samples cannot be conditioned on `labels` `[B, K]`.

    With `needed`, each condition needs a label, since the model was trained without condition dropout.
    """
    if not math.isfinite(guidance) or guidance < 0:
        raise UserError(f"guidance {guidance}: expected a number of 0 or more; 1 is none")
    unlabelled = labels is None or guidance != 1 or bool((labels < 0).any())
    if conditions and needed and unlabelled:
        raise UserError(
            f"the model was trained with condition_dropout 0, always with {', '.join(conditions)}: give all "
            "of them, with guidance 1"
        )
    for column, (name, values) in enumerate(conditions.items()):
        largest = -1 if labels is None else int(labels[:, column].max())
        if largest >= len(values):
            raise UserError(
                f"no {name} has number {largest}; expected 0 to {len(values) - 1}, or -1 for no label"
            )
