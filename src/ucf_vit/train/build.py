"""From a config to objects: the task, its data, and what a run shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Batch
from ucf_vit.data.normalization import Normalization
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources import Prepared, resolve
from ucf_vit.data.stream import Stream
from ucf_vit.data.whole import examples, volumes
from ucf_vit.models import MODELS
from ucf_vit.parallel.distribute import Settings, distribute
from ucf_vit.parallel.initial import materialise
from ucf_vit.parallel.shard import Sharding
from ucf_vit.parallel.world import World
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks import TASKS, Task
from ucf_vit.train.agree import check_data
from ucf_vit.train.datasets import build_datasets, check_classes, remote_files
from ucf_vit.train.hooks.hook import Hook
from ucf_vit.train.hooks.jsonl import JsonlHook
from ucf_vit.train.hooks.pictures import PicturesHook, PicturesPeer
from ucf_vit.train.hooks.progress import ProgressHook
from ucf_vit.train.hooks.report import ReportHook
from ucf_vit.train.hooks.trees import TreesHook
from ucf_vit.train.plan import Planned

log = logging.getLogger(__name__)

NETWORKS = {
    "masked": "mae",
    "unetr": "unetr",
    "sap": "sap",
    "classification": "vit",
    "diffusion": "diffusion",
}
UNIT_RANGE = ("minmax", "window", "percentiles")
"""Kinds of normalization that bring intensities to 0..1."""


@dataclass(frozen=True)
class Data:
    """What a run reads: the training stream, and held-out batches anew at every call of `validation`.

    `examples` gives a training tile of each data set, not augmented; `listed` says what belongs to each, and
    what was passed over.
    """

    train: Stream
    validation: Callable[[], Iterator[Batch]]
    examples: Callable[[], Iterator[Batch]]
    has_validation: bool
    streams: tuple[Stream, ...]
    listed: Mapping[str, str]

    def close(self) -> None:
        """End the loader processes."""
        for stream in self.streams:
            stream.close()


def build_task(run: Run) -> Task:
    """The task that the config names around the network that it describes.

    Its weights are a function of `trainer.seed` and their names. In mode fsdp it is still without memory for
    them, on `meta`: `distributed` gives each process what it is to hold.
    """
    model = build_network(run)
    if run.parallelism.mode == "simple":
        materialise(model, run.trainer.seed, torch.device("cpu"))
    return TASKS.build(run.task, _options(run) | {"model": model, "patcher": build_patcher(run)})


def build_network(run: Run) -> nn.Module:
    """The network that the config describes, without memory for its weights, on `meta`."""
    with torch.device("meta"):
        return MODELS.build(NETWORKS[run.task], _options(run))


def _options(run: Run) -> dict[str, Any]:
    conditions = condition_names(run)
    return run.model.model_dump() | {
        "in_channels": run.in_channels,
        "tile_size": run.spatial_tile,
        "overlap": run.trainer.sliding_window_overlap,
        "ignores": run.data.ignore_label is not None,
        "conditions": conditions,
        "condition_counts": [len(names) for names in conditions.values()],
        "unit_range": in_unit_range(run),
    }


def distributed(task: Task, run: Run, world: World) -> nn.Module:
    """What to call in place of `task` in a training step, spread over the processes as `run` says."""
    parallelism, trainer = run.parallelism, run.trainer
    if parallelism.cpu_offloading and world.mesh is None:
        log.warning("parallelism.cpu_offloading changes nothing: this layout shards no weights")
    reduced = trainer.data_type != "float32" and world.device.type != "cpu"
    sharding = Sharding(
        parallelism.reshard_after_forward,
        getattr(torch, trainer.data_type) if reduced else None,
        getattr(torch, parallelism.reduce_type),
        parallelism.cpu_offloading,
    )
    settings = Settings(sharding, trainer.activation_checkpointing, trainer.compile, trainer.seed)
    return distribute(task, world, settings)


def condition_names(run: Run) -> dict[str, list[str]]:
    """The values of each condition that a diffusion model is told, in the order of their numbers."""
    names = {"class": lambda: [str(number) for number in range(run.num_classes)]}
    return {name: names.get(name, lambda: list(run.datasets))() for name in run.model.conditions}


def in_unit_range(run: Run) -> bool:
    """Whether all images that the network sees are in 0..1, as the config or else the source has it."""
    given, data = run.data.dict_normalization, run.data
    kinds = (given.get(name) or _usual(data.dataset, root) for name, root in data.dict_root_dirs.items())
    return all(one.kind in UNIT_RANGE for one in kinds)


def _usual(source: str, root: str) -> Normalization:
    """That of the source; of prepared data that of what it was made from, if it can be read from here."""
    kind = resolve(source)
    if kind is Prepared:
        with suppress(DataError):
            return Prepared.normalization_of(root)
    return getattr(kind, "normalization", Normalization())


def build_patcher(run: Run) -> AdaptivePatcher | None:
    """What cuts images into adaptive tokens; None where the model takes images."""
    net = run.model
    if not net.adaptive_patching:
        return None
    return AdaptivePatcher(
        tile_size=run.spatial_tile,
        patch_size=net.patch_size,
        fixed_length=run.fixed_length,
        min_leaf=net.min_leaf,
        split_rule=net.split_rule,
        split_threshold=net.split_threshold,
        split_overflow=net.split_overflow,
        separate_channels=net.separate_channels,
        detail=net.detail,
        detail_smoothing=net.detail_smoothing,
        canny_low=net.canny_low,
        canny_high=net.canny_high,
    )


def build_data(run: Run, world: World, task: Task, planned: Planned | None = None) -> Data:
    """Training and held-out data of this process; by a plan, each rank trains on tiles of its own.

    Raises DataError naming the file or directory.
    """
    scratch = Scratch()
    files = remote_files(run, scratch)
    held_out = [d for d in build_datasets(run, scratch, held_out=True, files=files) if len(d.items)]
    data = run.data
    share: dict[str, Any] = {"rank": world.data_rank, "ranks": world.data_size}
    common: dict[str, Any] = {
        "batch_size": data.batch_size,
        "seed": run.trainer.seed,
        "single_channel": data.single_channel,
        "num_workers": data.num_workers,
        "pin_memory": data.pin_memory,
        "on_error": data.on_error,
        "max_errors": data.max_errors,
        "patcher": task.patcher if data.patching_in == "loader" else None,
        **share,
    }
    known = None if planned is None else partial(planned.shapes_of, files)
    training = build_datasets(run, scratch, read_shapes=known, files=files)
    check_classes(run, training)
    check_data([*training, *held_out], world)
    train = Stream(
        training,
        augmentation=run.task if data.augmentation else None,
        keep_orientation=data.keep_orientation,
        plan=None if planned is None else planned.plan,
        **common,
    )
    tiles = partial(examples, training, data.single_channel)
    listed = {one.name: one.listed for one in training}
    for name, text in listed.items() if world.is_main else ():
        log.info("%s: %s", name, text)
    if task.whole_volumes or not held_out:
        options = {"single_channel": data.single_channel, "on_error": data.on_error, **share}
        return Data(train, lambda: volumes(held_out, **options), tiles, bool(held_out), (train,), listed)
    stream = Stream(held_out, shuffle=False, draw_trees=False, **common)

    def validation() -> Iterator[Batch]:
        stream.epoch = stream.position = 0
        return iter(stream)

    return Data(train, validation, tiles, True, (train, stream), listed)


def build_hooks(run: Run, world: World, data: Data) -> list[Hook]:
    """What the first process shows and writes; the order matters, the report reads what the others wrote.

    Where processes hold parts of one model, the others take part in drawing.
    """
    directory = Path(run.trainer.checkpoint_path)
    pictures: list[Hook] = []
    if run.trainer.pictures:
        sample = _shown(world, data) if data.has_validation else None
        if world.is_main:
            pictures = [PicturesHook(directory, sample, data.examples)]
        elif sample is not None and world.mesh is not None:
            pictures = [PicturesPeer(sample)]
    if not world.is_main:
        return pictures
    files = "; ".join(f"{name}: {text}" for name, text in data.listed.items())
    summary = {"Task": run.task, "Data": files, "Processes": str(world.size)}
    report = ReportHook(directory, title=f"{run.task}: {directory}", summary=summary, device=world.device)
    return [ProgressHook(), JsonlHook(directory), TreesHook(data.examples), *pictures, report]


def _shown(world: World, data: Data) -> Callable[[], Batch | None]:
    """What gives the held-out batch that is drawn: the first process's, to all that compute it together."""
    first = lambda: next(data.validation(), None)  # noqa: E731
    return first if world.mesh is None else lambda: world.on_main(first)
