"""Table of networks."""

from torch import nn

from ucf_vit.core.registry import Registry
from ucf_vit.registries.networks import NETWORKS

MODELS: Registry[nn.Module] = NETWORKS
"""Networks by the name that a config uses."""
