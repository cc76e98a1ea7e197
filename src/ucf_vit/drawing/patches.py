"""Picture of adaptive patching: leaves, detail, the order of the tokens, and what the tokens hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from ucf_vit.core.per_axis import product_of
from ucf_vit.core.text import printable
from ucf_vit.drawing.patched_tile import PatchedTile, View, patched, views
from ucf_vit.drawing.style import GREY, MISSING, grey_window, new_figure, render_png
from ucf_vit.patching.tree.patcher import AdaptivePatcher

if TYPE_CHECKING:
    from ucf_vit.data.batch import Batch

Array = NDArray[Any]
_LINE = "#ffb000"
_ORDER = matplotlib.colormaps["viridis"].with_extremes(bad=MISSING)
_MOST_ROWS = 6
_MOST_ON_PATH = 1200
_LARGE, _SMALL = 4.4, 2.6
_DPI = 150


class Picture(NamedTuple):
    """A PNG file, a name that a file can have, and what it shows in words."""

    name: str
    png: bytes
    words: str


def draw_examples(tiles: Iterable[Batch], patcher: AdaptivePatcher) -> Iterator[Picture]:
    """The first sample of each batch, named as its data set. UserError if it does not fit the patcher."""
    for batch in tiles:
        title = f"{batch.dataset}: {Path(batch.files[0]).name}"
        tile = patched(batch.image[0], patcher)
        yield Picture(re.sub(r"[^\w.-]", "_", batch.dataset), draw_patches(tile, title), in_words(tile))


def draw_patches(tile: PatchedTile, title: str = "") -> bytes:
    """One PNG of a tile: with its leaves, its detail, its tokens in Z-order, and pasted back.

    Volumes are shown in three orthogonal slices, each where its axis has most detail; with a tree per channel
    as many of them as six rows hold.
    """
    seen = [views(detail) for detail in tile.detail]
    rows = [(tree, view) for tree, slices in enumerate(seen) for view in slices][:_MOST_ROWS]
    ratios = [float(np.clip(view.size[1] / view.size[0], 0.25, 2.0)) for _, view in rows]
    panel, lines = (_LARGE, 2) if len(rows) == 1 else (_SMALL, 1)
    columns = 4 // lines
    with new_figure(columns * panel + 0.3, lines * panel * sum(ratios) + 0.4 + 0.25 * lines) as figure:
        figure.set_layout_engine("compressed")
        text = printable("\n".join(filter(None, [title, "  ·  ".join(_facts(tile))])))
        figure.suptitle(text, fontsize=9, parse_math=False)
        grid = figure.subplots(lines * len(rows), columns, height_ratios=ratios * lines).reshape(-1, 4)
        for axes, text in zip(grid[0], _titles(tile), strict=True):
            axes.set_title(text)
        for axes, (tree, view) in zip(grid, rows, strict=True):
            _draw_row(axes, tile, tree, view, seen[tree], panel)
        return render_png(figure, _DPI)


def in_words(tile: PatchedTile) -> str:
    """Size of the tile, tokens, sides of leaves, and the PSNR of what the tokens hold.

    Where the leaves are nearly uniform, a second line says what to change.
    """
    leaves, _, _, psnr = _titles(tile)
    return "\n".join(filter(None, [", ".join([*_facts(tile), leaves, psnr]), tile.advice]))


def _draw_row(
    row: Sequence[Axes], tile: PatchedTile, tree: int, view: View, seen: Sequence[View], panel: float
) -> None:
    """The panels, of `panel` inches, of one view of a tree; all its views `seen` share their grey levels."""
    leaves, detail, order, back = row
    window = tile.window or grey_window([_chosen(tile, tile.image, tree, other, panel) for other in seen])
    _show(leaves, _scaled(_chosen(tile, tile.image, tree, view, panel), window), view, panel)
    _outline(leaves, tile, tree, view, panel)
    maps = {other: _averaged(other.cut(tile.detail[tree]), _step(other, panel)) for other in seen}
    steep = np.concatenate([one.ravel() for one in maps.values()])
    brightest = float(np.percentile(steep, 99.5)) or float(steep.max()) or 1.0
    _show(detail, maps[view] / brightest, view, panel, cmap="magma")
    last, step = max(tile.counts[tree] - 1, 1), _step(view, panel)
    numbers = view.cut(tile.order[tree])[step // 2 :: step, step // 2 :: step]
    _show(order, numbers / last, view, panel, cmap=_ORDER, interpolation="nearest")
    _path(order, tile, tree, view)
    _show(back, _scaled(_chosen(tile, tile.back, tree, view, panel), window), view, panel)
    channel = f"channel {tree + 1}" if tile.leaves.trees > 1 else ""
    leaves.set_ylabel(", ".join(filter(None, [channel, view.name])))


def _step(view: View, panel: float) -> int:
    """How many pixels a side are drawn as one: `panel` inches can show half of what is left."""
    return max(1, int(max(view.size) / (2 * panel * _DPI)))


def _averaged(plane: Array, step: int) -> Array:
    """Means over `step` x `step` pixels; drawing a large plane as it is would take many times its memory."""
    if step == 1:
        return plane
    height, width = (math.ceil(side / step) for side in plane.shape)
    whole = np.ascontiguousarray(plane, np.float32)
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)


def _chosen(tile: PatchedTile, image: Array, tree: int, view: View, panel: float) -> Array:
    """`[height, width]`, or `[height, width, 3]` of an image of three channels and one tree.

    Otherwise the tree's own channel, or the first where one tree serves them all.
    """
    step = _step(view, panel)
    if view.axis is None and len(image) == 3 and tile.leaves.trees == 1:
        return np.stack([_averaged(plane, step) for plane in image], axis=-1)
    return _averaged(view.cut(image[tree]), step)


def _scaled(image: Array, window: tuple[float, float]) -> Array:
    """To [0, 1]; of a colour image what is not there becomes blue-grey."""
    scaled = np.clip((image - window[0]) / (window[1] - window[0]), 0, 1)
    if scaled.ndim == 2:
        return scaled
    return np.where(np.isnan(scaled), matplotlib.colors.to_rgb(MISSING), scaled)


def _show(
    axes: Axes, image: Array, view: View, panel: float, cmap: Any = GREY, interpolation: str = ""
) -> None:
    """Values in [0, 1]; averaged where the image has more pixels than the panel."""
    shrunk = max(view.size) > panel * _DPI
    axes.imshow(
        image,
        extent=view.extent,
        cmap=cmap,
        vmin=0,
        vmax=1,
        interpolation=interpolation or ("hanning" if shrunk else "nearest"),
    )
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _outline(axes: Axes, tile: PatchedTile, tree: int, view: View, panel: float) -> None:
    """Two sides of every leaf and the border of the tile, so that no line is drawn twice."""
    start, sides = view.boxes(tile.leaves, tree)
    ends = [start + sides * np.array(along) for along in ((1, 0), (0, 1))]
    lines = np.concatenate([np.stack([start, end], axis=1) for end in ends])
    points = 72 * panel / view.size[0]
    widths = np.tile(np.clip(0.05 * points * np.minimum(*sides.T), 0.2, 0.7), 2)
    axes.add_collection(LineCollection(lines, colors=_LINE, linewidths=widths), autolim=False)
    width, height = view.size
    axes.plot([0, width, width, 0, 0], [0, 0, height, height, 0], color=_LINE, linewidth=0.7)


def _path(axes: Axes, tile: PatchedTile, tree: int, view: View) -> None:
    """The way through the centres of an image's leaves, where there are few."""
    start, sides = view.boxes(tile.leaves, tree)
    if view.axis is None and len(start) <= _MOST_ON_PATH:
        x, y = (start + sides / 2).T
        axes.plot(x, y, color="white", linewidth=0.6, alpha=0.9)


def _titles(tile: PatchedTile) -> list[str]:
    psnr = tile.psnr()
    exact = "exact" if math.isinf(psnr) else f"{psnr:.1f} dB"
    return [
        f"leaves of {tile.leaves.sizes_in_words()} pixels",
        f"detail: {tile.patcher.detail_name}",
        "Z-order: first dark, last bright",
        f"pasted back: {exact}",
    ]


def _facts(tile: PatchedTile) -> list[str]:
    """Size of the tile, how many tokens there are, and how many uniform ones there would be."""
    patcher, counts = tile.patcher, tile.counts
    forest, patch = patcher.forest, patcher.patch_size
    number = f"{counts[0]:,}" if len(set(counts)) == 1 else f"{min(counts):,} to {max(counts):,}"
    number = number if min(counts) == patcher.length else f"{number} of {patcher.length:,}"
    trees = f"{len(counts)} x " if len(counts) > 1 else ""
    parts = [product_of(forest.space), f"{trees}{number} tokens of {product_of(patch)}"]
    pairs = list(zip(forest.space, patch, strict=True))
    if not any(side % p for side, p in pairs):
        uniform = math.prod(side // p for side, p in pairs)
        parts.append(f"uniform patches of that size: {uniform:,}")
    if tile.covered < 1:
        parts.append(f"{1 - tile.covered:.0%} of the tile without a token")
    if tile.advice:
        parts.append("nearly uniform")
    return parts
