"""Picture of a volume and its label: the middle slice along each axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ucf_vit.synthetic.volume import CLASS_NAMES

COLOURS = ("#8c8c8c", "#4477aa", "#ddcc77", "#cc3311")


def draw_volume(image: NDArray[np.int16], label: NDArray[np.uint8], path: Path) -> None:
    """Writes the three orthogonal middle slices of image and label, both `[X, Y, Z]`, as a PNG file."""
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    low, high = np.percentile(image, (0.5, 99.8))
    for column, panels in enumerate(figure.subplots(2, 3).T):
        planes = [np.take(volume, volume.shape[column] // 2, axis=column).T for volume in (image, label)]
        panels[0].imshow(planes[0], cmap="gray", vmin=low, vmax=high, origin="lower")
        panels[1].imshow(planes[1], cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=3.5, origin="lower")
        panels[0].set_title(f"middle slice across {'XYZ'[column]}")
        for panel in panels:
            panel.set_axis_off()
    handles = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, CLASS_NAMES, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=80)
