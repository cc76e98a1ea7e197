"""One image or volume from a file, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_files import save_nifti
from numpy.typing import NDArray
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.open_image import read_file

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16"])
def test_pictures(tmp_path: Path, mode: str) -> None:
    grey = mode in ("L", "I;16")
    image = Image.fromarray(COLOURS[..., 0].astype(np.uint16) * 200 if mode == "I;16" else COLOURS)
    image = image if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "a.PNG")
    read = read_file(tmp_path / "a.PNG")
    assert read.shape == (1 if grey else 3, 6, 8)
    assert read.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(read, COLOURS.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes(tmp_path: Path, suffix: str) -> None:
    save_nifti(tmp_path / f"a{suffix}", VOLUME)
    save_nifti(tmp_path / f"b{suffix}", np.stack([VOLUME, -VOLUME], axis=-1))
    save_nifti(tmp_path / f"c{suffix}", VOLUME[..., :1])
    save_nifti(tmp_path / f"d{suffix}", VOLUME[..., 0])
    np.testing.assert_array_equal(read_file(tmp_path / f"a{suffix}"), VOLUME[None])
    for flat in "cd":
        np.testing.assert_array_equal(read_file(tmp_path / f"{flat}{suffix}"), VOLUME[None, ..., 0])
    np.testing.assert_array_equal(read_file(tmp_path / f"b{suffix}"), np.stack([VOLUME, -VOLUME]))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (VOLUME[0], (1, 6, 7)),
        (COLOURS, (3, 6, 8)),
        (VOLUME, (1, 5, 6, 7)),
        (VOLUME[..., None], (1, 5, 6, 7)),
        (VOLUME > 9, (1, 5, 6, 7)),
    ],
)
def test_arrays(tmp_path: Path, stored: NDArray[Any], expected: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", stored)
    assert read_file(tmp_path / "a.npy").shape == expected


def test_unreadable_files_are_errors_with_their_causes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "a.nii").write_bytes(b"no volume")
    (tmp_path / "a.npy").write_bytes(b"no array")
    with (tmp_path / "archive.npy").open("wb") as stream:
        np.savez(stream, a=VOLUME)
    save_nifti(tmp_path / "line.nii", np.zeros(4, np.float32))
    np.save(tmp_path / "line.npy", np.zeros(4))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "nan.npy", np.full((4, 4), np.nan))
    causes = {
        "a.png": "identify",
        "a.nii": "header|file type",
        "a.npy": "not a .npy file",
        "archive.npy": r"by np\.save, not \.npz",
        "line.nii": r"found the shape \(4,\)",
        "line.npy": r"\(4,\) of float64",
        "text.npy": "real numbers",
        "nan.npy": "NaN",
        "none.png": "no such file",
        "a.mpg": ".nii.gz",
    }
    for name, cause in causes.items():
        with pytest.raises(DataError, match=cause) as error:
            read_file(tmp_path / name)
        assert name in str(error.value)
