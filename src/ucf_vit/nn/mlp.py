"""MLP of a transformer block."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.options import EncoderOptions


class Mlp(nn.Module):
    """Two Linears with a GELU between, `[..., D]` to `[..., D]`; dropout after each in training.

    The hidden width is `D * mlp_ratio`, rounded down.
    """

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        dim = options.embed_dim
        self.fc1 = nn.Linear(dim, options.hidden_width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(options.hidden_width, dim)
        self.drop = nn.Dropout(options.drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Transforms each token independently."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
