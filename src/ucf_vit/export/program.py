"""The network of a trained run as a function of an image only, and a check of its exported forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from ucf_vit.core.errors import UserError
from ucf_vit.training.saved_runs.open_trained import Trained

OUTPUTS = ("class logits", "voxel logits")
"""Outputs of the networks that are exported: functions of an image."""
TOLERANCE = 1e-4
"""Largest difference between outputs of two forms of a network, relative to the largest output."""
BATCHES = (1, 3)
"""Numbers of images with which an exported form is checked; it is traced with 2."""


class _OfImage(nn.Module):
    """The network of a task for images `[B, C, *S]` of all variables."""

    def __init__(self, model: nn.Module, variables: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.variables = model, variables

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image, variables=self.variables) if self.variables else self.model(image)


@dataclass(frozen=True)
class Program:
    """A network traced for any number of images; `network` is the original, in float32 on the CPU."""

    network: nn.Module
    traced: ExportedProgram
    shape: tuple[int, ...]

    def check(self, run: Callable[[Tensor], Tensor], name: str) -> None:
        """Raises UserError if `run` gives other outputs than the network, for batches of several sizes."""
        generator = torch.Generator().manual_seed(0)
        for batch in BATCHES:
            image = torch.rand((batch, *self.shape), generator=generator)
            with torch.no_grad():
                expected, found = self.network(image), run(image)
            difference = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
            if found.shape != expected.shape or not difference <= TOLERANCE:
                raise UserError(
                    f"{name}: outputs for {batch} images differ from the network's by {difference:.1e} of "
                    f"the largest, more than {TOLERANCE:g}; nothing was written"
                )


def trace(trained: Trained[Any]) -> Program:
    """Returns the network of a run as a program. Raises UserError for one that is no function of an image."""
    run = trained.run
    output = run.network_facts.output
    if run.adaptive.adaptive_patching:
        raise UserError(
            f"{trained.directory}: has adaptive patches, whose trees are grown outside of the network; only "
            "networks with uniform patches are exported as programs (--to hub exports the weights of all)"
        )
    if output not in OUTPUTS:
        raise UserError(
            f"{trained.directory}: its network returns {output or 'something unknown'}; programs of networks "
            f"that return {' or '.join(OUTPUTS)} are exported (--to hub exports the weights of all)"
        )
    names = tuple(run.input.default_vars) if run.variables.use_varemb else ()
    network = _OfImage(trained.task.model.float().cpu(), names).eval()
    shape = (run.in_channels, *run.spatial_tile)
    with torch.no_grad():
        traced = export(network, (torch.zeros((2, *shape)),), dynamic_shapes={"image": {0: Dim("batch")}})
    return Program(network, traced, shape)
