"""From a config to the split of every item."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ucf_vit.config import Run, Split
from ucf_vit.config.sections.split import SplitOptions
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.lists import first_few
from ucf_vit.data.build_dataset import make_source
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import Item, Source
from ucf_vit.data.splits.assignment import FILE, Assignment, Listed, cut_groups
from ucf_vit.data.splits.given import read_splits
from ucf_vit.data.splits.groups import group_of_items
from ucf_vit.data.splits.make import Items, Splits, check_classes, given, seeded
from ucf_vit.data.splits.seeded import Fractions
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.inputs.source_options import remote_files, source_options

log = logging.getLogger(__name__)


def split_items(run: Run, scratch: Scratch, files: Files) -> Listed | None:
    """Returns the split of every item of `run`, as `data.split` says; None without it.

    All files are listed, and with `stratify: labels` all labels read. Raises DataError where a group is in
    two splits, a split is empty, or a class trains in no item.
    """
    options = run.data.split
    if options is None:
        return None
    sources = {name: _source(run, name, scratch, files) for name in run.datasets}
    roots = run.data.dict_root_dirs
    items = {
        name: _with_groups(run, name, _items(one, roots[name]), roots[name]) for name, one in sources.items()
    }
    groups = {name: {item.key: item.group for item in some} for name, some in items.items()}
    splits = _made(options, items, sources)
    listed = Listed(splits, groups, json.loads(_about(run)))
    listed.check_groups()
    _check_roots(run, splits)
    for name, source in sources.items():
        check_classes(name, items[name], splits[name], source.class_names)
    return listed


def assigned(run: Run, scratch: Scratch, files: Files, recorded: Assignment | None) -> Assignment | None:
    """Returns the splits that a checkpoint keeps, or `splits.json` of a run that goes on, else new ones.

    None where `data.split` is not used. Raises ConfigError where it says otherwise than the kept ones.
    """
    if run.data.split is None:
        return None
    assignment = recorded or _of_directory(run)
    if assignment is None:
        listed = split_items(run, scratch, files)
        return None if listed is None else Assignment.of(listed.splits, _about(run))
    if assignment.about != _about(run):
        message = f"the splits of this run were made with {assignment.about}; keep that, or begin a new run"
        raise run.error("data.split", message, _about(run))
    return assignment


def _of_directory(run: Run) -> Assignment | None:
    file = Path(run.trainer.checkpoint_path) / FILE
    if not (run.trainer.resume_from_checkpoint and file.is_file()):
        return None
    with reading(str(file), "no splits of a run"):
        about = json.dumps(json.loads(file.read_text())["about"])
    return Assignment.of({name: read_splits(file, name) for name in run.datasets}, about)


def begin_splits(run: Run, recorded: Assignment | None) -> Assignment | None:
    """Returns the splits that a run trains with; those of a new run are written to its `splits.json`."""
    scratch = Scratch()
    files = remote_files(run.data, scratch)
    if recorded is not None or run.data.split is None:
        return assigned(run, scratch, files, recorded)
    listed = split_items(run, scratch, files)
    if listed is None:
        return None
    write_atomic(Path(run.trainer.checkpoint_path) / FILE, listed.dump())
    return Assignment.of(listed.splits, _about(run))


def arrangement(
    run: Run, name: str, split: Split | None, assignment: Assignment | None, root: str
) -> Callable[[Sequence[Item]], Sequence[Item]]:
    """Returns the function that picks the items of `split` among those at `root`, and completes their groups.

    `split` None, and a whole data set in `data.validation` or `data.test`, has all items.
    """

    def arrange(items: Sequence[Item]) -> Sequence[Item]:
        if split is None:
            return items
        items = _with_groups(run, name, items, root)
        if run.data.root(name, split) is not None:
            return items
        return _of_layout(name, items, split) if assignment is None else assignment.select(name, items, split)

    return arrange


def _of_layout(name: str, items: Sequence[Item], split: Split) -> Sequence[Item]:
    """Returns the items without those of another split by the layout: ranges are taken of the rest."""
    kept = [item for item in items if item.split in ("", split)]
    if len(kept) < len(items):
        log.warning(
            "%s: %d item(s) are for another split than %s by the layout of the data set, and are left out of "
            "it; data.split.kind: given uses these splits",
            *(name, len(items) - len(kept), split),
        )
    return kept


def check_groups(training: Sequence[Dataset], held_out: Sequence[Dataset]) -> None:
    """Warns where items of a group train and others are held out, as in ranges of the sorted list."""
    parts = {"training": training, "validation": held_out}
    held = [(split, one, item) for split, some in parts.items() for one in some for item in one.items]
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for split, one, item in held:
        splits[f"{one.name} {split}"][item.key] = split
        groups[f"{one.name} {split}"][item.key] = item.group
    if cut := list(cut_groups(splits, groups)):
        log.warning(
            "%d group(s) are in several splits: %s; results on them are better than on new ones. "
            "data.split keeps groups together",
            *(len(cut), first_few(cut)),
        )


def _source(run: Run, name: str, scratch: Scratch, files: Files) -> Source:
    data = run.data
    root, variables, options = (
        data.dict_root_dirs[name],
        data.dict_in_variables[name],
        source_options(run, name),
    )
    return make_source(data.dataset, root, run.spatial_tile, variables, options, scratch, files)[0]


def _items(source: Source, root: str) -> Sequence[Item]:
    with reading(root):
        return source.items()


def _with_groups(run: Run, name: str, items: Sequence[Item], root: str) -> Sequence[Item]:
    how = run.data.groups.get(name)
    if how is None:
        return items
    groups = group_of_items(items, root, how)
    return [replace(item, group=groups[item.key]) for item in items]


def _about(run: Run) -> str:
    """Returns what splits are made with beside the items, as JSON."""
    options = run.data.split
    return "" if options is None else json.dumps(options.model_dump(exclude={"file"}, exclude_none=True))


def _made(options: SplitOptions, items: Items, sources: Mapping[str, Source]) -> Splits:
    if options.kind == "given":
        return given(items, None if options.file is None else Path(options.file), options.fold)
    fractions = Fractions(options.validation or 0.0, options.test, options.folds, options.fold)
    return seeded(items, sources, fractions, options.seed, options.stratify)


def _check_roots(run: Run, splits: Mapping[str, Mapping[str, str]]) -> None:
    if not any(run.data.root(name, "validation") or "validation" in splits[name].values() for name in splits):
        log.warning("data.split: no item validates, so that none chooses the best checkpoint")
    for name, split_of_item in splits.items():
        for split in ("validation", "test"):
            if run.data.root(name, split) and split in split_of_item.values():
                message = f"is there beside items that data.split gives to {split}; leave one of the two out"
                raise run.error(f"data.{split}", message)
