"""Known data sets and changes of values in the options of `ucf-vit prepare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from ucf_vit.core.errors import UserError
from ucf_vit.data.prepare.presets import PRESETS, SMALL
from ucf_vit.data.prepare.recipe import Recipe


def known_data_set(
    source: str, source_dir: str | None, dataset: str | None, small: bool
) -> tuple[str, str | None, Recipe]:
    """Returns root, kind and recipe of a data set: of one with a preset, such as msd, or of any other.

    Raises UserError where options do not fit together.
    """
    if source not in PRESETS:
        if source_dir or small:
            option = "--source-dir" if source_dir else "--small"
            raise UserError(f"{source}: {option} belongs to known data sets: {', '.join(PRESETS)}")
        return source, dataset, Recipe()
    if source_dir is None:
        raise UserError(
            f"ucf-vit prepare {source}: --source-dir is missing, its root; write a folder of this name as "
            f"./{source}"
        )
    if dataset not in (None, source):
        raise UserError(f"ucf-vit prepare {source}: is --dataset {source}, not {dataset}")
    if small and source not in SMALL:
        raise UserError(f"--small is for {', '.join(SMALL)} only, not for {source}")
    return source_dir, source, (SMALL if small else PRESETS)[source]


def changed(recipe: Recipe, steps: Mapping[str, Any]) -> Recipe:
    """Returns the recipe with the steps that are given, which replace those that they exclude."""
    given = {name: value for name, value in steps.items() if value is not None}
    if "shape" in given:
        given.setdefault("spacing", None)
    if "mean_std" in given:
        given.setdefault("standardise", False)
    if "standardise" in given:
        given.setdefault("mean_std", None)
    return replace(recipe, **given)


def options_of(texts: Sequence[str] | None) -> dict[str, Any]:
    """Returns options by name from texts such as `fold=0`; values are YAML. Raises UserError."""
    options = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"--option {text}: expected NAME=VALUE, such as fold=0")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--option {text}: the value is no YAML") from None
    return options
