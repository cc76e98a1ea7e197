"""Labels as NRRD or MetaImage, by SimpleITK (optional)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError, brief
from ucf_vit.core.files.atomic_files import replace_atomic
from ucf_vit.data.formats.itk import SUFFIXES
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import suffix_of
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import LabelClass, LabelFormat, geometry_of

_TO_LPS = np.array([-1.0, -1.0, 1.0])


class Itk(LabelFormat):
    """Compressed NRRD (`nrrd`) or MetaImage (`mha`) in one file, with origin, spacing and direction."""

    dims, package, extra = (3,), "SimpleITK", "itk"

    def __init__(self, name: str) -> None:
        self.name = name

    def suffix(self, case: Case) -> str:
        """Returns `.nrrd` or `.mha`."""
        return f".{self.name}"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the file. The place of an image that ITK reads is copied, of others it is the affine."""
        import SimpleITK

        volume = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.T))
        if itk_suffix(case):
            origin, spacing, direction = case.dataset.files.using(case.item.image, _place)
            if len(origin) == 2:
                volume = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels[..., 0].T))
        else:
            geometry = geometry_of(case)
            spacing, axes = geometry.spacing, geometry.affine[:3, :3] / geometry.spacing
            direction = (_TO_LPS[:, None] * axes).ravel().tolist()
            origin = (_TO_LPS * geometry.affine[:3, 3]).tolist()
        volume.SetOrigin(origin)
        volume.SetSpacing(spacing)
        volume.SetDirection(direction)
        with replace_atomic(path) as temporary:
            named = temporary.with_suffix(path.suffix)
            try:
                SimpleITK.WriteImage(volume, str(named), useCompression=True)
                named.replace(temporary)
            except RuntimeError as cause:  # of ITK, such as a full disk
                reason = brief(str(cause).rpartition("Reason: ")[2])
                raise UserError(f"{path}: cannot be written ({reason})") from None
            finally:
                named.unlink(missing_ok=True)


def itk_suffix(case: Case) -> str:
    """Returns the suffix of an item that is NRRD or MetaImage; else an empty string."""
    return suffix_of(case.item.image, SUFFIXES) if isinstance(case.source, FileSource) else ""


def _place(file: Path) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader.GetOrigin(), reader.GetSpacing(), reader.GetDirection()
