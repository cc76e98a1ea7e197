"""Segments a NIfTI volume: python run.py IMAGE.nii.gz [CHANNEL.nii.gz ...] -o LABELS.nii.gz

Needs onnxruntime, numpy and nibabel; preprocessing.json and postprocessing.json describe model.onnx.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
from onnxruntime import InferenceSession


def read(files: list[str], channels: int) -> tuple:
    """Returns the image [C, *S] as stored, and the first file."""
    images = [nibabel.load(file) for file in files]
    arrays = [np.asanyarray(one.dataobj) for one in images]
    parts = [part for one in arrays for part in (np.moveaxis(one, -1, 0) if one.ndim == 4 else [one])]
    if len(parts) != channels or len({part.shape for part in parts}) > 1:
        raise SystemExit(f"channels of shapes {[part.shape for part in parts]}, expected {channels} of one")
    return np.stack(parts), images[0]


def grid_of(image: np.ndarray, affine: np.ndarray, options: dict) -> tuple:
    """Returns axes and directions of the used grid, the box kept of it, new sizes, steps, offsets, kinds."""
    axes, flips = [0, 1, 2], [False] * 3
    if options["orientation"] == "RAS":
        turned = nibabel.orientations.io_orientation(affine)
        axes = np.argsort(turned[:, 0]).tolist()
        flips = [bool(turned[axis, 1] < 0) for axis in axes]
    used = (image != 0) & (image == image) if options["crop"] == "nonzero" else np.ones(image.shape, bool)
    used = turn(np.asarray(used.any(0) | (not used.any())), axes, flips)
    lines = [np.flatnonzero(used.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = [(int(line[0]), int(line[-1]) + 1) for line in lines]
    spacing, sides = np.linalg.norm(affine[:3, :3], axis=0)[axes], [stop - start for start, stop in box]
    steps = [wanted / now for wanted, now in zip(options["spacing"] or spacing, spacing)]
    steps = [1.0 if abs(step - 1) <= 1e-4 else float(step) for step in steps]
    sizes = [s if step == 1 else max(1, int(np.floor(s / step + 0.5))) for s, step in zip(sides, steps)]
    offsets = [(s - 1) / 2 - (n - 1) / 2 * step for s, n, step in zip(sides, sizes, steps)]
    kinds = ["cubic"] * 3  # slices that are far apart, before or after, are not interpolated
    for one in (spacing * steps, spacing):
        if (one > 3.0 * one.min()).sum() == 1:
            kinds = ["nearest" if far else "cubic" for far in one > 3.0 * one.min()]
    return axes, flips, box, sizes, steps, offsets, kinds


def turn(array: np.ndarray, axes: list[int], flips: list[bool]) -> np.ndarray:
    """Returns an array [..., *S] with its last three axes in another order and direction."""
    ahead = array.ndim - 3
    array = array.transpose(*range(ahead), *(ahead + axis for axis in axes))
    return array[(..., *(slice(None, None, -1 if flip else None) for flip in flips))]


def weights(kind: str, size: int, count: int, step: float, offset: float, pad: int = 12) -> np.ndarray:
    """Returns the matrix [count, size] that interpolates at offset + step * j."""
    places = np.clip(offset + step * np.arange(count), 0, size - 1)
    if kind == "nearest":
        matrix = np.eye(size)[np.floor(places + 0.5).astype(int).clip(0, size - 1)]
    elif kind == "linear":
        return np.clip(1 - np.abs(places[:, None] - np.arange(size)), 0, None).astype(np.float32)
    else:  # coefficients of the interpolating cubic B-spline solve a tridiagonal system
        apart, n = np.abs(places[:, None] - np.arange(-pad, size + pad)), size + 2 * pad
        basis = np.where(apart < 1, 2 / 3 - apart**2 + apart**3 / 2, np.clip(2 - apart, 0, None) ** 3 / 6)
        system = (4 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)) / 6
        system[0, 1] = system[-1, -2] = 1 / 3
        matrix = basis @ np.linalg.solve(system, np.pad(np.eye(size), ((pad, pad), (0, 0)), mode="edge"))
    if step > 1:  # a Gaussian against aliasing
        sigma, reach = (step - 1) / 2, int(2 * (step - 1) + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        padded = np.pad(np.eye(size), ((reach, reach), (0, 0)), mode="edge")
        matrix = matrix @ sum(k * padded[i : i + size] for i, k in enumerate(kernel / kernel.sum()))
    return matrix.astype(np.float32)


def along(matrices: list, values: np.ndarray) -> np.ndarray:
    """Applies a matrix (None: the axis stays) to each of three axes, those that shrink most first."""
    ratios = [1.0 if matrix is None else len(matrix) / matrix.shape[1] for matrix in matrices]
    for axis in sorted(range(3), key=ratios.__getitem__):
        if matrices[axis] is not None:
            values = np.moveaxis(np.moveaxis(values, axis - 3, -1) @ matrices[axis].T, -1, axis - 3)
    return values


def normalise(values: np.ndarray, how: dict, number: int) -> np.ndarray:
    """Returns a channel as (value - shift) / divisor, clipped where the training did so."""
    if how["nan"] is not None and values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(how["nan"]), values)
    if not np.isfinite(values).all():
        raise SystemExit(f"channel {number} holds NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    if how["kind"] == "percentiles":
        inner, outer = np.percentile(values, (how["low"], how["high"]))
        low, high = (inner, outer) if inner < outer else (low, high)
    shift, divisor = low, (high - low) or np.inf
    if how["kind"] == "zscore" and low < high:
        shift, divisor = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    elif how["kind"] == "fixed":
        shift, divisor = (how[name][number % len(how[name])] for name in ("shift", "divisor"))
    values = np.subtract(values, np.result_type(values.dtype, np.float32).type(shift)).astype(np.float32)
    values /= np.float32(divisor)
    return np.clip(values, 0, 1) if how["clip"] else values


def predict(image: np.ndarray, session: InferenceSession, window: list[int], overlap: float) -> np.ndarray:
    """Returns logits [K, *S], means of overlapping windows with Gaussian weights."""
    shape, name = image.shape[1:], session.get_inputs()[0].name
    image = np.pad(image, [(0, 0), *((0, max(w - n, 0)) for n, w in zip(shape, window))])
    x, y, z = (np.exp(-(((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) / 2) for n in window)
    weight = (x[:, None, None] * y[:, None] * z).astype(np.float32)
    weight = np.maximum(weight, max(weight.min(), 1e-3))
    sizes = [(n, w, max(int(w * (1 - overlap)), 1)) for n, w in zip(image.shape[1:], window)]
    starts = [[min(k * step, n - w) for k in range(-(-(n - w) // step) + 1)] for n, w, step in sizes]
    classes = session.get_outputs()[0].shape[1]
    total, counts = (np.zeros((number, *image.shape[1:]), np.float32) for number in (classes, 1))
    for corner in product(*starts):
        region = (slice(None), *(slice(start, start + side) for start, side in zip(corner, window)))
        total[region] += session.run(None, {name: np.ascontiguousarray(image[region][None])})[0][0] * weight
        counts[region] += weight
    return (total / counts)[(slice(None), *map(slice, shape))]


def main() -> None:
    """Reads the command line, and writes the labels on the grid of the first image."""
    parser = argparse.ArgumentParser(description="Segments a NIfTI volume.")
    parser.add_argument("images", nargs="+", help="a file per channel, or one 4D file")
    parser.add_argument("-o", "--output", required=True, help="file to write the class numbers to")
    options, folder = parser.parse_args(), Path(__file__).parent
    before, after = (json.loads((folder / f"{name}processing.json").read_text()) for name in ("pre", "post"))
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    stored, first = read(options.images, before["channels"])
    axes, flips, box, sizes, steps, offsets, kinds = grid_of(stored, first.affine, before)
    part, sides = tuple(slice(*one) for one in box), [stop - start for start, stop in box]
    image, plan = turn(stored, axes, flips)[(slice(None), *part)], list(zip(sides, sizes, steps, offsets))
    if any(step != 1 for step in steps):
        there = [None if one[2] == 1 else weights(kind, *one) for kind, one in zip(kinds, plan)]
        image = along(there, image.astype(np.float32))
    image = np.stack([normalise(one, before["normalization"], n) for n, one in enumerate(image)])
    logits = predict(image, session, before["window"], before["overlap"])
    back = [None if s == 1 else weights("linear", n, side, 1 / s, -o / s) for side, n, s, o in plan]
    labels = np.zeros([stored.shape[1 + axis] for axis in axes], after["dtype"])
    labels[part] = np.stack([along(back, one) for one in logits]).argmax(0)
    labels = turn(turn(labels, [0, 1, 2], flips), np.argsort(axes).tolist(), [False] * 3)
    nibabel.save(type(first)(labels, first.affine, first.header, dtype=labels.dtype), options.output)
    print(options.output, *(name for n, name in enumerate(after["classes"]) if (labels == n).any()))


if __name__ == "__main__":
    main()
