"""Checks of the section `data`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from itertools import islice, pairwise

from ucf_vit.config.origins import dotted
from ucf_vit.config.problems import MOST, Problem, show
from ucf_vit.config.run import Run
from ucf_vit.config.sections.data import Data, DatasetOptions, NormalizationOptions
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.intervals import NAN, Interval
from ucf_vit.core.lists import first_few

log = logging.getLogger(__name__)
SOME = ("validation", "test", "dict_options", "groups")
"""Dictionaries that may lack entries for some data sets."""


def dataset_names(run: Run) -> Iterator[Problem]:
    """Checks that names of data sets can be file names, and that given dictionaries have all of them."""
    for name in run.data.dict_root_dirs:
        if "/" in name or "\\" in name or "\0" in name or name in ("", ".", ".."):
            message = "names files and folders too: expected no slashes, and not '.' or '..'"
            yield Problem(("data", "dict_root_dirs", name), message, name)
    for key in Data.model_fields:
        entries = getattr(run.data, key)
        if isinstance(entries, Mapping) and entries:
            yield from _same_names(run, ("data", key), entries, () if key in SOME else run.datasets)
    balancing = run.load_balancing
    if balancing.tile_seconds:
        path = ("load_balancing", "tile_seconds")
        yield from _same_names(run, path, balancing.tile_seconds, _training(run))
    if not balancing.auto_load_balancing:
        path = ("load_balancing", "batches_per_rank_epoch")
        yield from _same_names(run, path, balancing.batches_per_rank_epoch, _training(run))


def _training(run: Run) -> list[str]:
    """Returns the data sets with training files, before defaults are filled in."""
    return [name for name in run.datasets if run.data.dict_end_idx.get(name, 1) > 0]


def _same_names(
    run: Run, path: KeyPath, entries: Mapping[str, object], needed: Collection[str]
) -> Iterator[Problem]:
    known = run.data.dict_root_dirs
    for name, value in entries.items():
        if name not in known:
            yield Problem((*path, name), _no_dataset(name, known), value)
    missing = [name for name in needed if name not in entries]
    if missing:
        yield Problem(path, f"no entry for {_list(missing)}, which data.dict_root_dirs has", entries)


def _no_dataset(name: str, known: Mapping[str, object]) -> str:
    hint = did_you_mean(name, known)
    return f"no dataset of this name in data.dict_root_dirs{hint}; it has {_list(known)}"


def options(run: Run) -> Iterator[Problem]:
    """Checks the names in `dataset_options`.

    If all names are unknown, the option was left over from another config: a warning. If only some are, they
    are typos.
    """
    for key in DatasetOptions.model_fields:
        yield from _option(run, ("dataset_options", key), getattr(run.dataset_options, key))


def _option(run: Run, path: KeyPath, entries: Mapping[str, object]) -> Iterator[Problem]:
    known = run.data.dict_root_dirs
    unknown = [name for name in entries if name not in known]
    if unknown and len(unknown) == len(entries):
        log.warning("%s: %s is not used: no dataset has these names", run.where(dotted(path)), dotted(path))
        return
    for name in unknown:
        yield Problem((*path, name), _no_dataset(name, known), entries[name])


def source(run: Run) -> Iterator[Problem]:
    """Checks that a source in a file is named with its class."""
    name = run.data.dataset
    file, _, attribute = name.rpartition(":")
    if name.endswith(".py") or (file.endswith(".py") and not attribute.isidentifier()):
        yield Problem(("data", "dataset"), "expected path/to/file.py:ClassName, or a registered name", name)


def variables(run: Run) -> Iterator[Problem]:
    """Checks that variables are known and distinct, and complete if channels are not identified by name."""
    known, known_name = run.input.default_vars, run.name_of("input.default_vars")
    names = set(known)
    for name, used in run.data.dict_in_variables.items():
        path = ("data", "dict_in_variables", name)
        unknown = [variable for variable in used if variable not in names]
        if unknown:
            hint = did_you_mean(unknown[0], known)
            message = f"{unknown[0]!r} is not in {known_name}{hint}, which has {_list(known)}"
            yield Problem(path, message, used)
        elif len(set(used)) < len(used):
            yield Problem(path, "a variable occurs twice; remove one", used)
        elif not run.data.single_channel and not run.variables.use_varemb and used != known:
            message = f"expected all of {known_name} in the same order, {show(known)}, since "
            message += "channels have no names"
            yield Problem(
                path, message + f" without data.single_channel or {run.name_of('variables.use_varemb')}", used
            )


def channels(run: Run) -> Iterator[Problem]:
    """Checks that the number of channels is that of the variables, and not more than the files have."""
    data = run.data
    for name, used in data.num_channels_used.items():
        path, named = ("data", "num_channels_used", name), data.dict_in_variables[name]
        if name in data.num_channels_available and used > data.num_channels_available[name]:
            available = data.num_channels_available[name]
            yield Problem(path, f"expected at most data.num_channels_available.{name} = {available}", used)
        if used != len(named):
            message = f"expected {len(named)}, one for each of data.dict_in_variables.{name} = {named}"
            yield Problem(path, message, used)


def normalizations(run: Run) -> Iterator[Problem]:
    """Checks the parameters of each normalization."""
    for name, one in run.data.dict_normalization.items():
        message = _normalization(one, run.data.num_channels_used[name])
        if message:
            yield Problem(("data", "dict_normalization", name), message, one.model_dump())


def _normalization(one: NormalizationOptions, channels: int) -> str:
    if one.kind == "window" and not {"low", "high"} <= one.model_fields_set:
        return "expected low and high for kind window"
    if one.kind in ("window", "percentiles") and one.low >= one.high:
        return f"expected low < high for kind {one.kind}"
    if one.kind == "percentiles" and not 0 <= one.low <= one.high <= 100:
        return "expected percentiles within 0 and 100"
    count = len(one.mean)
    if one.kind == "mean_std" and (count != len(one.std) or not (count == 1 or count >= channels)):
        return f"expected 1 mean for all channels or one for each of {channels}, and as many values of std"
    if one.kind == "mean_std" and min(one.std) <= 0:
        return "expected every std > 0 for kind mean_std"
    return ""


def labels(run: Run) -> Iterator[Problem]:
    """Checks that labels are mapped to existing classes or ignored, and each to only one."""
    count, ignore = run.model.num_classes, run.data.ignore_label
    for name, mapping in run.data.dict_label_mapping.items():
        path: KeyPath = ("data", "dict_label_mapping", name)
        for label, target in mapping.items():
            if target != ignore and (target < 0 or (count is not None and target >= count)):
                last = "?" if count is None else count - 1
                message = f"expected a class from 0 to data.num_classes - 1 = {last}, or data.ignore_label"
                yield Problem((*path, label), message, target)
        ranges = {key: Interval.parse(key) for key in mapping if isinstance(key, str) and key != NAN}
        for one, other in pairwise(sorted(ranges, key=lambda key: (ranges[key].low, ranges[key].open_low))):
            if ranges[one].meets(ranges[other]):
                yield Problem((*path, other), f"overlaps with {one!r}; each value has one class")
    if ignore is not None and run.label_kind != "voxel":
        message = f"only segmentation ignores voxels, not task {run.task}; leave it out"
        yield Problem(("data", "ignore_label"), message, ignore)


def _list(names: Collection[str]) -> str:
    return first_few([repr(name) for name in islice(names, MOST)], MOST, len(names))
