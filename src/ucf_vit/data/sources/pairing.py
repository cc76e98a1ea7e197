"""Images and labels in two folders, paired by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.listing import Listing, stem
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import MissingError, join

ORPHANS = "labels without an image"


def paired(
    listing: Listing,
    images: str,
    labels: str,
    suffixes: Sequence[str],
    id_of: Callable[[str], str] = lambda name: name,
) -> list[Item]:
    """Returns one item per file in the folder `images`, sorted by id, with the file of the same id in
    `labels`.

    `id_of` maps a name without suffix to its id. The folder `labels` may be missing; a label without an image
    is passed over. Raises DataError where there is no image, or two files have one id.
    """
    image_paths = _by_id(listing, images, suffixes, id_of)
    if not image_paths:
        folder = join(listing.root, *filter(None, [images]))
        raise DataError(f"{folder}: no {' or '.join(suffixes)} file found{listing.more}")
    label_paths: Mapping[str, str] = {}
    with suppress(MissingError):
        label_paths = _by_id(listing, labels, suffixes, id_of)
    for key in sorted(label_paths.keys() - image_paths.keys()):
        listing.passed_over.add(ORPHANS, label_paths[key].rpartition("/")[2])
    return [Item(key, image_paths[key], label_paths.get(key)) for key in sorted(image_paths)]


def _by_id(
    listing: Listing, folder: str, suffixes: Sequence[str], id_of: Callable[[str], str]
) -> dict[str, str]:
    paths: dict[str, str] = {}
    for name, path in listing.members(folder, suffixes):
        key = id_of(stem(name, suffixes))
        if key in paths:
            raise DataError(f"{path} and {paths[key]} are both item {key!r}; keep or rename one of them")
        paths[key] = path
    return paths
