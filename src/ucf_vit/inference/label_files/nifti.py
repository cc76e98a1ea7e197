"""Labels as NIfTI: with the header of the image where it is NIfTI, else with its affine."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
from numpy.typing import NDArray

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.data.formats.nifti import SUFFIXES, write_like
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import suffix_of
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import LabelClass, LabelFormat, geometry_of


class Nifti(LabelFormat):
    """`.nii` or `.nii.gz` as the image, `.nii.gz` for others."""

    name, dims = "nifti", (3,)

    def suffix(self, case: Case) -> str:
        """Returns that of the image."""
        return nifti_suffix(case) or ".nii.gz"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the file. Raises DataError where the shape is not that of the image."""
        if nifti_suffix(case):
            write_like(path, labels, case.item.image, case.dataset.files)
            return
        affine = geometry_of(case).affine
        image = nibabel.Nifti1Image(labels, affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=1)
        write_atomic(path, gzip.compress(image.to_bytes(), 1, mtime=0))


def nifti_suffix(case: Case) -> str:
    """Returns the suffix of an item that is a NIfTI file, as stored; else an empty string."""
    return suffix_of(case.item.image, SUFFIXES) if isinstance(case.source, FileSource) else ""
