"""Affines of grids for tests."""

import numpy as np


def turned(x: float, y: float, z: float) -> np.ndarray:
    """A rotation by three angles, in radians."""
    found = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        one = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        found = one @ found
    return found


def affine(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), angles=(0.0, 0.0, 0.0)) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3] = turned(*angles) * spacing
    found[:3, 3] = origin
    return found
