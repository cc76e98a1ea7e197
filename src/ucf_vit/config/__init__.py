"""One YAML file holds a run: schema, loading, overrides, checks, explanations."""

from ucf_vit.config.check_size import parameters
from ucf_vit.config.data import Data, DatasetOptions, Normalization, Split
from ucf_vit.config.differences import differences
from ucf_vit.config.explain import explain
from ucf_vit.config.load import dump, from_dict, load
from ucf_vit.config.load_balancing import LoadBalancing
from ucf_vit.config.model import Model
from ucf_vit.config.own_directory import config_of
from ucf_vit.config.parallelism import Parallelism
from ucf_vit.config.reference import reference
from ucf_vit.config.run import Run
from ucf_vit.config.trainer import TaskName, Trainer

__all__ = [
    "Data",
    "DatasetOptions",
    "LoadBalancing",
    "Model",
    "Normalization",
    "Parallelism",
    "Run",
    "Split",
    "TaskName",
    "Trainer",
    "config_of",
    "differences",
    "dump",
    "explain",
    "from_dict",
    "load",
    "parameters",
    "reference",
]
