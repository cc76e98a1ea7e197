"""Vision Transformers for large 2D and 3D scientific and medical images.

The names in `__all__` are imported when they are first used: `import ucf_vit` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucf_vit.api.features import Features, features
    from ucf_vit.api.model import Model, load
    from ucf_vit.api.networks import create_model
    from ucf_vit.api.prediction import Prediction
    from ucf_vit.api.runs import evaluate, train
    from ucf_vit.api.sizes import list_models
    from ucf_vit.core.errors import UserError
    from ucf_vit.training.evaluation_files import Evaluation

__version__ = "0.1.0"
__all__ = [
    "Evaluation",
    "Features",
    "Model",
    "Prediction",
    "UserError",
    "create_model",
    "evaluate",
    "features",
    "list_models",
    "load",
    "train",
]
_PLACES = {
    "Evaluation": "training.evaluation_files",
    "Features": "api.features",
    "Model": "api.model",
    "Prediction": "api.prediction",
    "UserError": "core.errors",
    "create_model": "api.networks",
    "evaluate": "api.runs",
    "features": "api.features",
    "list_models": "api.sizes",
    "load": "api.model",
    "train": "api.runs",
}
"""Module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
