"""What tokens are told from outside the image: a time step, labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.init import normal_
from ucf_vit.nn.positions import sincos_at


class LabelTable(nn.Module):
    """One learned row for each value of a label, and one for a label that is not told."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.count = count
        self.rows = nn.Parameter(torch.empty(count + 1, dim))

    def reset_parameters(self) -> None:
        """Draw the rows."""
        normal_(self.rows, std=0.02)

    def forward(self, label: Tensor) -> Tensor:
        """Numbers `[B]`, -1 where it is not told, to `[B, D]`."""
        return self.rows[label.masked_fill(label < 0, self.count)]


class Conditions(nn.Module):
    """A time step and K labels of each sample as one vector `[B, D]`.

    The step's sines and cosines (Ho et al. 2020) go through an MLP; rows of the labels' tables are added
    (Peebles and Xie 2023). `counts` are the values that each label can have.
    """

    def __init__(self, dim: int, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.dim = dim
        self.fc1 = nn.Linear(dim, dim)
        self.act = nn.SiLU()
        self.fc2 = nn.Linear(dim, dim)
        self.labels = nn.ModuleList(LabelTable(count, dim) for count in counts)

    def forward(self, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Steps `[B]` and labels `[B, K]` int64, -1 (None: all) where not told, to `[B, D]`.

        Raises UserError for another K.
        """
        x = sincos_at(time[:, None].to(self.fc1.weight.dtype), self.dim)
        x = self.fc2(self.act(self.fc1(x)))
        if labels is None:
            labels = time.new_full((len(time), len(self.labels)), -1, dtype=torch.int64)
        if labels.shape != (len(time), len(self.labels)):
            raise UserError(
                f"labels of shape {list(labels.shape)} for {len(time)} samples of a model with "
                f"{len(self.labels)} conditions; expected [{len(time)}, {len(self.labels)}]"
            )
        for table, label in zip(self.labels, labels.unbind(1), strict=True):
            x = x + table(label)
        return x
