"""Differences between a config and that of a trained network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from ucf_vit.config.load import dump
from ucf_vit.config.problems import show
from ucf_vit.config.run import Run
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.config.sections.diffusion import Diffusion
from ucf_vit.config.sections.input import Input
from ucf_vit.config.sections.model import Model
from ucf_vit.config.sections.variables import Variables
from ucf_vit.registries.tasks import task_name

OF_TRAINING = (
    "drop_rate",
    "drop_path",
    "attention",
    "min_snr",
    "condition_dropout",
    "pretrained",
    "pretrained_channels",
    "pretrained_channel_rule",
    "pretrained_inflation",
)
"""Keys of the network's sections that affect training or speed only, not the network or its input."""
OF_DATA = (
    "data.dataset",
    "data.single_channel",
    "data.dict_in_variables",
    "data.dict_options",
    "data.dict_normalization",
    "data.dict_stats",
    "data.dict_nan",
    "data.dict_label_mapping",
    "data.ignore_label",
    "data.small_images",
    "data.orientation",
    "data.spacing",
    "data.crop",
    "dataset_options.imagenet_resize",
    "dataset_options.fields_fill_value",
)
"""Keys that determine how files become the network's input."""


def differences(before: Mapping[str, Mapping[str, Any]], run: Run) -> list[str]:
    """Returns how the network and its input differ from `before`, a dumped config, as `KEY was OLD, is NEW`.

    Entries per data set are compared only for data sets that both configs have. Keys that `before` lacks,
    since an earlier version wrote it, are ignored.
    """
    old, new = {**before}, yaml.safe_load(dump(run))
    old["trainer"] = {**old["trainer"], "task": task_name(old["trainer"]["task"])}
    shared = old["data"]["dict_root_dirs"].keys() & new["data"]["dict_root_dirs"].keys()
    differing = []
    trees = bool(old.get("adaptive", {}).get("adaptive_patching") and run.adaptive.adaptive_patching)
    variables = bool(old.get("variables", {}).get("use_varemb") and run.variables.use_varemb)
    for key in _keys(trees, variables):
        section, name = key.split(".")
        if name in old.get(section, {}) and name in new[section]:
            was, now = (_of(values[section][name], shared) for values in (old, new))
            if was != now:
                differing.append(f"{key} was {show(was)}, is {show(now)}")
    return differing


def _keys(trees: bool, variables: bool) -> Iterator[str]:
    yield from ("trainer.task", "trainer.task_options")
    sections: dict[str, Iterable[str]] = {
        "model": Model.model_fields,
        "input": Input.model_fields,
        "adaptive": Adaptive.model_fields if trees else ["adaptive_patching"],
        "variables": Variables.model_fields if variables else ["use_varemb"],
        "diffusion": Diffusion.model_fields,
    }
    for section, names in sections.items():
        yield from (f"{section}.{name}" for name in names if name not in OF_TRAINING)
    yield from OF_DATA


def _of(value: Any, datasets: set[str]) -> Any:
    """Returns `value`; of a dictionary only the entries of `datasets`."""
    return {k: v for k, v in value.items() if k in datasets} if isinstance(value, Mapping) else value
