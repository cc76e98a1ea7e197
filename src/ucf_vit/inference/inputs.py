"""Items to predict, found in the inputs of a request."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.files.urls import is_remote, join, name_of
from ucf_vit.data.batch import Sample, Skipped
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.sources import SOURCES, Item, Source
from ucf_vit.data.sources.dicom import is_dicom
from ucf_vit.data.sources.layouts.separate_files import SeparateFiles, is_image_file, stem_of
from ucf_vit.data.sources.listing import is_hidden
from ucf_vit.data.sources.regridded import Regridded
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import Part, build_datasets, resolved
from ucf_vit.training.inputs.source_options import remote_files

log = logging.getLogger(__name__)
FILES, DICOM = "files", "dicom"
"""Sources of files that are in no layout."""
_NO_NAME = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Case:
    """Item number `number` of `dataset`.

    `name` is the path of its outputs in their directory, without suffix.
    """

    dataset: Dataset
    number: int
    name: str

    @property
    def item(self) -> Item:
        """The item."""
        return self.dataset.items[self.number]

    @property
    def source(self) -> Source:
        """The source of the item on the grid on which it is stored."""
        source = self.dataset.source
        return source.inner if isinstance(source, Regridded) else source

    @property
    def grid(self) -> Regrid | None:
        """How the grid on which the item is stored was changed for the network; None where it was not."""
        source = self.dataset.source
        changed = isinstance(source, Regridded) or source.made_with is not None
        return source.grid(self.item) if changed else None

    def read(self) -> Sample:
        """Returns the item as the network gets it. Raises DataError."""
        return TileReader(self.dataset, self.dataset.channels).whole(self.number)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape `[*S]` of the item on the grid on which it is predicted."""
        return self.dataset.tilings[self.number].shape


def find_cases(
    run: Run, record: Record, inputs: Sequence[str], source: str | None
) -> tuple[list[Case], list[Skipped]]:
    """Returns the items of all inputs, in order, and the inputs and files that can't be read.

    Values, grid and classes are those of `record`. `source` reads all inputs (None: chosen for each). Raises
    UserError for an input that no data set of the run stands for, or that its source does not read.
    """
    scratch = Scratch()
    files = remote_files(run.data, scratch)
    run = resolved(_skipping(run), scratch, record, files)
    cases: list[Case] = []
    skipped: list[Skipped] = []
    for text in inputs:
        name, root = _named(run, text)
        try:
            part = Part(name, root, source=source or _source(run, root, files))
            (dataset,) = build_datasets(
                run, scratch, "test", parts=[part], record=record, files=files, labels=False
            )
        except DataError as error:
            skipped.append(Skipped(root, str(error)))
            continue
        if run.data.single_channel and len(dataset.channels) > 1:
            raise UserError(
                f"{root}: has {len(dataset.channels)} channels, and the run was trained on one at a time "
                "(data.single_channel); name one with --set data.dict_in_variables={NAME: [CHANNEL]}"
            )
        _name_channels(dataset)
        skipped += dataset.skipped
        cases += [Case(dataset, n, _case_name(item, root)) for n, item in enumerate(dataset.items)]
    return cases, skipped


def _name_channels(dataset: Dataset) -> None:
    """Names the channels that are taken of files with more of them, which may be others."""
    for case in [Case(dataset, 0, "")] if dataset.items else []:
        stored = case.source.shape(case.item)[0] if isinstance(case.source, SeparateFiles) else 0
        if stored > len(case.source.variables):
            log.warning(
                "%s: has %d channels; the first %d are taken as %s",
                *(case.item.image, stored, len(case.source.variables), ", ".join(case.source.variables)),
            )


def _skipping(run: Run) -> Run:
    return run.model_copy(update={"data": run.data.model_copy(update={"on_error": "skip"})})


def _named(run: Run, text: str) -> tuple[str, str]:
    """Returns the data set that an input is read as, and its path or URL."""
    name, equals, path = text.partition("=")
    if equals and name in run.datasets:
        return name, path_or_url(path)
    if len(run.datasets) > 1:
        raise UserError(
            f"{text}: say which data set it is read as, NAME=PATH; the run has {', '.join(run.datasets)}"
        )
    return run.datasets[0], path_or_url(text)


def _source(run: Run, root: str, files: Files) -> str:
    """Returns the name of the source that reads an input. Raises DataError where there is nothing."""
    own = run.data.dataset
    reads_files = getattr(SOURCES[own], "file_options", None) is not None
    if not is_remote(root) and not Path(root).exists():
        raise DataError(f"{root}: no such file or directory")
    if is_image_file(root) and not Path(root).is_dir():
        if not reads_files:
            raise UserError(
                f"{root}: the data source {own} of the run reads no separate files, so that their values "
                "may not be those it was trained on; give the root of a data set, or say --dataset files"
            )
        return FILES
    if is_remote(root) and not reads_files:
        return own
    if not is_remote(root) and not Path(root).is_dir():
        return own
    names = [one.name for one in files.entries(root) if not one.folder and not is_hidden(one.name)]
    if reads_files and any(map(is_image_file, names)):
        return FILES
    if not is_remote(root) and any(is_dicom(join(root, name)) for name in names):
        return DICOM
    return own


def _case_name(item: Item, root: str) -> str:
    """Returns the name of an item without the suffix of its file; a series is called as its directory."""
    key = name_of(item.key) if is_remote(item.key) else item.key
    parts = [part for part in PurePosixPath(key).parts if part not in ("/", ".", "..")]
    name = "/".join(parts) or (name_of(root) if is_remote(root) else Path(root).resolve().name)
    return _NO_NAME.sub("_", stem_of(name))
