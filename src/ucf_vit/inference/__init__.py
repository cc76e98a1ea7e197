"""Predictions of a trained run for images: as files on the grid of each image, or as a table of classes."""

from ucf_vit.inference.predict import predict_run
from ucf_vit.inference.request import PredictionRequest

__all__ = ["PredictionRequest", "predict_run"]
