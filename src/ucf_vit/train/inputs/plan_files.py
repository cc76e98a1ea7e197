"""The plan of a run: which data rank reads which tiles."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from ucf_vit.config import Run
from ucf_vit.config.check_ranks import check_ranks
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
from ucf_vit.train.hooks.jsonl import METRICS, read_metrics
from ucf_vit.train.inputs.datasets import build_datasets, remote_files
from ucf_vit.train.inputs.plan_table import table
from ucf_vit.train.meter import TILE_SECONDS
from ucf_vit.train.same_on_all_ranks import check_same

log = logging.getLogger(__name__)
FILE, PICTURE = "plan.npz", "loads.png"


@dataclass(frozen=True)
class Outcome:
    """A plan, and how many headers were read for it (the rest was known from an earlier time).

    `listed` says what belongs to each data set, and what was passed over.
    """

    plan: Plan
    headers_read: int
    skipped: int
    listed: Mapping[str, str]


@dataclass(frozen=True)
class Planned:
    """A plan to be followed; `shapes_of(files, dataset)` finds shapes in the inventory that belongs to it."""

    plan: Plan
    shapes_of: Callable[[Files, str], ReadShapes]


def plan_directory(run: Run) -> Path:
    """Where the plan and the inventories of a run are, unless another place is named."""
    return Path(run.trainer.checkpoint_path) / "plan"


def follow(run: Run, world: World) -> Planned | None:
    """Returns the plan of `run`; None where all ranks read slices of one order (`data.order: global`).

    Rank 0 makes the plan, or checks that the given one fits; the others read what is written. Raises
    UserError with what differs.
    """
    if run.data.order == "global":
        return None
    given = run.load_balancing.plan
    directory = Path(given) if given else plan_directory(run)

    def prepare() -> None:
        if given:
            check_plan(run, world.size, directory)
        else:
            plan_run(run, world.size, directory, overwrite=True)

    world.on_main(prepare)
    plan = Plan.load(directory / FILE)
    if world.is_main:
        log.info("each rank reads tiles of its own, by %s\n%s", directory / FILE, table(plan))
    check_same({"the plan of the data": f"{plan.steps} batches, {plan.parts}"}, world)

    def shapes_of(files: Files, name: str) -> ReadShapes:
        return ShapeReader(_file(directory, name), _source(run, name), files.stamp).shapes

    return Planned(plan, shapes_of)


def measured(run: Run, directory: Path) -> Run:
    """`run` with tiles that cost the seconds that they took in the run in `directory`.

    With `data.order: rank` all take as long as on the slowest rank: take a run with `global`. Raises
    UserError where the times of a data set are not there.
    """
    lines = read_metrics(directory / METRICS)
    seconds = {}
    for name in run.datasets:
        values = [line.get(TILE_SECONDS + name) for line in lines]
        found = [value for value in values if isinstance(value, int | float) and value > 0]
        if not found:
            raise UserError(
                f"{directory / METRICS}: no step on {name} there; name a run that has all data sets"
            )
        seconds[name] = float(f"{median(found):.3g}")
    balancing = run.load_balancing.model_copy(update={"tile_seconds": seconds})
    return run.model_copy(update={"load_balancing": balancing})


def plan_run(run: Run, gpus: int, directory: Path, *, overwrite: bool = False) -> Outcome:
    """Plan `run` on `gpus` ranks; the plan and an inventory of each data set are written to `directory`.

    Raises ConfigError if the config is not for that many ranks, DataError naming the file that can't be used,
    UserError where there is something else than a plan, or another plan and no word to `overwrite` it.
    """
    file, picture = directory / FILE, directory / PICTURE
    before = Plan.load(file) if file.exists() else None
    if before is None and picture.exists():
        raise UserError(f"{picture} exists already, of no plan; name another directory")
    planned, keepers = _plan(run, gpus, directory)
    if before is not None and not overwrite and (differing := before.describe_differences(planned.plan)):
        raise UserError(
            f"{file} is another plan; replace it with --overwrite, or name another directory with --out\n  "
            + "\n  ".join(differing)
        )
    for keeper in keepers.values():
        keeper.save()
    planned.plan.save(file)
    picture.unlink(missing_ok=True)
    return planned


def draft(run: Run, gpus: int) -> Outcome:
    """As `plan_run`, but nothing is written."""
    return _plan(run, gpus, plan_directory(run))[0]


def check_plan(run: Run, gpus: int, directory: Path) -> Outcome:
    """The plan in `directory`, if it is still that of `run` on `gpus` ranks; UserError with what differs."""
    given = Plan.load(directory / FILE)
    planned, keepers = _plan(run, gpus, directory)
    wrong = given.describe_differences(planned.plan)
    for part in given.parts:
        keeper = keepers.get(part.name)
        if keeper is None or keeper.inventory is None or keeper.inventory.digest == part.files_digest:
            continue
        wrong += [f"{part.name}: {line}" for line in _changes(part.files_digest, keeper)]
    if wrong:
        raise UserError(f"{directory / FILE} no longer fits; plan anew\n  " + "\n  ".join(wrong))
    return planned


def _plan(run: Run, gpus: int, directory: Path) -> tuple[Outcome, dict[str, ShapeReader]]:
    degrees = check_ranks(run, gpus)
    scratch = Scratch()
    files = remote_files(run, scratch)
    keepers = {
        name: ShapeReader(_file(directory, name), _source(run, name), files.stamp) for name in run.datasets
    }

    def shapes_of(name: str) -> ReadShapes:
        return keepers[name].shapes

    datasets = build_datasets(run, scratch, statistics=False, read_shapes=shapes_of, files=files)
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
        digests={name: keeper.inventory.digest for name, keeper in keepers.items() if keeper.inventory},
        layout=_layout(run),
    )
    read = sum(keeper.read for keeper in keepers.values())
    listed = {one.name: one.listed for one in datasets}
    return Outcome(plan, read, sum(len(one.skipped) for one in datasets), listed), keepers


def _layout(run: Run) -> dict[str, Any]:
    """Returns the options that tiles depend on, by the names that plan files have for them."""
    data = run.data
    return {
        "model.tile_size": list(run.spatial_tile),
        "data.tile_overlap": data.tile_overlap,
        "data.use_all_data": data.use_all_data,
        "data.single_channel": data.single_channel,
    }


def _source(run: Run, name: str) -> str:
    """Returns the options that the shapes of a data set depend on beside its files."""
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
        }
    )


def _file(directory: Path, name: str) -> Path:
    return directory / f"inventory_{name}.npz"


def _changes(digest: str, keeper: ShapeReader) -> list[str]:
    """Names of what is not as it was, where the inventory of the plan is still there to tell."""
    try:
        then = Inventory.load(keeper.path)
    except UserError:
        return []
    known = then.digest == digest and keeper.inventory is not None
    return describe_changes(then, keeper.inventory) if known and keeper.inventory is not None else []
