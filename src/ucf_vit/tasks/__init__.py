"""Tasks: loss and evaluation of a model, one file per task."""

from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.denoising import Denoising
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import TASKS, Loss, Panel, Task
from ucf_vit.tasks.token_segmentation import TokenSegmentation

__all__ = [
    "TASKS",
    "Classification",
    "Denoising",
    "Loss",
    "MaskedAutoencoding",
    "Panel",
    "Segmentation",
    "Task",
    "TokenSegmentation",
]
