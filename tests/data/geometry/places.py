"""Grids in space, and NIfTI files with any header, for tests."""

import nibabel
import numpy as np

SHAPE = (8, 7, 6)


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


def write(path, sform=None, qform=None, **fields):
    """A volume with the forms of both kinds that are given, and header fields as they are."""
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), None)
    image.set_sform(sform, code=int(sform is not None))
    image.set_qform(qform, code=int(qform is not None))
    header = bytearray(image.header.binaryblock)
    raw = np.ndarray((), image.header.structarr.dtype, header)
    for name, value in {**fields, "vox_offset": 352, "magic": b"n+1"}.items():
        raw[name] = value
    path.write_bytes(bytes(header) + bytes(4) + np.ones(SHAPE, np.uint8).tobytes())
    return str(path)
