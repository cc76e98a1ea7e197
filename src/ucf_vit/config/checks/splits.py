"""Checks of training, validation and test files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.config.sections.data import RANGES
from ucf_vit.config.sections.split import SplitOptions

log = logging.getLogger(__name__)
WHOLE = ("validation", "test")
"""Dictionaries of whole data sets that validate and test."""
ONLY_SEEDED = ("validation", "test", "seed", "folds", "stratify")


def ranges(run: Run) -> Iterator[Problem]:
    """Checks that ranges of files are in order and do not overlap."""
    data = run.data
    for name in run.datasets:
        own: dict[str, tuple[float, float, str]] = {}
        for split, (start_key, end_key) in RANGES.items():
            start, end = getattr(data, start_key)[name], getattr(data, end_key)[name]
            if start > end:
                message = f"expected at least data.{start_key}.{name} = {start}"
                yield Problem(("data", end_key, name), message, end)
            elif start < end and name not in getattr(data, split, {}):
                own[split] = (start, end, start_key)
        yield from _overlaps(name, own)


def _overlaps(name: str, own: Mapping[str, tuple[float, float, str]]) -> Iterator[Problem]:
    """Yields overlapping splits; `own` has start, end and the key of the start by split."""
    for first, second in combinations(own, 2):
        (start, end, _), (other_start, other_end, key) = own[first], own[second]
        if max(start, other_start) < min(end, other_end):
            message = (
                f"{second} files {other_start}..{other_end} are {first} files too ({start}..{end}); end "
                f"those at {other_start}, or begin these at {end}"
            )
            yield Problem(("data", key, name), message, other_start)


def whole_sets(run: Run) -> Iterator[Problem]:
    """Checks that no root is used for two splits."""
    data = run.data
    used = {
        root: f"data.dict_root_dirs.{name}"
        for name, root in data.dict_root_dirs.items()
        if data.dict_start_idx[name] < data.dict_end_idx[name]
    }
    for key in WHOLE:
        for name, root in getattr(data, key).items():
            if root in used:
                yield Problem(("data", key, name), f"is {used[root]} too; name another", root)
        used |= {root: f"data.{key}.{name}" for name, root in getattr(data, key).items()}


def own_ranges(run: Run) -> Iterator[Problem]:
    """Checks that there are no ranges with `data.split`; warns of those that a whole data set replaces."""
    data = run.data
    for split, (start_key, end_key) in RANGES.items():
        for name in run.datasets:
            start, end = getattr(data, start_key)[name], getattr(data, end_key)[name]
            if data.split is not None and (start, end) != ((0, 1) if split == "training" else (1, 1)):
                key, value = (start_key, start) if start not in (0, 1) or end == 1 else (end_key, end)
                message = "is not used beside data.split; leave one of the two out"
                yield Problem(("data", key, name), message, value)
            elif start < end and data.root(name, split) is not None:
                where, key = run.where(f"data.{start_key}"), f"data.{start_key}.{name}"
                log.warning("%s: %s is not used: data.%s.%s is there", where, key, split, name)


def split(run: Run) -> Iterator[Problem]:
    """Checks that fractions leave training items, and that every key has an effect."""
    options = run.data.split
    if options is None:
        return
    path = ("data", "split")
    if options.kind == "given":
        yield from _only_given(options)
        return
    folds, validation = options.folds, options.validation or 0
    if validation + options.test >= 1:
        message = f"expected together with data.split.test = {options.test} less than 1"
        yield Problem((*path, "validation"), message, validation)
    if folds is not None and validation:
        yield Problem((*path, "validation"), "is not used with data.split.folds; leave one out", validation)
    if options.fold >= (folds or 1):
        most = "data.split.folds is needed" if folds is None else f"expected 0 to {folds - 1}"
        yield Problem((*path, "fold"), most, options.fold)
    if options.file is not None:
        yield Problem((*path, "file"), "is used with data.split.kind: given only", options.file)
    for key, taken in (("validation", validation or folds), ("test", options.test)):
        if taken and getattr(run.data, key):
            message = f"is there beside items that data.split takes to {key}; leave one of the two out"
            yield Problem(("data", key), message)


def _only_given(options: SplitOptions) -> Iterator[Problem]:
    for name in ONLY_SEEDED:
        value = getattr(options, name)
        if value and value != SplitOptions.model_fields[name].get_default():
            yield Problem(("data", "split", name), "is not used with data.split.kind: given", value)


def groups(run: Run) -> Iterator[Problem]:
    """Patterns are regular expressions with one group."""
    for name, how in run.data.groups.items():
        if how.lower().endswith(".csv"):
            continue
        path = ("data", "groups", name)
        try:
            count = re.compile(how).groups
        except re.error as error:
            yield Problem(path, f"expected a regular expression ({error}), or a .csv", how)
            continue
        if count != 1:
            message = f"expected a regular expression with one group in (), or a .csv; it has {count}"
            yield Problem(path, message, how)
