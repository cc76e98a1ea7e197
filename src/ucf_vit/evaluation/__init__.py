"""What a trained run is worth: metrics of a checkpoint on held-out items, and which items these are."""

from ucf_vit.evaluation.evaluate import evaluate_run, evaluate_task
from ucf_vit.evaluation.request import Wanted

__all__ = ["Wanted", "evaluate_run", "evaluate_task"]
