"""`ucf-vit prepare`: converts data sets into chunks for fast reading of tiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ucf_vit.cli.arguments import to_path, to_sides
from ucf_vit.cli.config import Overrides
from ucf_vit.config import load
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.log import say

if TYPE_CHECKING:
    from ucf_vit.data.prepare.conversion import Origin, StorageOptions

MIB = 2**20
RECIPE = "Changes of shape and values"
Triple = tuple[float, float, float]
Sides = tuple[int, int, int]
Pair = tuple[float, float]


class Format(StrEnum):
    """Format of prepared data."""

    prepared = "prepared"
    npy_pairs = "npy_pairs"


class OnError(StrEnum):
    """Values of data.on_error."""

    fail = "fail"
    skip = "skip"


def prepare(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC|CONFIG|msd|kits", help="Root of a data set; YAML file of a run; or a known data set."
        ),
    ],
    destination: Annotated[
        Path | None,
        typer.Argument(metavar="DST", help="Directory to write to; of a CONFIG, DST/NAME.", parser=to_path),
    ] = None,
    overrides: Overrides = None,
    dataset: Annotated[
        str | None, typer.Option(help="Source of SRC, as in data.dataset: basic_ct, npy_pairs, ...")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the source, as in data.dict_options; can be repeated."),
    ] = None,
    variables: Annotated[
        str | None, typer.Option(help="Names of the channels of SRC, separated by commas.")
    ] = None,
    chunk: Annotated[
        str | None, typer.Option(help="Sides of a chunk, 64x64x64. Default: chosen for the tiles of CONFIG.")
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Approximate size of a file, in MiB.")] = 128,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Items at the same time. Default: one per core.")
    ] = None,
    on_error: Annotated[
        OnError | None,
        typer.Option(help="Treatment of unreadable items. Default: data.on_error, or fail."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--verify", help="Write nothing; compare the files of a prepared SRC with their hashes."
        ),
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", help="npy_pairs: a .npy file for each image and label, no chunks.")
    ] = Format.prepared,
    source_dir: Annotated[
        str | None, typer.Option(metavar="SRC", help="Of msd and kits: the root.", rich_help_panel=RECIPE)
    ] = None,
    target_dir: Annotated[
        Path | None,
        typer.Option(metavar="DST", help="The same as DST.", parser=to_path, rich_help_panel=RECIPE),
    ] = None,
    small: Annotated[
        bool,
        typer.Option("--small", help="kits: 32 x 32 x 32 voxels, as .npy pairs.", rich_help_panel=RECIPE),
    ] = False,
    spacing: Annotated[
        Triple | None, typer.Option(help="Resample to voxels of this size in mm.", rich_help_panel=RECIPE)
    ] = None,
    reshape: Annotated[
        Sides | None, typer.Option(help="Resample to this number of voxels.", rich_help_panel=RECIPE)
    ] = None,
    clip: Annotated[
        Pair | None, typer.Option(help="Limit values to LOW HIGH.", rich_help_panel=RECIPE)
    ] = None,
    mean_std: Annotated[
        Pair | None,
        typer.Option(help="Subtract the mean and divide by the deviation.", rich_help_panel=RECIPE),
    ] = None,
    standardise: Annotated[
        bool,
        typer.Option("--standardise", help="Mean 0, deviation 1 per channel.", rich_help_panel=RECIPE),
    ] = False,
    pad: Annotated[
        Sides | None, typer.Option(help="Pad smaller items to this shape.", rich_help_panel=RECIPE)
    ] = None,
    binary: Annotated[
        bool, typer.Option("--binary", help="Labels above 0 become 1.", rich_help_panel=RECIPE)
    ] = False,
    split: Annotated[
        Triple | None,
        typer.Option(help="Fractions that train, validate and test; groups whole.", rich_help_panel=RECIPE),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --split.", rich_help_panel=RECIPE)] = 0,
) -> None:
    """Convert data sets so that reading a tile reads only the tile's chunks, with checksums.

    A killed command continues where it was when started again. Train with data.dataset: prepared. Known data
    sets, msd and kits, are resampled and scaled as usual; options override this.
    """
    threads = workers or len(os.sched_getaffinity(0))
    if check:
        _verify(to_path(source), threads)
        return
    destination = destination or target_dir
    if destination is None:
        raise UserError("ucf-vit prepare SRC DST: DST is missing, the directory to write to")
    from ucf_vit.cli.data.prepare_recipe import changed, known_data_set, options_of
    from ucf_vit.data.prepare.conversion import StorageOptions

    source, dataset, recipe = known_data_set(source, source_dir, dataset, small)
    given_steps = {
        "spacing": spacing,
        "shape": reshape,
        "clip": clip,
        "mean_std": mean_std,
        "standardise": standardise or None,
        "pad": pad,
        "binary": binary or None,
        "split": split,
    }
    recipe = changed(recipe, {**given_steps, "seed": seed or None})
    settings = StorageOptions(
        chunk=None if chunk is None else to_sides("--chunk", chunk),
        shard_bytes=shard_size * MIB,
        workers=threads,
        format="npy_pairs" if small else form.value,
    )
    given: dict[str, Any] = {} if on_error is None else {"on_error": on_error.value}
    roots: dict[str, dict[str, Path]] = {}
    origins = _origins(source, destination, overrides, dataset, variables, settings, options_of(option))
    for key, name, origin, place, used in origins:
        roots.setdefault(key, {})[name] = _one(
            place.name, replace(origin, recipe=recipe), place, replace(used, **given)
        )
    typer.echo(f"data:\n  dataset: {settings.format}")
    for key, places in roots.items():
        shown = ", ".join(f"{name}: {place}" for name, place in places.items())
        typer.echo(f"  {key}: {{{shown}}}")
    if split:
        file = f", file: {destination / 'splits.json'}" if settings.format == "npy_pairs" else ""
        typer.echo(f"  split: {{kind: given{file}}}")


def _origins(
    source: str,
    destination: Path,
    overrides: list[str] | None,
    dataset: str | None,
    variables: str | None,
    settings: StorageOptions,
    options: Mapping[str, Any],
) -> list[tuple[str, str, Origin, Path, StorageOptions]]:
    """Returns config key, name, origin, directory and settings of each data set."""
    if source.endswith((".yaml", ".yml")):
        if dataset or variables or options:
            raise UserError(
                f"{source}: a config describes the data; leave --dataset, --variables and --option out"
            )
        run = load(source, overrides or [])
        from ucf_vit.training.inputs.prepare_datasets import origins

        return list(origins(run, destination, settings))
    from ucf_vit.data.prepare.conversion import Origin
    from ucf_vit.data.sources import SOURCES

    if overrides:
        raise UserError(f"{overrides[0]}: only a config has keys to set; use the options (--help)")
    if dataset is None:
        raise UserError(
            f"{source}: name its source with --dataset: {', '.join(SOURCES)}, or path/to/file.py:Class"
        )
    offered = {} if settings.chunk is None else {"tile_dims": len(settings.chunk)}
    names = None if variables is None else [name.strip() for name in variables.split(",")]
    origin = Origin.of(dataset, path_or_url(source), names, options, offered)
    return [("dict_root_dirs", destination.name, origin, destination, settings)]


def _one(name: str, origin: Origin, place: Path, settings: StorageOptions) -> Path:
    from ucf_vit.data.prepare.convert import prepare as convert

    with _bar(name) as show:
        result = convert(origin, place, settings, show, lambda listed: say(f"{name}: {listed}"))
    skipped = f", {len(result.skipped)} unreadable skipped" if result.skipped else ""
    typer.echo(f"{place}: {len(result.keys)} items{skipped}, {decimal(result.size)}")
    return place


def _verify(root: Path, workers: int) -> None:
    from ucf_vit.data.prepare.verify import data_sets, verify

    wrong = []
    for place in data_sets(root):
        try:
            with _bar(place.name) as show:
                manifest = verify(place, workers, show)
            typer.echo(f"{place}: {len(manifest.keys)} items, {decimal(manifest.size)}, all intact")
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Context with a progress bar; yields a function of the number of finished items and of all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
