"""Conditions that do not come from the image: a time step and labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.embedding.positions import sincos_at
from ucf_vit.nn.init import normal_


class LabelTable(nn.Module):
    """Learned embedding of each value of a label, and one for a label that is not given."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.count = count
        self.rows = nn.Parameter(torch.empty(count + 1, dim))

    def reset_parameters(self) -> None:
        """Draws the rows."""
        normal_(self.rows, std=0.02)

    def forward(self, label: Tensor) -> Tensor:
        """Labels `[B]` int64, -1 where not given, to `[B, D]`."""
        return self.rows[label.masked_fill(label < 0, self.count)]


class Conditions(nn.Module):
    """Embeds a time step and K labels of each sample as one vector `[B, D]`.

    Sines and cosines of the step (Ho et al. 2020) go through an MLP, and the embeddings of the labels are
    added (Peebles and Xie 2023). `counts` holds the number of values of each label.
    """

    def __init__(self, dim: int, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.dim = dim
        self.fc1 = nn.Linear(dim, dim)
        self.act = nn.SiLU()
        self.fc2 = nn.Linear(dim, dim)
        self.labels = nn.ModuleList(LabelTable(count, dim) for count in counts)

    def forward(self, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Steps `[B]` and labels `[B, K]` int64 to `[B, D]`; -1 (None: all labels) where not given.

        Raises UserError if K is not the number of labels.
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
