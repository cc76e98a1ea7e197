"""Small copies of a few cases, to look at: the worst, some about the median, and the best."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

Array = NDArray[Any]
SHOWN = 3
"""Number of worst cases, and of best ones."""
_CANDIDATES = 24
"""Number of random cases from which those about the median are taken."""
LIMIT = 2_000_000
"""Number of pixels or voxels up to which a copy is whole; larger images are cropped, then thinned out."""
_MARGIN = 0.1


@dataclass(frozen=True)
class View:
    """A small copy of a case: `image` `[*S]` uint8 or, of a picture in colour, `[H, W, 3]`; None: not known.

    `label` and `predicted` `[*S]` are class numbers, None for pictures. `spacing` is that of the copy, and
    `origin` the place of its first voxel in the original, both in mm. `remark` says what was left out. The
    axes of a volume that is `oriented` point to the right, to the front and up.
    """

    image: NDArray[np.uint8] | None
    label: Array | None
    predicted: Array | None
    spacing: tuple[float, ...]
    origin: tuple[float, ...] = ()
    remark: str = ""
    oriented: bool = False


@dataclass(frozen=True)
class Candidate:
    """A case that may be shown, with its score; more is better."""

    case: str
    score: float
    view: View


@dataclass
class Gallery:
    """The worst and best cases so far, and a random sample of all; holds at most a few copies."""

    worst: list[Candidate] = field(default_factory=list)
    best: list[Candidate] = field(default_factory=list)
    sample: list[Candidate] = field(default_factory=list)
    seen: int = 0

    def offer(self, case: str, score: float, view: Callable[[], View]) -> None:
        """Keeps a case if it is among the worst or best so far, or drawn; `view` is only called then."""
        self.seen += 1
        place = random.Random(self.seen).randrange(self.seen)
        worse = len(self.worst) < SHOWN or score < self.worst[-1].score
        better = len(self.best) < SHOWN or score > self.best[-1].score
        if not (worse or better or place < _CANDIDATES):
            return
        one = Candidate(case, score, view())
        if worse:
            self.worst = _first(sorted([*self.worst, one], key=lambda c: c.score))
        if better:
            self.best = _first(sorted([*self.best, one], key=lambda c: -c.score))
        if len(self.sample) < _CANDIDATES:
            self.sample.append(one)
        elif place < _CANDIDATES:
            self.sample[place] = one

    @classmethod
    def merged(cls, galleries: Sequence[Gallery]) -> Gallery:
        """Returns the gallery of the cases of all processes."""
        worst = sorted((one for some in galleries for one in some.worst), key=lambda c: c.score)
        best = sorted((one for some in galleries for one in some.best), key=lambda c: -c.score)
        sample = [one for some in galleries for one in some.sample]
        return cls(_first(worst), _first(best), sample, sum(some.seen for some in galleries))

    @property
    def views(self) -> dict[str, View]:
        """The copies of all cases that are kept, by case."""
        return {one.case: one.view for one in (*self.sample, *self.best, *self.worst)}

    def chosen(self, median: float) -> list[tuple[str, Candidate]]:
        """Returns cases with their titles: the worst, one about the `median`, and the best, each once."""
        about = sorted(self.sample, key=lambda one: abs(one.score - median))[:1]
        chosen: dict[str, tuple[str, Candidate]] = {}
        titled = [("worst", self.worst), ("median", about), ("best", self.best)]
        for title, cases in titled:
            for one in cases:
                chosen.setdefault(one.case, (title, one))
        return sorted(chosen.values(), key=lambda pair: pair[1].score)


def view_of(
    image: Array | None,
    label: Array,
    predicted: Array,
    spacing: Sequence[float],
    affine: NDArray[np.float64] | None = None,
) -> View:
    """Returns a small copy of a segmented image `[*S]`: cropped to its classes and thinned out to `LIMIT`.

    A volume whose position in space is known by its `affine` is turned: its axes point to the right, to the
    front and up.
    """
    remarks = []
    oriented = affine is not None and label.ndim == 3
    if affine is not None and oriented:
        turn = io_orientation(affine)
        image = None if image is None else apply_orientation(image, turn)
        label, predicted = apply_orientation(label, turn), apply_orientation(predicted, turn)
        spacing = [spacing[axis] for axis in np.argsort(turn[:, 0])]
    box = tuple(slice(0, side) for side in label.shape)
    if label.size > LIMIT:
        box = _box((label > 0) | (predicted > 0))
        remarks.append("cropped to its classes")
    step = 1
    while np.prod([len(range(part.start, part.stop, step)) for part in box]) > LIMIT:
        step += 1
    if step > 1:
        remarks.append(f"one of {step} voxels along each axis")
    parts = tuple(slice(part.start, part.stop, step) for part in box)
    return View(
        None if image is None else to_grey(image[parts]),
        _numbers(label[parts]),
        _numbers(predicted[parts]),
        tuple(step * size for size in spacing),
        tuple(part.start * size for part, size in zip(box, spacing, strict=True)),
        ", ".join(remarks),
        oriented,
    )


def view_of_picture(image: Array) -> View:
    """Returns a small copy of a classified image `[C, *S]`: RGB in colour, the middle slice of a volume."""
    if image.ndim == 4:
        image = image[..., image.shape[-1] // 2]
    step = max(1, -(-max(image.shape[1:]) // 256))
    image = image[:, ::step, ::step]
    in_colour = len(image) == 3
    shown = np.stack([to_grey(one) for one in image], axis=-1) if in_colour else to_grey(image[0])
    return View(shown, None, None, (1.0, 1.0))


def to_grey(image: Array) -> NDArray[np.uint8]:
    """Returns an image as 0 to 255, from the 1st to the 99th percentile of its finite values."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    if low == high and finite.size:
        low, high = finite.min(), finite.max()
    scaled = (np.nan_to_num(image, nan=low) - low) / max(float(high - low), 1e-12)
    return np.asarray(255 * scaled.clip(0, 1)).round().astype(np.uint8)


def _numbers(label: Array) -> Array:
    """Returns class numbers as a small type, ignored ones as background."""
    label = np.maximum(label, 0)
    return np.ascontiguousarray(label, np.uint8 if label.size == 0 or label.max() < 256 else np.int16)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Returns the box around a mask with a margin; the whole image if the mask is empty."""
    parts = []
    for axis, side in enumerate(mask.shape):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(there):
            return tuple(slice(0, length) for length in mask.shape)
        margin = int(_MARGIN * (there[-1] - there[0])) + 2
        parts.append(slice(max(0, int(there[0]) - margin), min(side, int(there[-1]) + 1 + margin)))
    return tuple(parts)


def _first(cases: list[Candidate]) -> list[Candidate]:
    return cases[:SHOWN]
