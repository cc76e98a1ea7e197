"""Segments a NIfTI volume: python run.py IMAGE.nii.gz [CHANNEL.nii.gz ...] -o LABELS.nii.gz

Needs onnxruntime, numpy and nibabel; preprocessing.json and postprocessing.json describe model.onnx.
"""

import argparse
import json
from math import prod
from pathlib import Path

import nibabel
import numpy as np
from images import normalise, tiles
from onnxruntime import InferenceSession
from postprocess import postprocess
from resampling import Resampling

PARTS = ("pre", "post")


def read(files: list[str], channels: int) -> tuple:
    """Returns the image [C, *S] as stored, and the first file; ValueError for other channels."""
    images = [nibabel.load(file) for file in files]
    arrays = [np.asanyarray(one.dataobj) for one in images]
    parts = [part for one in arrays for part in (np.moveaxis(one, -1, 0) if one.ndim == 4 else [one])]
    if len(parts) != channels or len({part.shape for part in parts}) > 1:
        raise ValueError(f"channels of shapes {[part.shape for part in parts]}, expected {channels} of one")
    return np.stack(parts), images[0]


class Grid:
    """The grid that the network sees: axes of the stored one turned, a box cut out, and resampled."""

    def __init__(self, image: np.ndarray, affine: np.ndarray, options: dict) -> None:
        self.axes, self.flips = [0, 1, 2], [False] * 3
        if options["orientation"] == "RAS":
            turned = nibabel.orientations.io_orientation(affine)
            self.axes = np.argsort(turned[:, 0]).tolist()
            self.flips = [bool(turned[axis, 1] < 0) for axis in self.axes]
        used = np.ones(image.shape, bool)
        if options["crop"] == "nonzero":
            used = (image != 0) & (image == image)
        used = turn(np.asarray(used.any(0) | (not used.any())), self.axes, self.flips)
        lines = [np.flatnonzero(used.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        self.shape, self.box = used.shape, tuple(slice(line[0], line[-1] + 1) for line in lines)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)[self.axes]
        sides = [int(part.stop - part.start) for part in self.box]
        self.resampling = Resampling(sides, spacing, options["spacing"] or spacing)

    def forward(self, image: np.ndarray) -> np.ndarray:
        """Returns an image [C, *S] on this grid."""
        return self.resampling.forward(turn(image, self.axes, self.flips)[(slice(None), *self.box)])

    def labels(self, logits: np.ndarray, dtype: str) -> np.ndarray:
        """Returns the largest of the logits [K, *T] on the stored grid; 0 where it was cut away."""
        labels = np.zeros(self.shape, dtype)
        labels[self.box] = self.resampling.back(logits).argmax(0)
        return turn(turn(labels, [0, 1, 2], self.flips), np.argsort(self.axes).tolist(), [False] * 3)


def turn(array: np.ndarray, axes: list[int], flips: list[bool]) -> np.ndarray:
    """Returns an array [..., *S] with its last three axes in another order and direction."""
    ahead = array.ndim - 3
    array = array.transpose(*range(ahead), *(ahead + axis for axis in axes))
    return array[(..., *(slice(None, None, -1 if flip else None) for flip in flips))]


def predict(image: np.ndarray, session: InferenceSession, before: dict) -> np.ndarray:
    """Returns logits [K, *S] of an image [C, *S], means of overlapping windows with Gaussian weights."""
    name, classes = session.get_inputs()[0].name, session.get_outputs()[0].shape[1]
    window, weight = before["window"], np.ones((), np.float32)
    if len(window) < image.ndim - 1:  # slices along the last axis
        slices = [predict(image[..., k], session, before) for k in range(image.shape[-1])]
        return np.stack(slices, axis=-1)
    for side in window:
        line = np.exp(-(((np.arange(side) - (side - 1) / 2) / (side / 8)) ** 2) / 2)
        weight = weight[..., None] * line.astype(np.float32)
    weight = np.maximum(weight, max(weight.min(), 1e-3))
    padded = np.maximum(image.shape[1:], window)
    total, counts = (np.zeros((number, *padded), np.float32) for number in (classes, 1))
    for place, values in tiles(image, window, before["stride"]):
        total[(slice(None), *place)] += session.run(None, {name: values})[0][0] * weight
        counts[(slice(None), *place)] += weight
    return (total / counts)[(slice(None), *map(slice, image.shape[1:]))]


def main() -> None:
    """Reads the command line, and writes the labels on the grid of the first image."""
    parser = argparse.ArgumentParser(description="Segments a NIfTI volume.")
    parser.add_argument("images", nargs="+", help="a file per channel, or one 4D file")
    parser.add_argument("-o", "--output", required=True, help="file to write the class numbers to")
    parser.add_argument("--no-postprocessing", action="store_true", help="leave the labels as predicted")
    options, folder = parser.parse_args(), Path(__file__).parent
    before, after = (json.loads((folder / f"{part}processing.json").read_text("utf-8")) for part in PARTS)
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    if Path(options.output).resolve() in [Path(one).resolve() for one in options.images]:
        raise SystemExit(f"{options.output}: would replace an image; name another file")
    try:
        stored, first = read(options.images, before["channels"])
        grid = Grid(stored, first.affine, before)
        image = normalise(grid.forward(stored), before["normalization"])
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise SystemExit(f"{' '.join(options.images)}: {error}") from None
    labels = grid.labels(predict(image, session, before), after["dtype"])
    if not options.no_postprocessing:
        voxel = prod(np.linalg.norm(first.affine[:3, :3], axis=0).tolist())
        labels = postprocess(labels, after["operations"], voxel)
    nibabel.save(type(first)(labels, first.affine, first.header, dtype=labels.dtype), options.output)
    print(options.output, *(name for n, name in enumerate(after["classes"]) if (labels == n).any()))


if __name__ == "__main__":
    main()
