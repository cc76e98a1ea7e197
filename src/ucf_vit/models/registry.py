"""Registry of networks."""

from torch import nn

from ucf_vit.core.registry import Registry

MODELS: Registry[nn.Module] = Registry("model")
"""Networks by the name that a config uses."""
