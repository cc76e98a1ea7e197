"""Sample read from a file, and the batch of samples that a task receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.data.arrays import Kind
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.undo import classes_on_original
from ucf_vit.patching.tree.leaves import Leaves


@dataclass(frozen=True)
class Sample:
    """Tile, image or whole volume as a source reads it.

    `image` is `[C, *S]`; `label` is `[*S]` (segmentation), `[]` (class of the whole item) or None. `extra`
    holds the arrays that the source declares besides these (`Source.arrays`), by name. All may be views of a
    memory map in the stored type: the loader converts them while it copies them.
    """

    image: NDArray[Any]
    label: NDArray[Any] | None
    variables: tuple[str, ...]
    file: str
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name: "image", "label" if there is one, and those of `extra`."""
        label = {} if self.label is None else {"label": self.label}
        return {"image": self.image, **label, **self.extra}


@dataclass(frozen=True)
class Skipped:
    """File that could not be read and was skipped, as `data.on_error: skip` allows."""

    file: str
    cause: str


@dataclass(frozen=True)
class Original:
    """The label `[1, *S]` int64 of a whole item on the grid on which it is stored, which `grid` changes."""

    grid: Regrid
    label: Tensor

    def classes(self, scores: Tensor) -> Tensor:
        """Returns the class `[1, *S]` int64 with the highest of the scores `[1, K, *T]`, on the CPU."""
        return classes_on_original(scores[0], self.grid)[None]


@dataclass(frozen=True)
class Batch:
    """Samples of one data set that have the same variables.

    `image` is `[B, C, *S]` float32; `label` is `[B, *S]` or `[B]` int64, or None. `extra` holds further
    arrays of the source, `[B, ...]` by name, whose kinds are in `kinds`. `keys` `[B]` int64 holds one random
    key per sample, a function of (seed, epoch, tile) only. `leaves` are the leaves of the images' trees where
    the loader grows them. `drawn` holds the tensors that `Task.draw` added.

    Data ranks may have batches of different sizes: `per_rank` is the mean size over them (None: all have the
    size of this one). `original` is that of a whole item that is used on another grid than the stored one, if
    its label was requested. `counts` is false on a rank for which no tile was left; its batch only keeps it
    in step with the other ranks and has no effect on loss and metrics. `items` are the numbers of the
    samples' items in their data set; empty for a batch that no data set made.
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
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    original: Original | None = None
    items: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.image)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """All arrays of the samples by name: "image", "label" if there is one, and those of `extra`."""
        label = {} if self.label is None else {"label": self.label}
        return {"image": self.image, **label, **self.extra}

    @property
    def mean_size(self) -> float:
        """Number of samples per data rank, averaged over all ranks."""
        return len(self) if self.per_rank is None else self.per_rank

    @property
    def weight(self) -> int:
        """Number of samples that count: 0 where `counts` is false."""
        return len(self) if self.counts else 0

    def with_drawn(self, **tensors: Tensor) -> Batch:
        """Returns the same batch with random tensors added to `drawn`."""
        return replace(self, drawn={**self.drawn, **tensors})

    def to(self, device: torch.device | str) -> Batch:
        """Returns the same batch with its tensors on `device`; `keys` stay on the CPU."""
        return replace(
            self,
            image=self.image.to(device, non_blocking=True),
            label=None if self.label is None else self.label.to(device, non_blocking=True),
            leaves=None if self.leaves is None else self.leaves.to(device),
            drawn={name: tensor.to(device, non_blocking=True) for name, tensor in self.drawn.items()},
            extra={name: tensor.to(device, non_blocking=True) for name, tensor in self.extra.items()},
        )
