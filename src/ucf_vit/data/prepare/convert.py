"""Converts any source to a prepared data set; an interrupted conversion continues where it stopped."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.files.urls import is_remote
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.formats.prepared.manifest import Manifest, Pack
from ucf_vit.data.prepare.conversion import Conversion, Origin, StorageOptions
from ucf_vit.data.prepare.journal import Journal, locked_journal
from ucf_vit.data.prepare.npy_pairs import write_pair
from ucf_vit.data.prepare.write import Done, Job, check_installed, write_job
from ucf_vit.data.sources import Item, Source
from ucf_vit.data.splits.assignment import FILE, Listed

log = logging.getLogger(__name__)


def prepare(
    origin: Origin,
    destination: Path,
    settings: StorageOptions,
    on_items: Callable[[int, int], None] = lambda done, total: None,
    on_listed: Callable[[str], None] = lambda listed: None,
) -> Manifest:
    """Writes all items of a source to `destination`, the manifest last.

    `on_items` is called with the number of items done and in all, `on_listed` at the start with a description
    of the files. A complete data set is left unchanged. Raises DataError that names an item that can't be
    read (with `on_error` "skip" it is left out), and UserError where `destination` contains something else or
    can't be written.
    """
    if settings.format == "prepared":
        check_installed()
    root = str(origin.given["root"])
    if not is_remote(root) and destination.resolve() == Path(root).resolve():
        raise UserError(f"{destination} is the source of the data; name another directory")
    source = origin.make()
    plan = Conversion.of(origin, source, settings)
    on_listed(plan.listed)
    try:
        return _prepare(origin, source, destination, settings, plan, on_items)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cause = "the disk is full" if full else f"can't be written ({error.strerror or error})"
        raise UserError(
            f"{destination}: {cause}; finished parts are kept: solve this and run the same command again"
        ) from error


def _prepare(
    origin: Origin,
    source: Source,
    destination: Path,
    settings: StorageOptions,
    plan: Conversion,
    on_items: Callable[[int, int], None],
) -> Manifest:
    file = destination / manifest.FILE
    if file.exists():
        written = manifest.parse(file.read_bytes(), str(file))
        if written.plan != plan.digest:
            raise UserError(
                f"{destination} has other data, or this data with other options or from files that have "
                "changed; remove it, or name another directory"
            )
        on_items(len(plan.items), len(plan.items))
        return written
    folder = destination / settings.folder
    owned = [destination / name for name in settings.owned]
    _open_folder(destination, owned)
    with locked_journal(destination):
        journal = Journal(destination, plan.digest, folder, owned)
        _run(plan.jobs, origin, folder, settings, journal, plan, on_items)
        written = _manifest(origin, source, plan, [journal.done[job.name] for job in plan.jobs], settings)
        if not written.keys:
            raise DataError(f"{origin.given['root']}: no item can be read ({written.skipped[0][1]})")
        _write_splits(destination, origin.kind, written, origin.options)
        write_atomic(file, written.dump())
        journal.path.unlink()
    return written


def _write_splits(destination: Path, kind: str, written: Manifest, about: Mapping[str, Any]) -> None:
    """Writes `splits.json` where items have splits, as `data.split.file` reads it."""
    if written.splits:
        groups = dict(zip(written.keys, written.groups or written.keys, strict=True))
        splits = dict(zip(written.keys, written.splits, strict=True))
        write_atomic(destination / FILE, Listed({kind: splits}, {kind: groups}, about).dump())


def _open_folder(destination: Path, owned: Sequence[Path]) -> None:
    """Creates the directories. Raises UserError where there are files that are not of a conversion."""
    for folder in owned:
        folder.mkdir(parents=True, exist_ok=True)
    known = (*(folder.name for folder in owned), manifest.UNFINISHED, FILE)
    strange = sorted(p.name for p in destination.iterdir() if p.name not in known and p.name[0] != ".")
    if strange:
        raise UserError(f"{destination} is not empty (it has {strange[0]}); name another directory")


def _run(
    jobs: Sequence[Job],
    origin: Origin,
    folder: Path,
    settings: StorageOptions,
    journal: Journal,
    plan: Conversion,
    on_items: Callable[[int, int], None],
) -> None:
    """Runs the jobs that are not done, `workers` at a time; after an error those already running are
    finished.
    """
    own = threading.local()

    def work(job: Job) -> Done:
        if not hasattr(own, "source"):
            own.source = origin.make()
        write = write_pair if settings.format == "npy_pairs" else write_job
        return write(job, own.source, folder, settings.on_error == "skip")

    done = sum(len(job.items) for job in jobs if job.name in journal.done)
    on_items(done, len(plan.items))
    waiting = iter([job for job in jobs if job.name not in journal.done])
    running: dict[Future[Done], Job] = {}
    with ThreadPoolExecutor(settings.workers) as pool:
        while True:
            for job in waiting:
                running[pool.submit(work, job)] = job
                if len(running) > settings.workers:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                journal.add(job.name, future.result())
                for _, cause in future.result().failed:
                    log.warning("skipped an unreadable file: %s", cause)
                _check_errors(plan, journal, settings)
                done += len(job.items)
                on_items(done, len(plan.items))


def _check_errors(plan: Conversion, journal: Journal, settings: StorageOptions) -> None:
    causes = [cause for one in journal.done.values() for _, cause in one.failed]
    if causes and len(causes) + len(plan.skipped) > settings.max_errors:
        raise DataError(f"more than {settings.max_errors} files can't be read, the last: {causes[-1]}")


def _manifest(
    origin: Origin, source: Source, plan: Conversion, done: Sequence[Done], settings: StorageOptions
) -> Manifest:
    failed = {number: cause for one in done for number, cause in one.failed}
    kept = [number for number in range(len(plan.items)) if number not in failed]
    place = {number: position for position, number in enumerate(kept)}
    items = [plan.items[number] for number in kept]
    strata = list(dict.fromkeys(item.stratum for item in items))
    packs = [pack for one in done for pack in one.packs]
    return Manifest(
        source=origin.kind,
        options=origin.options,
        plan=plan.digest,
        variables=tuple(source.variables),
        spatial_dims=source.spatial_dims,
        missing=source.missing,
        class_names=tuple(source.class_names),
        normalization=source.normalization,
        keys=tuple(item.key for item in items),
        strata=tuple(strata),
        stratum=tuple(
            map({name: n for n, name in enumerate(strata)}.__getitem__, (i.stratum for i in items))
        ),
        classes=tuple(i.class_index for i in items) if any(i.class_index is not None for i in items) else (),
        packs=tuple(_renumbered(pack, place) for pack in packs),
        folder=settings.folder,
        groups=tuple(i.group for i in items) if any(i.group for i in items) else (),
        splits=tuple(i.split for i in items) if any(i.split for i in items) else (),
        skipped=(*plan.skipped, *((plan.items[n].image, cause) for n, cause in failed.items())),
        grids=tuple(_grid(source, item) for item in items),
    )


def _grid(source: Source, item: Item) -> dict[str, Any] | None:
    """Returns the grid of an item as JSON; None where it has no position in space, or no valid one."""
    with suppress(DataError):  # as stored, items without a valid position can be used
        grid = source.grid(item)
        return None if grid is None else grid.dump()
    return None


def _renumbered(pack: Pack, place: Mapping[int, int]) -> Pack:
    return Pack(**{**pack.__dict__, "items": tuple(place[number] for number in pack.items)})
