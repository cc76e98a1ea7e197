"""Files of segmentations: in the format of the image where labels can be in it, on exactly its grid."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ucf_vit.core.files.atomic_files import replace_atomic, write_atomic
from ucf_vit.data.formats.nifti import SUFFIXES, write_like
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import suffix_of
from ucf_vit.inference.inputs import Case

PROBABILITIES = ".npz"
"""Suffix of the files of probabilities."""


def label_suffix(case: Case) -> str:
    """Returns `.nii` or `.nii.gz` as the image has it, `.png` for pictures, `.nii.gz` for others."""
    if case.source.spatial_dims == 2:
        return ".png"
    return _nifti_suffix(case) or ".nii.gz"


def write_labels(path: Path, labels: NDArray[Any], case: Case) -> None:
    """Writes class numbers `[*S]` uint8 or int16 on the grid on which the item is stored.

    NIfTI files get the header of the image, other volumes its affine, pictures none. A reader never sees a
    part of the file. Raises DataError where the shape is not that of the image.
    """
    if labels.ndim == 2:
        content = io.BytesIO()
        Image.fromarray(labels if labels.dtype == np.uint8 else labels.astype(np.uint16)).save(content, "PNG")
        write_atomic(path, content.getvalue())
    elif _nifti_suffix(case):
        write_like(path, labels, case.item.image, case.dataset.files)
    else:
        write_atomic(path, gzip.compress(_nifti(labels, case).to_bytes(), 1, mtime=0))


def write_probabilities(path: Path, probabilities: NDArray[np.float16]) -> None:
    """Writes the array "probabilities" `[K, *S]` float16, in the order of axes of the labels."""
    with replace_atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, probabilities=probabilities)


def _nifti_suffix(case: Case) -> str:
    return suffix_of(case.item.image, SUFFIXES) if isinstance(case.source, FileSource) else ""


def _nifti(labels: NDArray[Any], case: Case) -> Any:
    grid = case.grid
    geometry = case.source.geometry(case.item) if grid is None else grid.stored
    affine = np.eye(4) if geometry is None else geometry.affine
    image = nibabel.Nifti1Image(labels, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return image
