"""One item of a data set, or one file, to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ucf_vit.config import Run, config_of, load
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.build_dataset import make_source
from ucf_vit.data.formats.nifti import SUFFIXES, read_geometry
from ucf_vit.data.formats.open_image import read_file
from ucf_vit.data.formats.prepared.manifest import FILE
from ucf_vit.data.read_item import read_sample
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import Source
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.drawing.volumes import VolumeView
from ucf_vit.training.inputs.source_options import source_options

TABLES = (".csv", ".tsv")


def view_of_file(path: Path, label: Path | None = None) -> VolumeView:
    """Returns the volume or image in a file, with the label in another one. Raises DataError."""
    image = read_file(path)
    values = None if label is None else read_file(label)[0]
    if values is not None and values.shape != image.shape[1:]:
        raise DataError(f"{label}: shape {values.shape} is not that of the image, {image.shape[1:]}")
    names = tuple(map(str, range(len(image)))) if len(image) > 1 else ("",)
    view = VolumeView(path.name, image, names, None if values is None else np.rint(values).astype(int))
    if path.name.lower().endswith(SUFFIXES):
        return view.turned(read_geometry(str(path)).affine)
    return view


def view_of_dataset(
    root: Path, sample: int, kind: str | None, variables: Sequence[str] | None, options: Mapping[str, Any]
) -> VolumeView:
    """Returns item number `sample` of the data set at `root`, of the source `kind` or what it looks like."""
    scratch = Scratch()
    files = Files(Cache(scratch))
    source, _ = make_source(kind or guess(root), str(root), (1, 1, 1), variables, options, scratch, files)
    return _view(source, str(root), sample, LabelMap.of(None))


def view_of_run(path: Path, sample: int, overrides: Sequence[str]) -> VolumeView:
    """Returns item number `sample` of the first data set of a run, its label as classes."""
    run: Run = load(path, overrides)
    name, scratch = run.datasets[0], Scratch()
    root, variables = run.data.dict_root_dirs[name], run.data.dict_in_variables[name]
    files = Files(Cache(scratch))
    options = source_options(run, name)
    source, _ = make_source(run.data.dataset, root, run.spatial_tile, variables, options, scratch, files)
    return _view(source, root, sample, LabelMap.of(run.data.dict_label_mapping[name], run.data.ignore_label))


def is_config(path: Path) -> bool:
    """Returns whether a path is a run: a YAML file, or a directory with one."""
    return config_of(path).suffix.lower() in (".yaml", ".yml")


def guess(root: Path) -> str:
    """Returns the kind of source that a directory or table looks like. Raises UserError."""
    if root.suffix.lower() in TABLES:
        return "csv"
    if (root / FILE).is_file():
        return "prepared" if (root / "packs").is_dir() else "npy_pairs"
    if (root / "dataset.json").is_file():
        numbered = any((root / "imagesTr").glob("*_0000.*"))
        return "nnunet_raw" if numbered else "msd"
    tests = {
        "basic_ct": "imagesTr/*.nii*",
        "npy_pairs": "images/*.npy",
        "pairs": "images/*",
        "kits": "*/imaging.nii*",
        "bids": "dataset_description.json",
    }
    for kind, pattern in tests.items():
        if any(root.glob(pattern)):
            return kind
    raise UserError(f"{root}: say what it is with --dataset, as in data.dataset: nnunet_raw, msd, kits, ...")


def _view(source: Source, root: str, sample: int, label_map: LabelMap) -> VolumeView:
    with reading(root):
        items = source.items()
    if not 0 <= sample < len(items):
        raise UserError(f"--sample {sample}: {root} has items 0 to {len(items) - 1}")
    item = items[sample]
    source.shape(item)
    read = read_sample(source, item)
    label = read.label if read.label is not None and read.label.ndim else None
    view = VolumeView(
        item.key,
        np.asarray(read.image),
        read.variables,
        None if label is None else label_map.numbers(np.asarray(label)),
        source.label_names,
    )
    geometry = source.geometry(item)
    return view if geometry is None else view.turned(geometry.affine)
