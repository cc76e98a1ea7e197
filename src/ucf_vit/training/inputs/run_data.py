"""Training and held-out data of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ucf_vit.config import Data, Run
from ucf_vit.data.batch import Batch, Skipped
from ucf_vit.data.class_names import class_counts, in_words, numbered
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import examples, volumes
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import Task
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets, check_classes
from ucf_vit.training.inputs.plan_files import Planned
from ucf_vit.training.inputs.source_options import remote_files
from ucf_vit.training.inputs.splits import check_groups
from ucf_vit.training.inputs.used_items import check_apart
from ucf_vit.training.same_on_all_ranks import check_data


@dataclass(frozen=True)
class RunData:
    """Data of a run; `examples` yields a tile of each training data set, without augmentation."""

    training: Sequence[Dataset]
    record: Record
    train: Stream
    held_out: HeldOut
    examples: Callable[[], Iterator[Batch]]

    @property
    def has_validation(self) -> bool:
        """Whether anything is held out."""
        return bool(self.held_out.datasets)

    def validation(self) -> Iterator[Batch]:
        """Returns the held-out batches of this process, from the start."""
        return self.held_out.batches()

    def close(self) -> None:
        """Ends the loader processes."""
        self.train.close()
        self.held_out.close()

    def of_main(self, world: World) -> tuple[Sequence[Dataset], Sequence[Dataset]]:
        """Returns training and held-out data sets on the first rank, nothing on others."""
        return (self.training, self.held_out.datasets) if world.is_main else ((), ())

    def in_words(self) -> dict[str, str]:
        """Returns the files of each data set, class names, and numbers of items by use, as texts."""
        files = dict.fromkeys(
            f"{one.name}: {one.listed}" for one in (*self.training, *self.held_out.datasets)
        )
        listed = {"Data": "; ".join(files)}
        classes = {"Classes": in_words(self.record.class_names)} if self.record.class_names else {}
        items = {"Training items": self.training, "Validation items": self.held_out.datasets}
        return listed | classes | {title: _counts(datasets) for title, datasets in items.items() if datasets}


def _counts(datasets: Sequence[Dataset]) -> str:
    """Returns the numbers of items as `120 (ct: 80, mr: 40)`."""
    counts = {one.name: len(one.items) for one in datasets}
    each = ", ".join(f"{name}: {count:,}" for name, count in counts.items())
    return f"{sum(counts.values()):,} ({each})"


def build_data(
    run: Run,
    world: World,
    task: Task,
    planned: Planned | None = None,
    record: Record | None = None,
    first_classes: Sequence[str] = (),
) -> RunData:
    """Returns training and held-out data of this process; with a plan, each rank trains on its own tiles.

    A resumed run has the classes, the normalization and the splits of `record`; a new one numbers
    `first_classes` first.
    Raises DataError naming the file or directory.
    """
    scratch = Scratch()
    files = remote_files(run.data, scratch)
    known = None if planned is None else partial(planned.shapes_of, files)
    training = build_datasets(run, scratch, record=record, read_shapes=known, files=files)
    if not training:
        key, value = ("data.dict_end_idx", run.data.dict_end_idx)
        if run.data.split is not None:
            key, value = "data.split", run.data.split.model_dump(exclude_none=True)
        raise run.error(key, "leaves no data set any file to train on", value)
    record = _recorded(run, task, training, record, first_classes)
    training = [numbered(one, record.class_names) for one in training]
    task.count_classes(class_counts(training, len(record.class_names)))
    held_out = build_datasets(run, scratch, "validation", record=record, files=files)
    held_out = [one for one in held_out if len(one.items)]
    check_data([*training, *held_out], world)
    check_apart(training, held_out)
    if world.is_main:
        check_groups(training, held_out)
    train = Stream(
        training,
        augmentation=task.facts.augmentation or None if run.data.augmentation else None,
        keep_orientation=run.data.keep_orientation,
        plan=None if planned is None else planned.plan,
        **_of_streams(run.data, run.trainer.seed, world, task),
    )
    tiles = partial(examples, training, run.data.single_channel)
    return RunData(training, record, train, HeldOut(run.data, run.trainer.seed, world, task, held_out), tiles)


class HeldOut:
    """This rank's held-out data as `task.evaluate` takes it: whole items, or batches of tiles.

    With `original` whole items have their labels on the grid on which they are stored, too.
    """

    def __init__(
        self,
        data: Data,
        seed: int,
        world: World,
        task: Task,
        datasets: Sequence[Dataset],
        original: bool = False,
    ) -> None:
        self.datasets = datasets
        self._skipped: dict[str, Skipped] = {}
        self._stream: Stream | None = None
        self._whole: dict[str, Any] = {"rank": world.data_rank, "ranks": world.data_size}
        self._whole |= {"single_channel": data.single_channel, "on_error": data.on_error}
        self._whole["original"] = original
        if datasets and not task.facts.whole_items:
            options = _of_streams(data, seed, world, task)
            self._stream = Stream(datasets, shuffle=False, draw_trees=False, **options)

    def batches(self) -> Iterator[Batch]:
        """Returns the batches, from the start at every call."""
        if self._stream is None:
            return volumes(self.datasets, **self._whole, on_skip=self._skip)
        self._stream.epoch = self._stream.position = 0
        return iter(self._stream)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Unreadable files found so far, each once."""
        return tuple(self._skipped.values()) if self._stream is None else self._stream.skipped

    def close(self) -> None:
        """Ends the loader processes."""
        if self._stream is not None:
            self._stream.close()

    def _skip(self, one: Skipped) -> None:
        self._skipped[one.file] = one


def _of_streams(data: Data, seed: int, world: World, task: Task) -> dict[str, Any]:
    """Returns the options that all streams of this process have in common."""
    return {
        "batch_size": data.batch_size,
        "seed": seed,
        "single_channel": data.single_channel,
        "num_workers": data.num_workers,
        "pin_memory": data.pin_memory,
        "on_error": data.on_error,
        "max_errors": data.max_errors,
        "patcher": task.patcher if data.patching_in == "loader" else None,
        "rank": world.data_rank,
        "ranks": world.data_size,
    }


def _recorded(
    run: Run, task: Task, training: Sequence[Dataset], before: Record | None, first_classes: Sequence[str]
) -> Record:
    """Returns the record of training on these data sets, and restores it in `task`; see `build_data`."""
    record = Record.of(training, first_classes)
    if before is not None:
        class_names = before.class_names or record.class_names
        record = replace(record, class_names=class_names, task=before.task, splits=before.splits)
    check_classes(run, training, record.class_names, first_classes)
    record.restore(task)
    return record
