"""The reader for a kind of file."""

from __future__ import annotations

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.sources.readers.itk import ItkReader
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.readers.pictures import PictureReader
from ucf_vit.data.sources.readers.reader import Reader
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch


def reader_of(name: str, scratch: Scratch | None, files: Files | None, where: str) -> Reader:
    """Returns the reader of files that end as `name` does.

    Raises DataError, beginning with `where`, for a kind that nothing reads.
    """
    if name.lower().endswith(NiftiReader.suffixes):
        return NiftiReader(scratch, files)
    if name.lower().endswith(ItkReader.suffixes):
        return ItkReader(scratch, files)
    if name.lower().endswith(suffixes()):
        return PictureReader(scratch=scratch, files=files)
    known = ", ".join((*NiftiReader.suffixes, *ItkReader.suffixes, ".png", ".jpg", ".tif"))
    raise DataError(f"{where} {name!r} can't be read; known are {known} and other formats that Pillow reads")
