"""Labels of DICOM series as DICOM Segmentation objects, by highdicom (optional)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ucf_vit
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import replace_atomic
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.dicom import Dicom
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import LabelClass, LabelFormat

_MAKER = "ucf_vit"
_TEXTS = ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber")
_TIMES = ("StudyDate", "StudyTime")


class DicomSeg(LabelFormat):
    """A segmentation object (`SEG`) with a binary segment for each class but the background.

    It belongs to the patient, study and frame of reference of the series, and refers to its images. The label
    of a segment is the name of the class; its coded type is the general "anatomical structure" (SNOMED CT).
    """

    name, dims, package, extra = "dicomseg", (3,), "highdicom", "dicomseg"

    def check(self, case: Case) -> None:
        """Raises UserError for an item that is no DICOM series, too."""
        super().check(case)
        if not isinstance(case.source, Dicom):
            raise UserError(
                f"{case.item.image}: --format dicomseg is for DICOM series, to which it refers; choose "
                "another one, such as --format nifti"
            )

    def suffix(self, case: Case) -> str:
        """Returns `.dcm`."""
        return ".dcm"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the file. Raises DataError for a series that lacks what the standard requires."""
        source = case.source
        assert isinstance(source, Dicom)
        with (
            reading(case.item.image, "no DICOM-SEG can refer to its series"),
            replace_atomic(path) as temporary,
        ):
            segmentation = _segmentation(labels, _images(source, case), classes)
            segmentation.save_as(temporary)


def _images(source: Dicom, case: Case) -> list[Any]:
    """Returns the headers of the slices in order, with what the standard allows to be missing or empty."""
    import pydicom

    thickness = source.geometry(case.item).spacing[2]
    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in source.slices(case.item)]
    for image in images:
        for keyword, value in {**dict.fromkeys(_TEXTS, ""), **dict.fromkeys(_TIMES)}.items():
            if keyword not in image:
                setattr(image, keyword, value)
        if image.get("SliceThickness") is None:
            image.SliceThickness = f"{thickness:.10g}"
    return images


def _segmentation(labels: NDArray[Any], images: Sequence[Any], classes: Sequence[LabelClass]) -> Any:
    """Returns the object for labels `[X, Y, Z]`, whose slices along Z are `images`."""
    import highdicom

    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=np.ascontiguousarray(labels.T).astype(np.uint8 if len(classes) <= 256 else np.uint16),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(number, one) for number, one in enumerate(classes) if number],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_MAKER,
        software_versions=ucf_vit.__version__,
        device_serial_number="0",
        series_description="Segmentation",
    )


def _described(number: int, one: LabelClass) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    structure = codes.SCT.AnatomicalStructure
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=one.name[:64],
        segmented_property_category=structure,
        segmented_property_type=structure,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_MAKER, family=codes.DCM.ArtificialIntelligence, version=ucf_vit.__version__
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(*(round(255 * part) for part in one.colour)),
    )
