"""Style of figures: fonts, lines, and colours that colour-blind people can tell apart."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Line colours: Okabe and Ito 2008, "Color Universal Design", without yellow, which is invisible on white."""
MISSING = "#6b7a99"
"""Blue-grey colour of missing values (NaN)."""
GREY = matplotlib.colormaps["gray"].with_extremes(bad=MISSING)
"""Colour map of intensities."""
_CLASSES = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_RC = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c8c8c",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=LINES),
    "xtick.color": "#595959",
    "ytick.color": "#595959",
    "legend.frameon": False,
    "text.parse_math": False,
}


_DARK = {
    "figure.facecolor": "#1d232c",
    "axes.facecolor": "#1d232c",
    "savefig.facecolor": "#1d232c",
    "text.color": "#e4e8ee",
    "axes.labelcolor": "#e4e8ee",
    "axes.titlecolor": "#e4e8ee",
    "axes.edgecolor": "#5d6878",
    "grid.color": "#313a47",
    "xtick.color": "#b4becc",
    "ytick.color": "#b4becc",
    "axes.prop_cycle": matplotlib.cycler(color=(*LINES[:-1], "#e4e8ee")),
}
"""Changes for pages with a dark background: the colours of the page."""


@contextmanager
def new_figure(width: float, height: float, dark: bool = False) -> Iterator[Figure]:
    """Context with a figure of `width` × `height` inches in this style, without pyplot's global state."""
    with matplotlib.rc_context(_RC | (_DARK if dark else {"figure.facecolor": "white"})):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08))
        FigureCanvasAgg(figure)
        yield figure


def render_png(figure: Figure, dpi: int = 150) -> bytes:
    """Returns the figure as a PNG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def figure_files(name: str, width: float, height: float, draw: Callable[[Figure], None]) -> dict[str, bytes]:
    """Returns the figure that `draw` makes as files by name: `NAME.png`, `NAME.svg` and `NAME_dark.png`.

    The last one is for dark pages. Equal figures give equal bytes.
    """
    files = {}
    for dark in (False, True):
        with new_figure(width, height, dark) as figure:
            draw(figure)
            files[f"{name}_dark.png" if dark else f"{name}.png"] = render_png(figure)
            if not dark:
                with matplotlib.rc_context({"svg.hashsalt": name}):
                    buffer = io.BytesIO()
                    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
                files[f"{name}.svg"] = buffer.getvalue()
    return files


def class_colour(number: int) -> tuple[float, float, float]:
    """Returns the fixed RGB colour in [0, 1] of a class: near-black for 0, white for ignored (negative) ones.

    Classes 1 to 7 have the colours of Okabe and Ito, 8 to 14 the same in a darker shade, and so on.
    """
    if number <= 0:
        return (0.1, 0.1, 0.1) if number == 0 else (1.0, 1.0, 1.0)
    turn, colour = divmod(number - 1, len(_CLASSES))
    shade = (1.0, 0.6, 0.35)[turn % 3]
    red, green, blue = (shade * int(_CLASSES[colour][i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def colour_classes(label: NDArray[np.generic]) -> NDArray[np.float64]:
    """Returns the colours `[H, W, 3]` of class numbers `[H, W]`."""
    numbers, inverse = np.unique(label, return_inverse=True)
    return np.array([class_colour(int(number)) for number in numbers])[inverse.reshape(label.shape)]


def grey_window(images: Sequence[NDArray[np.generic]]) -> tuple[float, float]:
    """Returns the values shown black and white: the 1st and 99th percentile of the finite values.

    If both are equal, since the background covers almost everything, it returns the minimum and maximum.
    """
    values = np.concatenate([image.ravel().astype(np.float64) for image in images])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (1, 99)) if len(values) else (0.0, 1.0)
    if low == high:
        low, high = values.min(), values.max()
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
