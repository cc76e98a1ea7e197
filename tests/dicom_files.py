"""Writes DICOM series for tests."""

from pathlib import Path

import numpy as np


def save_series(
    folder: Path,
    volume: np.ndarray,
    slope: float = 1.0,
    intercept: float = 0.0,
    order=None,
    orientation=(1, 0, 0, 0, 1, 0),
    gap: float = 2.5,
    name: str = "",
    suffix: str = ".dcm",
    patient: str = "P7",
    frame: bool = False,
) -> None:
    """`volume` `[X, Y, Z]` int16, one file per slice; file i holds slice `order[i]`, `gap` mm apart.

    With `frame` they have a frame of reference, which segmentations need.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, study, space = generate_uid(), generate_uid(), generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    for number, place in enumerate(order or range(volume.shape[2])):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        one.SeriesInstanceUID, one.StudyInstanceUID, one.Modality = series, study, "CT"
        one.PatientID = patient
        if frame:
            one.FrameOfReferenceUID = space
        one.Columns, one.Rows = volume.shape[:2]
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation, one.SamplesPerPixel = 15, 1, 1
        one.PhotometricInterpretation = "MONOCHROME2"
        one.RescaleSlope, one.RescaleIntercept = slope, intercept
        one.PixelSpacing, one.ImageOrientationPatient = [0.7, 0.7], list(orientation)
        one.ImagePositionPatient = [round(float(value), 6) for value in normal * gap * place]
        one.PixelData = np.ascontiguousarray(volume[:, :, place].T).astype("<i2").tobytes()
        one.save_as(folder / f"{name}{number:03d}{suffix}", enforce_file_format=True)
