"""The format of the labels of an item."""

from __future__ import annotations

from ucf_vit.core.errors import UserError
from ucf_vit.data.sources.dicom import Dicom
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.dicom_seg import DicomSeg
from ucf_vit.inference.label_files.itk import Itk, itk_suffix
from ucf_vit.inference.label_files.label_format import LabelFormat
from ucf_vit.inference.label_files.nifti import Nifti
from ucf_vit.inference.label_files.pictures import Png, Tiff, is_tiff
from ucf_vit.inference.label_files.zarr import Zarr

FORMATS: dict[str, LabelFormat] = {
    one.name: one for one in (Nifti(), Itk("nrrd"), Itk("mha"), Tiff(), Png(), Zarr(), DicomSeg())
}
"""Formats of labels by name."""


def format_of(case: Case, requested: str | None) -> LabelFormat:
    """Returns the `requested` format, or that of the image where it can hold labels.

    Other pictures (JPEG, WebP, ...) become PNG, other volumes NIfTI. Raises UserError where it can't be
    written.
    """
    chosen = FORMATS[requested or _own(case)]
    chosen.check(case)
    return chosen


def format_by_name(name: str, case: Case) -> LabelFormat:
    """Returns the format that the suffix of a file `name` stands for, first that of the image.

    Raises UserError where it stands for none, or the item can't be written in it.
    """
    suffixes = {key: one.suffix(case) for key, one in FORMATS.items()}
    for key in (_own(case), *FORMATS):
        if name.lower().endswith(suffixes[key].lower()):
            return format_of(case, key)
    expected = ", ".join(dict.fromkeys(suffixes.values()))
    raise UserError(f"{name}: a name of labels of {case.item.image} ends in {expected}")


def _own(case: Case) -> str:
    if isinstance(case.source, Dicom):
        return "dicomseg"
    if is_tiff(case):
        return "tiff"
    if case.source.spatial_dims == 2:
        return "png"
    if itk_suffix(case):
        return "nrrd" if itk_suffix(case) in (".nrrd", ".nhdr") else "mha"
    return "nifti"
