"""What travels from the files to the task: one `Sample`, many of them a `Batch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.patching.tree.leaves import Leaves


@dataclass(frozen=True)
class Sample:
    """One tile, image or whole volume as a source reads it.

    `image` is `[C, *S]`; `label` `[*S]` (segmentation), `[]` (class) or None. Both may be views of a memory
    map and of the type that is stored: the loader makes them float32 and int64 while it copies them.
    """

    image: NDArray[Any]
    label: NDArray[Any] | None
    variables: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read under `data.on_error: skip`."""

    file: str
    cause: str


@dataclass(frozen=True)
class Batch:
    """Samples of one dataset with the same variables.

    `image` `[B, C, *S]` float32; `label` `[B, *S]` or `[B]` int64, or None; `keys` `[B]` int64, one random
    key per sample that is a function of (seed, epoch, item) alone; `leaves` are those of the images' trees if
    they grow in the loader; `drawn` holds what `Task.draw` added.

    Data ranks may have different numbers of samples: `per_rank` is the mean over them (None: all have as many
    as this one). `counts` is false where other ranks have all samples there are, and these only keep this one
    in step.
    """

    image: Tensor
    label: Tensor | None
    variables: tuple[str, ...]
    dataset: str
    files: tuple[str, ...]
    keys: Tensor
    skipped: tuple[Skipped, ...] = ()
    leaves: Leaves | None = None
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    per_rank: float | None = None
    counts: bool = True

    def __len__(self) -> int:
        return len(self.image)

    @property
    def mean_size(self) -> float:
        """Samples for each data rank, on average over all of them."""
        return len(self) if self.per_rank is None else self.per_rank

    @property
    def weight(self) -> int:
        """Samples that count."""
        return len(self) if self.counts else 0

    def with_drawn(self, **tensors: Tensor) -> Batch:
        """The same batch with random tensors added."""
        return replace(self, drawn={**self.drawn, **tensors})

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device` (keys stay on the CPU)."""
        return replace(
            self,
            image=self.image.to(device, non_blocking=True),
            label=None if self.label is None else self.label.to(device, non_blocking=True),
            leaves=None if self.leaves is None else self.leaves.to(device),
            drawn={name: tensor.to(device, non_blocking=True) for name, tensor in self.drawn.items()},
        )
