"""Post-processing of the numbers of classes, as it was chosen for the network. Needs numpy only."""

from itertools import product

import numpy as np


def postprocess(labels: np.ndarray, operations: dict, voxel: float) -> np.ndarray:
    """Returns labels [*S] after the operations on each class; `voxel` is the volume of a voxel in mm^3.

    The largest component of a class, or those of at least min_volume, stay, and background that it then
    encloses is filled. Nothing but background (0) is filled, and what does not stay becomes background.
    """
    changed = labels.copy()
    for name, chosen in operations.items():
        number = int(name)
        mask = labels == number
        axes = range(mask.ndim)
        lines = [np.flatnonzero(mask.any(tuple(set(axes) - {axis}))) for axis in axes]
        if not len(lines[0]):
            continue
        box = tuple(slice(line[0], line[-1] + 1) for line in lines)
        kept = mask = mask[box]
        if chosen["largest_component"] or chosen["min_volume"] > 0:
            kept = _large(mask, chosen, voxel)
        if chosen["fill_holes"]:
            kept = _filled(kept)
        changed[box][mask & ~kept] = 0
        changed[box][kept & (labels[box] == 0)] = number
    return changed


def _large(mask: np.ndarray, chosen: dict, voxel: float) -> np.ndarray:
    """Returns the components that stay; of several that are largest the one with the first voxel."""
    components = label(mask, corners=True)
    sizes = np.bincount(components)
    stays = sizes * voxel >= chosen["min_volume"]
    if chosen["largest_component"]:
        stays &= np.arange(len(sizes)) == sizes.argmax()
    kept = mask.copy()
    kept[mask] = stays[components]
    return kept


def _filled(mask: np.ndarray) -> np.ndarray:
    """Returns a mask with its holes: voxels from which no path along faces leads out."""
    outside = np.pad(~mask, 1, constant_values=True)
    outside[outside] = label(outside, corners=False) == 0
    return ~outside[(slice(1, -1),) * mask.ndim]


def label(mask: np.ndarray, corners: bool) -> np.ndarray:
    """Returns, for each voxel of a mask, a number of its component; numbers grow with the first voxels.

    Voxels of a component touch at faces, or also at edges and corners. Runs along the last axis that touch
    are joined: each round gives those with the larger number the smaller one, and follows the chains of these
    numbers to their ends.
    """
    starts = mask.copy()
    starts[..., 1:] &= ~mask[..., :-1]
    runs = np.cumsum(starts).reshape(mask.shape) - 1
    first = np.arange(starts.sum())
    nothing = (0,) * mask.ndim
    for step in product((-1, 0, 1), repeat=mask.ndim):
        if step <= nothing or not (corners or sum(map(abs, step)) == 1):
            continue  # the opposite direction finds the same neighbours
        here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, mask.shape))
        there = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(step, mask.shape))
        touch = mask[here] & mask[there]
        one, other = runs[here][touch], runs[there][touch]
        while True:
            one, other = first[one], first[other]
            apart = one != other
            one, other = one[apart], other[apart]
            if not len(one):
                break
            np.minimum.at(first, np.maximum(one, other), np.minimum(one, other))
            while ((ends := first[first]) != first).any():
                first = ends
    return first[runs[mask]]
