"""Choice between the inputs of a network: the patches of a grid, or adaptive patches."""

from __future__ import annotations

from ucf_vit.models.grid_input import GridInput
from ucf_vit.models.tree_input import TreeInput
from ucf_vit.options import InputOptions


def input_for(options: InputOptions) -> GridInput | TreeInput:
    """Returns the input of a network with these options. Raises UserError if they contradict each other."""
    return TreeInput(options) if options.adaptive_patching else GridInput(options)
