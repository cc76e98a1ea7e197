"""Interface of the order of an epoch: integers only, a pure function of seed, epoch and progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Part = TypeVar("Part")
"""Part of an epoch that is still to be read, as an order describes it."""


class Request(NamedTuple):
    """One rank's batch: `tiles` `[b]` of group number `group`, and one random key per tile, `keys` `[b]`.

    `per_rank` is the mean of b over all ranks (None: all are equal). A rank for which there is no tile gets
    one of another rank, which does not count here: then `counts` is false.
    """

    epoch: int
    group: int
    tiles: NDArray[np.int64]
    keys: NDArray[np.int64]
    per_rank: float | None = None
    counts: bool = True


@dataclass(frozen=True, eq=False)
class Group:
    """Tiles that may share a batch: those of one data set (and of one variable with `single_channel`).

    `counts` `[N]` is the number of tiles of each file; `buffer` is the size of the shuffle buffer in tiles.
    """

    dataset: str
    name: str
    counts: NDArray[np.int64]
    buffer: int = 0

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """End of each file's range of tile numbers, exclusive, `[N]`."""
        return np.cumsum(self.counts)

    @property
    def size(self) -> int:
        """Number of tiles in the group."""
        return int(self.ends[-1]) if len(self.ends) else 0


class EpochOrder(Protocol[Part]):
    """Which tiles make which batch of an epoch on one rank.

    An epoch can be interrupted and resumed with other ranks or another batch size; a `Part` describes which
    part of it is still to be read.
    """

    @property
    def groups(self) -> Sequence[Group]:
        """Groups of tiles; each batch is of one group."""

    @property
    def seed(self) -> int:
        """Seed of the order and of the tiles' keys."""

    @property
    def shuffle(self) -> bool:
        """Whether tiles come in random order."""

    @property
    def ranks(self) -> int:
        """Number of ranks that read."""

    @property
    def global_batch(self) -> int:
        """Number of tiles in a batch over all ranks."""

    @property
    def full_epoch(self) -> Part:
        """The whole epoch."""

    def __len__(self) -> int:
        """Returns the number of batches of a full epoch on this rank."""

    def count(self, epoch: int, part: Part) -> int:
        """Returns the number of batches of a part of an epoch on this rank."""

    def requests(self, epoch: int, first: int, part: Part) -> Iterator[Request]:
        """Yields this rank's batches of a part of an epoch, from number `first` on."""

    def replacements(self, request: Request, row: int) -> Iterator[tuple[int, int]]:
        """Yields tiles that may replace an unreadable one in row `row` of a batch, with their keys."""

    def state(self, part: Part) -> dict[str, Any]:
        """Returns what is needed to resume a part of an epoch, as JSON."""

    def resume(self, state: Mapping[str, Any]) -> tuple[int, Part]:
        """Returns the position and the part with which to resume from `state`.

        `state` is the result of the method `state` with "epoch" and "position" added. Raises CheckpointError
        where the order was of another kind in the middle of an epoch, and ValueError where the position is
        past the end of the epoch.
        """
