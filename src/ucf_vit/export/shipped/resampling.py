"""Changes the spacing of a volume as in the training of the network, and back. Needs numpy only."""

import numpy as np


class Resampling:
    """Brings a volume of `sides` voxels to the spacing `wanted`; its middle stays where it is.

    Sides are `sizes` then. An axis whose spacing changes by less than 1e-4 of it stays as it is.
    """

    def __init__(self, sides: list[int], spacing: np.ndarray, wanted: list[float]) -> None:
        self.steps = [1.0 if abs(step - 1) <= 1e-4 else float(step) for step in wanted / spacing]
        self.sizes = [
            s if step == 1 else max(1, int(np.floor(s / step + 0.5))) for s, step in zip(sides, self.steps)
        ]
        sizes = list(zip(sides, self.sizes, self.steps))
        self.offsets = [(s - 1) / 2 - (n - 1) / 2 * step for s, n, step in sizes]
        kinds = ["cubic"] * 3  # slices that are far apart, before or after, are not interpolated
        for one in (spacing * self.steps, spacing):
            far = one > 3.0 * one.min()
            kinds = ["nearest" if true else "cubic" for true in far] if far.sum() == 1 else kinds
        plan = list(zip(sizes, self.offsets, kinds))
        self._there = [None if t == 1 else weights(kind, s, n, t, o) for (s, n, t), o, kind in plan]
        self._back = [None if t == 1 else weights("linear", n, s, 1 / t, -o / t) for (s, n, t), o, _ in plan]

    def forward(self, image: np.ndarray) -> np.ndarray:
        """Returns an image [C, *sides] as [C, *sizes]; as it is where no axis changes."""
        return (
            along(self._there, image.astype(np.float32)) if any(step != 1 for step in self.steps) else image
        )

    def back(self, logits: np.ndarray) -> np.ndarray:
        """Returns logits [K, *sizes] as [K, *sides], interpolated linearly."""
        return np.stack([along(self._back, one) for one in logits])


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
