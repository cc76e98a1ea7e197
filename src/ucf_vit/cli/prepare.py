"""`ucf-vit prepare`: any data set as chunks that tiles are read from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides
from ucf_vit.config import load
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.log import say

if TYPE_CHECKING:
    from ucf_vit.data.prepare.conversion import Origin, StorageOptions

MIB = 2**20


class OnError(StrEnum):
    """As data.on_error."""

    fail = "fail"
    skip = "skip"


def prepare(
    source: Annotated[
        str, typer.Argument(metavar="SRC|CONFIG", help="Root of a data set; or YAML file of a run.")
    ],
    destination: Annotated[
        Path | None,
        typer.Argument(metavar="DST", help="Directory to write to; of a CONFIG, DST/NAME.", parser=to_path),
    ] = None,
    overrides: Overrides = None,
    dataset: Annotated[
        str | None, typer.Option(help="What SRC is, as in data.dataset: basic_ct, npy_pairs, ...")
    ] = None,
    variables: Annotated[
        str | None, typer.Option(help="Of SRC: the names of its channels, separated by commas.")
    ] = None,
    chunk: Annotated[
        str | None, typer.Option(help="Sides of a chunk, 64x64x64. Default: made for the tiles of CONFIG.")
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="MiB of a file, about.")] = 128,
    workers: Annotated[
        int | None, typer.Option(min=1, help="At the same time. Default: one per core.")
    ] = None,
    on_error: Annotated[
        OnError | None,
        typer.Option(help="What to do with unreadable items. Default: data.on_error, or fail."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--verify", help="Write nothing: compare all files of a prepared SRC to their hashes."),
    ] = False,
) -> None:
    """Convert data sets so that reading a tile touches only the chunks of the tile, and is checked.

    After a kill the same command goes on. Training then says data.dataset: prepared.
    """
    threads = workers or len(os.sched_getaffinity(0))
    if check:
        _verify(to_path(source), threads)
        return
    if destination is None:
        raise UserError("ucf-vit prepare SRC DST: DST is missing, the directory to write to")
    from ucf_vit.data.prepare.conversion import StorageOptions

    settings = StorageOptions(
        chunk=None if chunk is None else _sides(chunk), shard_bytes=shard_size * MIB, workers=threads
    )
    given: dict[str, Any] = {} if on_error is None else {"on_error": on_error.value}
    roots: dict[str, dict[str, Path]] = {}
    found = _origins(source, destination, overrides, dataset, variables, settings)
    for key, name, origin, place, used in found:
        roots.setdefault(key, {})[name] = _one(place.name, origin, place, replace(used, **given))
    typer.echo("data:\n  dataset: prepared")
    for key, places in roots.items():
        shown = ", ".join(f"{name}: {place}" for name, place in places.items())
        typer.echo(f"  {key}: {{{shown}}}")


def _origins(
    source: str,
    destination: Path,
    overrides: list[str] | None,
    dataset: str | None,
    variables: str | None,
    settings: StorageOptions,
) -> list[tuple[str, str, Origin, Path, StorageOptions]]:
    """Key, name, origin, directory and settings of each data set."""
    if source.endswith((".yaml", ".yml")):
        if dataset or variables:
            raise UserError(f"{source}: a config says what the data is; leave --dataset and --variables out")
        run = load(source, overrides or [])
        from ucf_vit.train.inputs.prepare_datasets import origins

        return list(origins(run, destination, settings))
    from ucf_vit.data.prepare.conversion import Origin
    from ucf_vit.data.sources import SOURCES

    if overrides:
        raise UserError(f"{overrides[0]}: only a config has keys to set; use the options (--help)")
    if dataset is None:
        raise UserError(
            f"{source}: say what it is with --dataset: {', '.join(SOURCES)}, or path/to/file.py:Class"
        )
    offered = {} if settings.chunk is None else {"tile_dims": len(settings.chunk)}
    names = None if variables is None else [name.strip() for name in variables.split(",")]
    origin = Origin.of(dataset, path_or_url(source), names, offered=offered)
    return [("dict_root_dirs", destination.name, origin, destination, settings)]


def _one(name: str, origin: Origin, place: Path, settings: StorageOptions) -> Path:
    from ucf_vit.data.prepare.convert import prepare as convert

    with _bar(name) as show:
        found = convert(origin, place, settings, show, lambda listed: say(f"{name}: {listed}"))
    left_out = f", {len(found.skipped)} unreadable left out" if found.skipped else ""
    typer.echo(f"{place}: {len(found.keys)} items{left_out}, {decimal(found.size)}")
    return place


def _verify(root: Path, workers: int) -> None:
    from ucf_vit.data.prepare.verify import data_sets, verify

    wrong = []
    for place in data_sets(root):
        try:
            with _bar(place.name) as show:
                found = verify(place, workers, show)
            typer.echo(f"{place}: {len(found.keys)} items, {decimal(found.size)}, all as written")
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many items are done, of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _sides(text: str) -> tuple[int, ...]:
    parts = text.split("x")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(f"--chunk {text}: expected sides such as 64x64x64, or 256x256 for images")
    return tuple(map(int, parts))
