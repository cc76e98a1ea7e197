"""Pictures of the adaptive patches of an image, or of the data of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.data.formats.open_image import read_file
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.loader.whole_items import examples
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.drawing.patched_tile import patched
from ucf_vit.drawing.patches import Picture, draw_examples, draw_patches, in_words
from ucf_vit.patching.tree.choose import (
    choose_length,
    choose_patch_size,
    choose_tile,
    smallest_leaf,
)
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.training.build import build_patcher
from ucf_vit.training.inputs.datasets import build_datasets


def picture_of_file(
    path: Path,
    *,
    length: int | None = None,
    patch_size: int | Sequence[int] | None = None,
    min_leaf: int | Sequence[int] = 2,
    detail: str = "auto",
    smoothing: int | None = None,
    separate_channels: bool = False,
) -> Picture:
    """Draws the adaptive patches of an image or volume, of its middle if its sides have no large roots.

    Values are the stored ones. Options that are None are chosen by the size; a `length` that the tile cannot
    have becomes the next smaller one. Raises UserError for a file that cannot be read or patched.
    """
    image = read_file(path)
    shape = image.shape[1:]
    leaf = smallest_leaf(min_leaf, per_axis(patch_size or 1, len(shape), "patch_size"))
    tile = choose_tile(shape, leaf, length)
    middle = (slice((side - part) // 2, (side + part) // 2) for side, part in zip(shape, tile, strict=True))
    patch_size = patch_size or choose_patch_size(tile, leaf)
    forest = Forest(tile, leaf)
    tokens = forest.reachable(length) if length else choose_length(forest, patch_size)
    patcher = AdaptivePatcher(
        tile_size=tile,
        patch_size=patch_size,
        fixed_length=tokens,
        min_leaf=leaf,
        detail=detail,
        detail_smoothing=None if smoothing is None else [smoothing],
        separate_channels=separate_channels,
    )
    title = path.name if tile == shape else f"{path.name}, the middle of {' x '.join(map(str, shape))}"
    eight_bits = path.suffix.lower() in suffixes() and image.dtype == np.uint8
    pixels = torch.from_numpy(image[(slice(None), *middle)].astype(np.float32))
    drawn = patched(pixels, patcher, window=(0.0, 255.0) if eight_bits else None)
    words = in_words(drawn)
    if length and length != tokens:
        words += (
            f"\n{tokens:,} tokens, not {length:,}: this tile can have {forest.num_roots:,} + "
            f"{forest.branches - 1}n, up to {forest.num_cells:,}"
        )
    return Picture(path.stem, draw_patches(drawn, title), words)


def pictures_of_run(run: Run) -> Iterator[Picture]:
    """Draws the patches of a training tile of each data set, without augmentation.

    Raises ConfigError if the run has no adaptive patches, DataError if a data set has no readable item.
    """
    patcher = build_patcher(run)
    if patcher is None:
        raise run.error("adaptive.adaptive_patching", "no trees grow in this run; set it to true", False)
    for dataset in build_datasets(run, Scratch()):
        if not dataset.items:
            raise DataError(f"{dataset.name}: no item in the range; widen dict_start_idx to dict_end_idx")
        pictures = list(draw_examples(examples([dataset], run.data.single_channel), patcher))
        if not pictures:
            first = dataset.items[0].image
            raise DataError(f"{dataset.name}: none of its items can be read, such as {first}")
        yield from pictures
