"""Evaluation of a trained run: metrics of a checkpoint on held-out items."""

from ucf_vit.evaluation.results import Results
from ucf_vit.evaluation.runs.evaluate_run import evaluate_run, evaluate_task
from ucf_vit.evaluation.runs.request import EvaluationRequest

__all__ = ["EvaluationRequest", "Results", "evaluate_run", "evaluate_task"]
