"""Files of a run's plan, which says which data rank reads which tiles."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from ucf_vit.config import Data, Run
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import UserError
from ucf_vit.data.build_dataset import ReadShapes
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.planning.cost import Workload
from ucf_vit.planning.inventory import Inventory, describe_changes
from ucf_vit.planning.make_plan import make_plan
from ucf_vit.planning.plan import Plan
from ucf_vit.planning.shape_reader import ShapeReader
from ucf_vit.training.data_record import Record
from ucf_vit.training.hooks.jsonl import METRICS, read_metrics
from ucf_vit.training.inputs.datasets import build_datasets, resolved
from ucf_vit.training.inputs.grids import grid_options
from ucf_vit.training.inputs.plan_table import table
from ucf_vit.training.inputs.source_options import remote_files
from ucf_vit.training.meter import TILE_SECONDS
from ucf_vit.training.same_on_all_ranks import check_same

log = logging.getLogger(__name__)
FILE, PICTURE = "plan.npz", "loads.png"


@dataclass(frozen=True)
class Outcome:
    """A plan, and the number of headers that were read for it; the others were known from an inventory.

    `skipped` is the number of skipped files. `listed` describes the files of each data set.
    """

    plan: Plan
    headers_read: int
    skipped: int
    listed: Mapping[str, str]


@dataclass(frozen=True)
class Planned:
    """A plan to follow; `shapes_of(files, dataset)` returns a reader of shapes from its inventory."""

    plan: Plan
    shapes_of: Callable[[Files, str], ReadShapes]


def plan_directory(checkpoint_path: str) -> Path:
    """Returns the default directory of the plan and the inventories of a run."""
    return Path(checkpoint_path) / "plan"


def prepare_plan(run: Run, world: World, record: Record | None = None) -> Planned | None:
    """Returns the plan that `run` follows, None with `data.order: global` (collective).

    Rank 0 makes the plan, or checks that the one in `load_balancing.plan` fits; then all ranks read the file.
    Items are split as in `record`. Raises UserError with the differences.
    """
    if run.data.order == "global":
        return None
    given = run.load_balancing.plan
    directory = Path(given) if given else plan_directory(run.trainer.checkpoint_path)

    def prepare() -> None:
        if given:
            check_plan(run, world.size, directory, record)
        else:
            plan_run(run, world.size, directory, overwrite=True, record=record)

    world.on_main(prepare)
    run = resolved(run, Scratch(), record)
    plan = Plan.load(directory / FILE)
    if world.is_main:
        log.info("each rank reads tiles of its own, by %s\n%s", directory / FILE, table(plan))
    check_same({"the plan of the data": f"{plan.steps} batches, {plan.parts}"}, world)

    def shapes_of(files: Files, name: str) -> ReadShapes:
        return ShapeReader(_file(directory, name), _source(run, name), files.stamp).shapes

    return Planned(plan, shapes_of)


def measured(run: Run, directory: Path) -> Run:
    """Returns `run` with `tile_seconds` measured in the run in `directory`.

    The measured run should have `data.order: global`: with `rank`, a step on any data set takes as long as on
    the slowest rank. Raises UserError if the times of a data set are missing.
    """
    lines = read_metrics(directory / METRICS)
    seconds = {}
    for name in run.datasets:
        values = [line.get(TILE_SECONDS + name) for line in lines]
        times = [value for value in values if isinstance(value, int | float) and value > 0]
        if not times:
            raise UserError(
                f"{directory / METRICS}: no step on {name} there; name a run that has all data sets"
            )
        seconds[name] = float(f"{median(times):.3g}")
    balancing = run.load_balancing.model_copy(update={"tile_seconds": seconds})
    return run.model_copy(update={"load_balancing": balancing})


def plan_run(
    run: Run, gpus: int, directory: Path, *, overwrite: bool = False, record: Record | None = None
) -> Outcome:
    """Plans `run` on `gpus` ranks; writes the plan and an inventory of each data set to `directory`.

    Raises ConfigError if the config is not for that many ranks, DataError naming a file that cannot be read,
    UserError if `directory` has another plan, unless `overwrite` is set, or a file that is not a plan.
    """
    file, picture = directory / FILE, directory / PICTURE
    before = Plan.load(file) if file.exists() else None
    if before is None and picture.exists():
        raise UserError(f"{picture} exists already, of no plan; name another directory")
    planned, readers = _plan(run, gpus, directory, record)
    if before is not None and not overwrite and (differing := before.describe_differences(planned.plan)):
        raise UserError(
            f"{file} is another plan; replace it with --overwrite, or name another directory with --out\n  "
            + "\n  ".join(differing)
        )
    for reader in readers.values():
        reader.save()
    planned.plan.save(file)
    picture.unlink(missing_ok=True)
    return planned


def draft(run: Run, gpus: int) -> Outcome:
    """Plans `run` on `gpus` ranks as `plan_run` does, without writing anything."""
    return _plan(run, gpus, plan_directory(run.trainer.checkpoint_path))[0]


def check_plan(run: Run, gpus: int, directory: Path, record: Record | None = None) -> Outcome:
    """Returns the plan in `directory`. Raises UserError if `run` on `gpus` ranks has another plan by now."""
    given = Plan.load(directory / FILE)
    planned, readers = _plan(run, gpus, directory, record)
    wrong = given.describe_differences(planned.plan)
    for part in given.parts:
        reader = readers.get(part.name)
        if reader is None or reader.inventory is None or reader.inventory.digest == part.files_digest:
            continue
        wrong += [f"{part.name}: {line}" for line in _changes(part.files_digest, reader)]
    if wrong:
        raise UserError(f"{directory / FILE} no longer fits; plan anew\n  " + "\n  ".join(wrong))
    return planned


def _plan(
    run: Run, gpus: int, directory: Path, record: Record | None = None
) -> tuple[Outcome, dict[str, ShapeReader]]:
    degrees = check_ranks(run, gpus)
    scratch = Scratch()
    files = remote_files(run.data, scratch)
    run = resolved(run, scratch, record, files)
    readers = {
        name: ShapeReader(_file(directory, name), _source(run, name), files.stamp) for name in run.datasets
    }

    def shapes_of(name: str) -> ReadShapes:
        return readers[name].shapes

    datasets = build_datasets(
        run, scratch, record=record, statistics=False, read_shapes=shapes_of, files=files
    )
    seconds, balancing = run.load_balancing.tile_seconds, run.load_balancing
    auto = balancing.auto_load_balancing
    works = [
        Workload(
            one.name,
            one.counts,
            seconds.get(one.name, prod(run.grid)),
            len(one.channels) if run.data.single_channel else 1,
        )
        for one in datasets
    ]
    plan = make_plan(
        works,
        degrees["simple_ddp_size"] * degrees["fsdp_size"],
        run.data.batch_size,
        few_ranks=balancing.few_ranks,
        groups=None if auto else balancing.groups(),
        steps=None if auto else max(balancing.batches_per_rank_epoch.values()),
        digests={name: reader.inventory.digest for name, reader in readers.items() if reader.inventory},
        layout=_layout(run.data, run.spatial_tile),
    )
    read = sum(reader.read for reader in readers.values())
    listed = {one.name: one.listed for one in datasets}
    return Outcome(plan, read, sum(len(one.skipped) for one in datasets), listed), readers


def _layout(data: Data, tile_size: Sequence[int]) -> dict[str, Any]:
    """Returns the options that tiles depend on, by their names in plan files."""
    return {
        "model.tile_size": list(tile_size),
        "data.tile_overlap": data.tile_overlap,
        "data.use_all_data": data.use_all_data,
        "data.single_channel": data.single_channel,
    }


def _source(run: Run, name: str) -> str:
    """Returns the options that the shapes of a data set depend on, as JSON."""
    options = run.dataset_options
    return json.dumps(
        {
            "source": run.data.dataset,
            "root": run.data.dict_root_dirs[name],
            "variables": run.data.dict_in_variables[name],
            "resize": options.imagenet_resize.get(name),
            **({"options": chosen} if (chosen := run.data.dict_options.get(name)) else {}),
            "axes": len(run.spatial_tile),
            "label_geometry": run.data.label_geometry,
            "max_item_bytes": run.data.max_item_bytes,
            **grid_options(run).values,
        }
    )


def _file(directory: Path, name: str) -> Path:
    return directory / f"inventory_{name}.npz"


def _changes(digest: str, reader: ShapeReader) -> list[str]:
    """Returns the files that have changed, if the inventory of the plan still exists."""
    try:
        then = Inventory.load(reader.path)
    except UserError:
        return []
    known = then.digest == digest and reader.inventory is not None
    return describe_changes(then, reader.inventory) if known and reader.inventory is not None else []
