"""Canny edges as the detail of an image."""

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
from ucf_vit.patching.detail.noise import choose_blur
from ucf_vit.patching.detail.per_sample import PerSampleDetail, check_kernel_sides, draw_choice, draw_uniform

Plane = NDArray[Any]
"""`[H, W]`."""
_RAMP = 8 * 255
"""Sobel's dx of a ramp that rises by the whole 8-bit range per pixel."""
_HIGH_TO_NOISE = 7
"""Required ratio of `canny_high` to the noise in the gradient."""
_EIGHT_BITS = RobustScale(torch.zeros(1), torch.full((1,), 255.0))


class Canny(PerSampleDetail):
    """Edges (1, elsewhere 0; uint8) of 2D images after Gaussian smoothing (Canny 1986, as in OpenCV).

    uint8 images are used as they are, others are converted to 8 bits of their robust range (`RobustScale`).
    If one map serves all channels, each pixel has the gradient of the channel in which it is steepest. Of two
    equally steep neighbours OpenCV keeps the first; therefore the image is passed to it flipped so that it
    begins at the ends where more edges start, and a mirrored image gives the mirrored edges. Computed on the
    CPU.

    Args:
        dims: number of axes; has to be 2.
        smoothing: sides of the kernel, one of which is drawn per sample; None chooses the side by the noise,
            which may be at most a seventh of `canny_high`, see `choose_blur`.
        canny_low, canny_high: thresholds on |dx| + |dy| of Sobel's 3 x 3 kernels (four times the height of a
            sharp step, in 8-bit units). One entry is a fixed threshold; two are the limits between which a
            value is drawn per sample.

    Raises UserError for volumes, kernels without a centre, and thresholds out of order.
    """

    def __init__(
        self,
        dims: int = 2,
        smoothing: Sequence[int] | None = None,
        canny_low: Sequence[float] = (50,),
        canny_high: Sequence[float] = (150,),
    ) -> None:
        _refuse_volumes(dims)
        self.smoothing = check_kernel_sides(smoothing)
        self.low, self.high = _limits("canny_low", canny_low), _limits("canny_high", canny_high)
        if self.low[-1] > self.high[0]:
            raise UserError(
                f"canny_low {list(canny_low)} must not reach above canny_high {list(canny_high)}: "
                "edges start above the high threshold and go on above the low one"
            )

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Returns the edges `[T, H, W]` of one sample `[C, H, W]`."""
        _refuse_volumes(image.ndim - 1)
        image, device = image.cpu(), image.device
        scale = _EIGHT_BITS if image.dtype == torch.uint8 else RobustScale.of(image)
        side = None if self.smoothing is None else draw_choice(self.smoothing, rng)
        low, high = draw_uniform(self.low, rng), draw_uniform(self.high, rng)
        if side is None:
            side, _ = choose_blur(image, scale, limit=high / (_HIGH_TO_NOISE * _RAMP))
        edges = [_edges(dx, dy, low, high) for dx, dy in _gradients(image, scale, side, separate)]
        return torch.from_numpy(np.stack(edges)).bitwise_and_(1).to(device)


def _edges(dx: Plane, dy: Plane, low: float, high: float) -> Plane:
    """Returns the edges (255, elsewhere 0), starting from the ends with more edges; overwrites dx and dy."""
    strong = cv2.compare(np.abs(dx) + np.abs(dy), high, cv2.CMP_GT)
    lines = (cv2.reduce(strong, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().tolist() for along in (1, 0))
    mirrored = [axis for axis, edges in enumerate(lines) if edges < edges[::-1]]
    if not mirrored:
        return cv2.Canny(dx, dy, low, high)
    flip_code = mirrored[0] if len(mirrored) == 1 else -1
    if len(mirrored) == 1:
        np.negative(dx, out=dx)  # or dy: the signs only determine along which diagonal an edge runs
    edges = cv2.Canny(cv2.flip(dx, flip_code, dx), cv2.flip(dy, flip_code, dy), low, high)
    return cv2.flip(edges, flip_code, edges)


def _gradients(image: Tensor, scale: RobustScale, side: int, separate: bool) -> NDArray[np.int16]:
    """Returns Sobel's dx and dy `[T, 2, H, W]` of an image `[C, H, W]` after a blur of `side` pixels.

    The image is processed in bands of rows, so that intermediate results stay in the cache.
    """
    channels, height, width = image.shape
    whole = np.empty((channels if separate else 1, 2, height, width), np.int16)
    halo = side // 2 + 1
    rows = max(slabs.SLAB_PIXELS // (channels * width), 4 * halo)
    for first in range(0, height, rows):
        above = min(first, halo)
        band = image[:, first - above : first + rows + halo]
        gradients = (_gradient(plane, side) for plane in _eight_bits(band, scale))
        for tree, gradient in enumerate(gradients if separate else [_steepest(gradients)]):
            for axis, plane in enumerate(gradient):
                whole[tree, axis, first : first + rows] = plane[above : above + rows]
    return whole


def _eight_bits(image: Tensor, scale: RobustScale) -> Iterator[Plane]:
    """Yields the planes of an image `[C, H, W]` in 8 bits of the robust range, clamped."""
    if image.dtype == torch.uint8:
        yield from image.numpy()
        return
    capped = torch.minimum(image.float(), scale.high.view(-1, 1, 1)).numpy()
    for plane, low, factor in zip(capped, scale.low.tolist(), scale.factor.tolist(), strict=True):
        scale_8_bits = 255 * factor
        yield cv2.addWeighted(plane, scale_8_bits, plane, 0.0, -low * scale_8_bits, dtype=cv2.CV_8U)


def _gradient(plane: Plane, side: int) -> tuple[Plane, Plane]:
    """Returns Sobel's dx and dy (int16) of a uint8 plane smoothed with a kernel of `side` pixels."""
    smooth = cv2.GaussianBlur(plane, (side, side), 0) if side > 1 else plane
    dx, dy = cv2.spatialGradient(smooth, ksize=3, borderType=cv2.BORDER_REPLICATE)
    return dx, dy


def _steepest(gradients: Iterator[tuple[Plane, Plane]]) -> tuple[Plane, Plane]:
    """Returns the gradient with the largest |dx| + |dy| of each pixel; overwrites the first one.

    `cv2.Canny` computes the same for several channels, but takes four times as long.
    """
    dx, dy = next(gradients)
    slope = np.abs(dx) + np.abs(dy)
    for other_dx, other_dy in gradients:
        other_slope = np.abs(other_dx) + np.abs(other_dy)
        is_steeper = (other_slope > slope).view(np.uint8)
        cv2.copyTo(other_dx, is_steeper, dx)
        cv2.copyTo(other_dy, is_steeper, dy)
        np.maximum(slope, other_slope, out=slope)
    return dx, dy


def _limits(key: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) not in (1, 2) or not 0 <= values[0] <= values[-1]:
        raise UserError(f"{key} {list(values)}: expected one threshold >= 0, or two in rising order")
    return tuple(values)


def _refuse_volumes(dims: int) -> None:
    if dims != 2:
        raise UserError("detail: canny finds edges in images only; for volumes choose gradient or variance")
