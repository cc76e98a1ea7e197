"""Predictions of each kind of task: what is written for an item, and how it is made."""

from ucf_vit.inference.predictors.choose import predictor_of
from ucf_vit.inference.predictors.classes import CLASSES, class_names, classes_json
from ucf_vit.inference.predictors.outputs import class_probabilities, image_of, postprocessed, predicting
from ucf_vit.inference.predictors.predictor import Advance, Predictor

__all__ = [
    "CLASSES",
    "Advance",
    "Predictor",
    "class_names",
    "class_probabilities",
    "classes_json",
    "image_of",
    "postprocessed",
    "predicting",
    "predictor_of",
]
