"""Section `adaptive`: adaptive patches."""

from __future__ import annotations

from typing import Literal

from ucf_vit.config.sections.fields import Count, Level, Number, Section, Sides, Whole, key, option
from ucf_vit.options import InputOptions


class Adaptive(Section):
    """Adaptive patches: trees, tokens and the detail that splits them."""

    adaptive_patching: bool = key(False, "Small patches in regions with detail, large ones elsewhere.")
    fixed_length: Whole | None = option(
        InputOptions,
        "fixed_length",
        "Adaptive patching: tokens per tree. A tile of one root has 3n + 1 in 2D (quadtree), 7n + 1 in 3D "
        "(octree); one of R roots, since its sides are no powers of two, R + 3n or R + 7n.",
        "tokens",
        derived="the most up to 196 in 2D, 512 in 3D",
    )
    min_leaf: Sides = key(
        2,
        "Adaptive patching: sides of the smallest leaf, which divide the tile. One number is its shortest "
        "side, and leaves have the shape of patch_size: 2 with patch_size [16, 16, 8] is [4, 4, 2].",
        "pixels",
    )
    split_rule: Literal["length", "threshold"] = key(
        "length",
        "Adaptive patching: length: split the leaf with most detail until there are fixed_length; threshold: "
        "split leaves with more detail than split_threshold, and fill up to fixed_length with masked tokens.",
    )
    split_threshold: Number = key(
        0.0,
        "Split rule threshold: detail of a leaf, summed over its pixels.",
        "detail; canny: edge pixels",
        ge=0,
    )
    split_overflow: Literal["coarsen", "drop"] = key(
        "coarsen",
        "Split rule threshold, if it makes too many leaves: coarsen: split only those with most detail; "
        "drop: leave out random leaves, and with them parts of the tile.",
    )
    separate_channels: bool = key(
        False,
        "Adaptive patching: one tree per channel, each of fixed_length tokens, rather than one for all.",
    )
    use_adaptive_pos_emb: bool = key(
        True, "Adaptive patching: embed centre and size of each patch; else its index in the sequence."
    )
    detail: str = key(
        "auto",
        "Adaptive patching: measure of detail: canny (edges), gradient (its magnitude), variance (over a "
        "neighbourhood), or path/to/file.py:function; auto: canny for 2D tiles, gradient for volumes.",
        min_length=1,
    )
    detail_smoothing: list[Count] | None = key(
        None,
        "Adaptive patching: sides of the blur before detail is measured, odd numbers, 1: none. Of several, "
        "one is drawn for each training sample.",
        "pixels",
        min_length=1,
        derived="for each tile the shortest of 3, 5, 7, 9 (variance: also 1) that its noise needs",
    )
    canny_low: list[Level] = key(
        [50.0],
        "Detail canny: gradient from which pixels next to an edge belong to it; of two, a number between "
        "them is drawn for each training sample.",
        "levels of 0 to 255",
        min_length=1,
        max_length=2,
    )
    canny_high: list[Level] = key(
        [150.0],
        "Detail canny: gradient from which a pixel is an edge; of two, a number between them is drawn for "
        "each training sample.",
        "levels of 0 to 255",
        min_length=1,
        max_length=2,
    )
    token_placement: Literal["boxes", "square"] = key(
        "boxes",
        "UNETR with adaptive patching: how tokens are placed on the decoder's grid: boxes: in the cells that "
        "the leaf covers; square: in the cell with the token's index, wherever the leaf is.",
    )
