"""Images in separate files, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import name_of
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import Listing, Member, suffix_of
from ucf_vit.data.sources.readers.itk import ItkReader
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.readers.pictures import PictureReader
from ucf_vit.data.sources.readers.reader import Reader
from ucf_vit.data.sources.readers.reader_of import reader_of
from ucf_vit.data.sources.readers.rgb import RgbReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch


class SeparateFiles(FileSource):
    """One item per file: `root` is a file, or a directory with files of one kind (volumes or pictures).

    An item has the name of its file. With `recursive` the files below the directory are items, too. Of
    pictures, one variable is grey, three are red, green and blue, four have alpha. `unit_range` reads
    pictures as the source `imagenet` does, as RGB in [0, 1]; `resize` `[H, W]` brings them to one size.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        recursive: bool = False,
        unit_range: bool = False,
        resize: Sequence[int] | None = None,
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        scratch = scratch or Scratch()
        files = files or Files(Cache(scratch))
        listing = Listing(str(root), files)
        self._members = _members(str(root), listing, recursive)
        reader = reader_of(self._members[0].name, scratch, files, f"{root}:")
        if reader.spatial_dims == 2 and (unit_range or resize is not None):
            reader = RgbReader(resize, files)
        elif isinstance(reader, PictureReader) and len(variables) in (1, 3, 4):
            reader = PictureReader(len(variables), scratch=scratch, files=files)
        super().__init__(str(root), variables, reader)
        self.passed_over = listing.passed_over
        self._check_kinds(reader)

    def items(self) -> Sequence[Item]:
        """Returns one item per file, sorted by name."""
        return [Item(name, path) for name, path in self._members]

    def _check_kinds(self, reader: Reader) -> None:
        """Raises DataError for files that the reader of the first one does not read."""
        others = [path for name, path in self._members if not suffix_of(name, reader.suffixes)]
        if others:
            raise DataError(
                f"{self.root}: holds files of different kinds, {self._members[0].path} and {others[0]}; "
                "give each kind a directory of its own, or name the files"
            )


def is_image_file(name: str) -> bool:
    """Returns whether a file of this name can be an item, by its suffix."""
    return bool(suffix_of(name, _known()))


def stem_of(name: str) -> str:
    """Returns a name without the suffix of an image file, if it has one."""
    return name[: len(name) - len(suffix_of(name, _known()))]


def _known() -> tuple[str, ...]:
    return (*NiftiReader.suffixes, *ItkReader.suffixes, *suffixes())


def _members(root: str, listing: Listing, recursive: bool) -> list[Member]:
    if is_image_file(root) and not Path(root).is_dir():
        return [Member(name_of(root), root)]
    members = listing.members("", _known(), deep=recursive)
    if not members:
        raise DataError(f"{root}: no volume or picture found{listing.more}")
    return members
