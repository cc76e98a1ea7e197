"""Evaluation of a trained run: metrics of a checkpoint on held-out items."""

from ucf_vit.evaluation.evaluate import evaluate_run, evaluate_task
from ucf_vit.evaluation.request import EvaluationRequest

__all__ = ["EvaluationRequest", "evaluate_run", "evaluate_task"]
