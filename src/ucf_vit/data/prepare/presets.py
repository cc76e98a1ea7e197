"""Recipes by the name of a data set, as others prepare it."""

from __future__ import annotations

from ucf_vit.data.prepare.recipe import Recipe

_KITS = Recipe(spacing=(1.6, 1.2, 1.2), clip=(-79.0, 304.0), mean_std=(101.0, 76.9), pad=(128, 128, 128))
PRESETS = {
    "msd": Recipe(standardise=True),
    "kits": _KITS,
}
"""Recipes of the sources of these names; that of KiTS is MLPerf's for its U-Net (github.com/mlcommons)."""
SMALL = {
    "kits": Recipe(spacing=(48.0, 40.0, 40.0), clip=_KITS.clip, mean_std=_KITS.mean_std, pad=(32, 32, 32))
}
"""Recipes of many small files, .npy pairs of 128 KiB and 32 KiB, as benchmarks of object storage use."""
