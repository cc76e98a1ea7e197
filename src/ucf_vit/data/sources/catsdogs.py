"""Images in one folder, with the class in the file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.sources.imagenet import ImageNet
from ucf_vit.data.sources.listing import Listing
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files


class CatsDogs(ImageNet):
    """RGB images in one folder, such as `cat.0.jpg` and `dog.0.jpg`; everything else as in ImageNet.

    The words before the first dot are the classes, sorted.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("red", "green", "blue"),
        resize: Sequence[int] | None = None,
        files: Files | None = None,
    ) -> None:
        super().__init__(root, variables, resize, files)
        listing = Listing(self.root, self._files)
        self.passed_over = listing.passed_over
        self._members = listing.members("", suffixes())
        if not self._members:
            raise DataError(f"{self.root}: no image found{listing.more}")
        for name, path in self._members:
            if name.count(".") < 2:
                raise DataError(f"{path}: expected a name such as cat.0.jpg, which begins with the class")
        self.class_names = tuple(sorted({_class(name) for name, _ in self._members}))

    def items(self) -> Sequence[Item]:
        """Returns all images, sorted by name; the stratum is the class."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        kinds = [_class(name) for name, _ in self._members]
        return [
            Item(name, path, None, kind, numbers[kind])
            for (name, path), kind in zip(self._members, kinds, strict=True)
        ]


def _class(name: str) -> str:
    return name.partition(".")[0]
