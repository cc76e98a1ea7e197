"""Config of a run, in one YAML file: schema, loading, overrides, checks and explanations."""

from ucf_vit.config.checks.memory import parameters
from ucf_vit.config.describe.explain import explain
from ucf_vit.config.describe.reference import reference
from ucf_vit.config.differences import differences
from ucf_vit.config.load import dump, from_dict, load
from ucf_vit.config.network_options import (
    decoder_options,
    encoder_options,
    input_options,
    patch_of,
    pretrained_options,
)
from ucf_vit.config.own_directory import config_of
from ucf_vit.config.run import Run
from ucf_vit.config.sections.data import Data, DatasetOptions, NormalizationOptions, Split
from ucf_vit.config.sections.load_balancing import LoadBalancing
from ucf_vit.config.sections.model import Model
from ucf_vit.config.sections.optimizer import Optimizer
from ucf_vit.config.sections.parallelism import Parallelism
from ucf_vit.config.sections.trainer import Trainer

__all__ = [
    "Data",
    "DatasetOptions",
    "LoadBalancing",
    "Model",
    "NormalizationOptions",
    "Optimizer",
    "Parallelism",
    "Run",
    "Split",
    "Trainer",
    "config_of",
    "decoder_options",
    "differences",
    "dump",
    "encoder_options",
    "explain",
    "from_dict",
    "input_options",
    "load",
    "parameters",
    "patch_of",
    "pretrained_options",
    "reference",
]
