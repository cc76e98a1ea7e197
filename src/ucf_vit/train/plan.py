"""The plan of a run: which data rank reads which tiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.build import ReadShapes
from ucf_vit.data.scratch import Scratch
from ucf_vit.planning.cost import Work
from ucf_vit.planning.inventory import Inventory, Keeper, difference
from ucf_vit.planning.make import make_plan
from ucf_vit.planning.plan import Plan
from ucf_vit.train.build import build_datasets, remote_files

FILE = "plan.npz"


@dataclass(frozen=True)
class Planned:
    """A plan, and how many headers were read for it (the rest was known from an earlier time)."""

    plan: Plan
    headers_read: int
    skipped: int


def plan_directory(run: Run) -> Path:
    """Where the plan and the inventories of a run are, unless another place is named."""
    return Path(run.trainer.checkpoint_path) / "plan"


def plan_run(run: Run, gpus: int, directory: Path) -> Planned:
    """Plan `run` on `gpus` ranks; the plan and an inventory of each data set are written to `directory`.

    Raises ConfigError if the config is not for so many ranks, DataError naming the file that can't be used.
    """
    planned, keepers = _plan(run, gpus, directory)
    for keeper in keepers.values():
        keeper.save()
    planned.plan.save(directory / FILE)
    return planned


def check_plan(run: Run, gpus: int, directory: Path) -> Planned:
    """The plan in `directory`, if it is still that of `run` on `gpus` ranks; UserError with what differs."""
    given = Plan.load(directory / FILE)
    planned, keepers = _plan(run, gpus, directory)
    wrong = given.misfit(planned.plan)
    for part in given.parts:
        keeper = keepers.get(part.name)
        if keeper is None or keeper.inventory is None or keeper.inventory.digest == part.files_digest:
            continue
        wrong += [f"{part.name}: {line}" for line in _changes(part.files_digest, keeper)]
    if wrong:
        raise UserError(f"{directory / FILE} no longer fits; plan anew\n  " + "\n  ".join(wrong))
    return planned


def _plan(run: Run, gpus: int, directory: Path) -> tuple[Planned, dict[str, Keeper]]:
    degrees = run.check_ranks(gpus)
    scratch = Scratch()
    files = remote_files(run, scratch)
    keepers = {name: Keeper(_file(directory, name), _source(run, name), files.stamp) for name in run.datasets}

    def shapes_of(name: str) -> ReadShapes:
        return keepers[name].shapes

    datasets = build_datasets(run, scratch, statistics=False, read_shapes=shapes_of, files=files)
    seconds, balancing = run.load_balancing.tile_seconds, run.load_balancing
    works = [
        Work(
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
        digests={name: keeper.inventory.digest for name, keeper in keepers.items() if keeper.inventory},
        layout=_layout(run),
    )
    read = sum(keeper.read for keeper in keepers.values())
    return Planned(plan, read, sum(len(one.skipped) for one in datasets)), keepers


def _layout(run: Run) -> dict[str, Any]:
    """What tiles depend on beside the files."""
    data = run.data
    return {
        "model.tile_size": list(run.spatial_tile),
        "data.tile_overlap": data.tile_overlap,
        "data.use_all_data": data.use_all_data,
        "data.single_channel": data.single_channel,
    }


def _source(run: Run, name: str) -> str:
    """What the shapes of a data set depend on beside its files."""
    options = run.dataset_options
    return json.dumps(
        {
            "source": run.data.dataset,
            "root": run.data.dict_root_dirs[name],
            "variables": run.data.dict_in_variables[name],
            "resize": options.imagenet_resize.get(name),
            "axes": len(run.spatial_tile),
        }
    )


def _file(directory: Path, name: str) -> Path:
    return directory / f"inventory_{name}.npz"


def _changes(digest: str, keeper: Keeper) -> list[str]:
    """Names of what is not as it was, where the inventory of the plan is still there to tell."""
    try:
        then = Inventory.load(keeper.path)
    except UserError:
        return []
    known = then.digest == digest and keeper.inventory is not None
    return difference(then, keeper.inventory) if known and keeper.inventory is not None else []
