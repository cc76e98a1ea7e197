"""Registry of hooks."""

from __future__ import annotations

from typing import Any

from ucf_vit.core.registry import Registry

HOOKS: Registry[Any] = Registry(
    "hook",
    "ucf_vit.hooks",
    {
        "mlflow": "ucf_vit.tracking.mlflow_hook:MlflowHook",
        "tensorboard": "ucf_vit.tracking.tensorboard_hook:TensorboardHook",
    },
)
"""Hooks by the name that `trainer.hooks` uses."""
