"""Whether trees adapt to an image at all."""

from __future__ import annotations

from torch import Tensor

from ucf_vit.core.per_axis import compact, product_of
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patcher import AdaptivePatcher

FEWEST = 64
"""Trees of fewer leaves are not judged: they can hardly have more than two sizes."""
NEARLY = 0.95
"""Share of the tile from which on the leaves are nearly uniform."""


def uniform_share(leaves: Leaves) -> Tensor:
    """Share of each tree's area or volume that lies in leaves of the sizes of an even tree, `[N]` float64.

    An even tree of as many leaves is split level by level: its leaves have one size, or two that follow each
    other.
    """
    forest = leaves.forest
    counts = leaves.counts[:, None]
    volumes = leaves.sides.double().prod(dim=-1)
    even = volumes.new_zeros(volumes.shape)
    for level in range(forest.depth + 1):
        here = forest.num_roots * forest.branches**level
        fewer = here // forest.branches if level else 0
        more = here * forest.branches
        even += volumes * (leaves.level == level) * (counts > fewer) * (counts < more)
    return even.sum(dim=1) / volumes.sum(dim=1).clamp_min(1)


def advice_if_uniform(leaves: Leaves, detail: Tensor, patcher: AdaptivePatcher) -> str:
    """Returns advice, in one line, if all trees of a tile are nearly uniform; otherwise an empty text.

    `leaves` `[T, L]` are those of one tile, `detail` `[T, *S]` is its map.
    """
    if int(leaves.counts.amin()) < FEWEST or float(uniform_share(leaves).amin()) < NEARLY:
        return ""
    state = f"the patches are nearly uniform (leaves of {leaves.sizes_in_words()} pixels)"
    if not detail.any():
        return (
            f"{state}: detail {patcher.detail_name} finds nothing in this tile; choose gradient or variance, "
            "a shorter detail_smoothing, for canny a lower canny_high and canny_low, or look at another tile"
        )
    forest = leaves.forest
    if leaves.levels[0] == 0:
        return (
            f"{state}: in a tile of {product_of(forest.space)} no leaf can be larger than "
            f"{compact(forest.root)} pixels; take sides that can be halved more often, such as multiples of "
            f"{compact([4 * side for side in forest.root])}"
        )
    if leaves.levels[-1] == forest.depth:
        return (
            f"{state}: there are nearly as many tokens as smallest leaves; lower fixed_length or min_leaf, "
            "or take uniform patches (adaptive_patching: false)"
        )
    return (
        f"{state}: detail {patcher.detail_name} is everywhere alike; choose another detail, a longer "
        "detail_smoothing, for canny a higher canny_high and canny_low, or a lower fixed_length; where all "
        "of the image is structure, uniform patches do as well"
    )
