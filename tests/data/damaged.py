"""Small data sets of every registered source, and ways to damage their files."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from nifti_files import save_nifti
from PIL import Image

VOLUME = np.random.default_rng(0).integers(0, 1000, (6, 7, 8)).astype(np.int16)
COLOURS = np.random.default_rng(1).integers(0, 256, (12, 10, 3)).astype(np.uint8)
EXTREMES = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff")
NUMBERS = (b"0", b"-1", b"9999999999999", b"1e308", b"null")


def nifti(suffix: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        save_nifti(root / f"imagesTr/a{suffix}", VOLUME, slope=0.5)
        save_nifti(root / f"labelsTr/a{suffix}", (VOLUME > 500).astype(np.uint8))

    return make


def pictures(name: str, **options: object) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / "cat").mkdir(parents=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(COLOURS).save(root / "cat" / name, exif=exif, **options)

    return make


def named_pictures(root: Path) -> None:
    root.mkdir(parents=True)
    for name in ("cat.0.jpg", "cat.1.webp", "dog.0.bmp", "dog.1.gif", "dog.2.tif"):
        Image.fromarray(COLOURS).save(root / name)


def arrays(root: Path) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        np.save(root / folder / "a.npy", VOLUME)


def tiff(**options: object) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        import tifffile

        root.mkdir()
        tifffile.imwrite(root / "a.tif", VOLUME.astype(np.uint8), **options)

    return make


def dicom(root: Path) -> None:
    from dicom_files import save_series

    save_series(root, VOLUME[:, :, :3])


def volumes(root: Path) -> None:
    nifti(".nii.gz")(root.parent / "paired")
    shutil.copytree(root.parent / "paired/imagesTr", root)


def npz(save: Callable[..., None]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        root.mkdir()
        save(root / "a.npz", heat=VOLUME.astype(np.float32), wind=VOLUME)

    return make


def xarray(write: str, **options: object) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        import xarray

        root.mkdir()
        packed = {"heat": {"_FillValue": -9, "dtype": "int16", "scale_factor": 0.5}}
        axes = ("time", "y", "x")
        data = xarray.Dataset({"heat": (axes, VOLUME / 2), "wind": (axes, VOLUME)})
        name = "a.zarr" if write == "to_zarr" else "a.nc"
        getattr(data, write)(root / name, encoding=packed, **options)

    return make


def prepared(root: Path) -> None:
    from ucf_vit.data.prepare.conversion import Origin, StorageOptions
    from ucf_vit.data.prepare.convert import prepare

    nifti(".nii")(root.parent / "raw")
    origin = Origin.of("basic_ct", str(root.parent / "raw"), ("ct",), {})
    prepare(origin, root, StorageOptions(chunk=(4, 4, 4)))


def volume_and_label(root: Path, image: str, label: str) -> None:
    """An image and its label as NIfTI."""
    save_nifti(root / image, VOLUME)
    save_nifti(root / label, (VOLUME > 500).astype(np.uint8))


def nnunet_raw(root: Path) -> None:
    volume_and_label(root, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    about = {"channel_names": {"0": "ct"}, "labels": {"background": 0, "bone": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(about))


def msd(root: Path) -> None:
    image, label = "imagesTr/a.nii.gz", "labelsTr/a.nii.gz"
    volume_and_label(root, image, label)
    about = {"modality": {"0": "ct"}, "training": [{"image": image, "label": label}], "test": []}
    (root / "dataset.json").write_text(json.dumps(about | {"labels": {"0": "background", "1": "bone"}}))


def bids(root: Path) -> None:
    volume_and_label(
        root, "sub-01/anat/sub-01_T1w.nii.gz", "derivatives/manual/sub-01/anat/sub-01_mask.nii.gz"
    )
    about = {"Name": "a", "BIDSVersion": "1.8.0"}
    (root / "dataset_description.json").write_text(json.dumps(about))
    about |= {"DatasetType": "derivative", "GeneratedBy": [{"Name": "manual"}]}
    (root / "derivatives/manual/dataset_description.json").write_text(json.dumps(about))


def image_masks(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(COLOURS).save(root / "images/a.png")
    Image.fromarray((COLOURS[..., 0] > 100).astype(np.uint8)).save(root / "masks/a.png")


def table(root: Path) -> None:
    volume_and_label(root, "a.nii.gz", "b.nii.gz")
    (root / "cases.csv").write_text("image,label,group\na.nii.gz,b.nii.gz,anna\n")


KINDS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "nii": ("basic_ct", "", nifti(".nii")),
    "nii.gz": ("basic_ct", "", nifti(".nii.gz")),
    "jpeg": ("imagenet", "", pictures("a.jpg")),
    "png": ("imagenet", "", pictures("a.png")),
    "pictures in one folder": ("catsdogs", "", named_pictures),
    "volumes without a layout": ("files", "", volumes),
    "npy": ("npy_pairs", "", arrays),
    "tiff": ("tiff", "tifffile", tiff()),
    "tiff deflated": ("tiff", "tifffile", tiff(compression="zlib", photometric="minisblack")),
    "dicom": ("dicom", "pydicom", dicom),
    "npz": ("fields", "", npz(np.savez)),
    "npz compressed": ("fields", "", npz(np.savez_compressed)),
    "netcdf": ("fields", "netCDF4", xarray("to_netcdf", engine="netcdf4")),
    "zarr 3": ("fields", "zarr", xarray("to_zarr", consolidated=False, zarr_format=3)),
    "zarr 2": ("fields", "zarr", xarray("to_zarr", consolidated=False, zarr_format=2)),
    "prepared": ("prepared", "zarr", prepared),
    "nnunet_raw": ("nnunet_raw", "", nnunet_raw),
    "msd": ("msd", "", msd),
    "kits": ("kits", "", lambda root: volume_and_label(root, "c1/imaging.nii.gz", "c1/segmentation.nii.gz")),
    "bids": ("bids", "bids", bids),
    "pairs": ("pairs", "", image_masks),
    "csv": ("csv", "", table),
}
"""By name: source, package that is needed, and what writes the data set to a directory."""


def damaged(whole: Path, work: Path, rng: np.random.Generator, count: int) -> Iterator[tuple[str, Path]]:
    """`count` copies of a data set, each with one file damaged, and how."""
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    for number in range(count):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(whole, work)
        path = work / files[number % len(files)].relative_to(whole)
        how, data = _damage(path.read_bytes(), rng)
        path.write_bytes(data)
        yield f"{path.relative_to(work)}: {how}", work


def _damage(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    kind = rng.choice(["cut", "bits", "extremes", "numbers"])
    if kind == "cut":
        at = int(rng.integers(0, max(len(data), 1)))
        return f"cut at {at}", data[:at]
    found = [*re.finditer(rb"\d+", data[:4096])]
    if kind == "numbers" and found:
        one, other = found[rng.integers(len(found))], NUMBERS[rng.integers(len(NUMBERS))]
        changed = data[: one.start()] + other + data[one.end() :]
        return f"{one.group()!r} at {one.start()} becomes {other!r}", changed
    changed = bytearray(data)
    if kind == "bits" or not data:
        places = rng.integers(0, max(len(data), 1), 3).tolist()
        for place in places[: len(data)]:
            changed[place] ^= 1 << int(rng.integers(8))
        return f"bits at {places}", bytes(changed)
    beginning = min(len(data), 1024) if rng.integers(2) else len(data)
    first, length = int(rng.integers(0, beginning)), int(rng.choice([1, 2, 4, 8]))
    byte = EXTREMES[rng.integers(len(EXTREMES))]
    changed[first : first + length] = byte * len(changed[first : first + length])
    return f"{length} bytes {byte!r} at {first}", bytes(changed)
