"""Evaluation of a trained run: metrics of a checkpoint on held-out items."""

from ucf_vit.evaluation.evaluate import evaluate_run, evaluate_task
from ucf_vit.evaluation.request import EvaluationRequest
from ucf_vit.evaluation.results import Results

__all__ = ["EvaluationRequest", "Results", "evaluate_run", "evaluate_task"]
