"""Detail of an image: its edges as Canny finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.patching.detail import slabs
from ucf_vit.patching.detail.intensity import RobustScale
from ucf_vit.patching.detail.noise import quietest
from ucf_vit.patching.detail.per_sample import PerSample, between, kernel_sides, one_of

Plane = NDArray[Any]
"""`[H, W]`."""
_RAMP = 8 * 255
"""Sobel's dx where 8 bits rise by their whole range per pixel."""
_SPARE = 7
"""How many times the noise in the gradient `canny_high` is to be."""
_EIGHT_BITS = RobustScale(torch.zeros(1), torch.full((1,), 255.0))


class Canny(PerSample):
    """Edges (1, elsewhere 0; uint8) of 2D images after Gaussian smoothing (Canny, 1986, as in OpenCV).

    A uint8 image is taken as it is, another one in 8 bits of its robust range (`RobustScale`). Where one map
    serves all channels, each pixel has the gradient of the channel in which it is steepest. Of two neighbours
    that are equally steep, OpenCV takes the first; it is given the image from the ends where more edges
    start, so that a mirrored image has the mirrored edges.

    `smoothing`: sides of the kernel, one of which is drawn per sample; None: by the noise, which is to be no
    more than a seventh of `canny_high`, see `quietest`. `canny_low`, `canny_high`: thresholds on |dx| + |dy|
    of Sobel's 3 x 3 kernels (four times the height of a sharp step, in 8-bit units); one entry is fixed,
    between two a value is drawn per sample. Computed on the CPU.
    """

    def __init__(
        self,
        dims: int = 2,
        smoothing: Sequence[int] | None = None,
        canny_low: Sequence[float] = (50,),
        canny_high: Sequence[float] = (150,),
    ) -> None:
        _refuse_volumes(dims)
        self.smoothing = kernel_sides(smoothing)
        self.low, self.high = _limits("canny_low", canny_low), _limits("canny_high", canny_high)
        if self.low[-1] > self.high[0]:
            raise UserError(
                f"canny_low {list(canny_low)} must not reach above canny_high {list(canny_high)}: "
                "edges start above the high threshold and go on above the low one"
            )

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The edges `[T, H, W]` of one sample `[C, H, W]`."""
        _refuse_volumes(image.ndim - 1)
        image, device = image.cpu(), image.device
        scale = _EIGHT_BITS if image.dtype == torch.uint8 else RobustScale.of(image)
        side = None if self.smoothing is None else one_of(self.smoothing, rng)
        low, high = between(self.low, rng), between(self.high, rng)
        if side is None:
            side, _ = quietest(image, scale, limit=high / (_SPARE * _RAMP))
        edges = [_edges(dx, dy, low, high) for dx, dy in _gradients(image, scale, side, separate)]
        return torch.from_numpy(np.stack(edges)).bitwise_and_(1).to(device)


def _edges(dx: Plane, dy: Plane, low: float, high: float) -> Plane:
    """Canny's edges (255, elsewhere 0), from the ends where more of them start; overwrites dx and dy."""
    strong = cv2.compare(np.abs(dx) + np.abs(dy), high, cv2.CMP_GT)
    lines = (cv2.reduce(strong, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().tolist() for along in (1, 0))
    mirrored = [axis for axis, edges in enumerate(lines) if edges < edges[::-1]]
    if not mirrored:
        return cv2.Canny(dx, dy, low, high)
    how = mirrored[0] if len(mirrored) == 1 else -1
    if len(mirrored) == 1:
        np.negative(dx, out=dx)  # or dy: their signs say along which diagonal an edge runs, no more
    edges = cv2.Canny(cv2.flip(dx, how, dx), cv2.flip(dy, how, dy), low, high)
    return cv2.flip(edges, how, edges)


def _gradients(image: Tensor, scale: RobustScale, side: int, separate: bool) -> NDArray[np.int16]:
    """Sobel's dx and dy `[T, 2, H, W]` of an image `[C, H, W]` smoothed with a kernel of `side` pixels.

    Band by band of rows, so that all that is made on the way stays in the cache.
    """
    channels, height, width = image.shape
    whole = np.empty((channels if separate else 1, 2, height, width), np.int16)
    reach = side // 2 + 1
    rows = max(slabs.CACHED // (channels * width), 4 * reach)
    for first in range(0, height, rows):
        above = min(first, reach)
        band = image[:, first - above : first + rows + reach]
        gradients = (_gradient(plane, side) for plane in _eight_bits(band, scale))
        for tree, gradient in enumerate(gradients if separate else [_steepest(gradients)]):
            for axis, plane in enumerate(gradient):
                whole[tree, axis, first : first + rows] = plane[above : above + rows]
    return whole


def _eight_bits(image: Tensor, scale: RobustScale) -> Iterator[Plane]:
    """The planes of an image `[C, H, W]` in 8 bits of the robust range, clamped."""
    if image.dtype == torch.uint8:
        yield from image.numpy()
        return
    capped = torch.minimum(image.float(), scale.high.view(-1, 1, 1)).numpy()
    for plane, low, factor in zip(capped, scale.low.tolist(), scale.factor.tolist(), strict=True):
        steps = 255 * factor
        yield cv2.addWeighted(plane, steps, plane, 0.0, -low * steps, dtype=cv2.CV_8U)


def _gradient(plane: Plane, side: int) -> tuple[Plane, Plane]:
    """Sobel's dx and dy (int16) of a uint8 plane smoothed with a kernel of `side` pixels."""
    smooth = cv2.GaussianBlur(plane, (side, side), 0) if side > 1 else plane
    dx, dy = cv2.spatialGradient(smooth, ksize=3, borderType=cv2.BORDER_REPLICATE)
    return dx, dy


def _steepest(gradients: Iterator[tuple[Plane, Plane]]) -> tuple[Plane, Plane]:
    """Pixel by pixel, the gradient of largest |dx| + |dy|; overwrites the first.

    This is what `cv2.Canny` does with several channels, in a quarter of the time.
    """
    dx, dy = next(gradients)
    height = np.abs(dx) + np.abs(dy)
    for other_dx, other_dy in gradients:
        other_height = np.abs(other_dx) + np.abs(other_dy)
        steeper = (other_height > height).view(np.uint8)
        cv2.copyTo(other_dx, steeper, dx)
        cv2.copyTo(other_dy, steeper, dy)
        np.maximum(height, other_height, out=height)
    return dx, dy


def _limits(key: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) not in (1, 2) or not 0 <= values[0] <= values[-1]:
        raise UserError(f"{key} {list(values)}: expected one threshold >= 0, or two in rising order")
    return tuple(values)


def _refuse_volumes(dims: int) -> None:
    if dims != 2:
        raise UserError("detail: canny finds edges in images only; for volumes choose gradient or variance")
