"""Evaluation of a trained run: metrics of a checkpoint on held-out items, and the list of these items."""

from ucf_vit.evaluation.evaluate import evaluate_run, evaluate_task
from ucf_vit.evaluation.request import Wanted

__all__ = ["Wanted", "evaluate_run", "evaluate_task"]
