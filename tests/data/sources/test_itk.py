"""NRRD and MetaImage files, as SimpleITK writes them, in the layouts that hold them."""

import nibabel
import numpy as np
import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.sources.readers import itk as itk_reader
from ucf_vit.data.sources.readers.itk import ItkReader

itk = pytest.importorskip("SimpleITK", reason="needs SimpleITK: pip install 'ucf-vit[itk]'")

VOLUME = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
ANGLE = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
WHOLE = (slice(None),) * 3


def image(array=VOLUME, vector=False):
    """An oblique ITK image of `[X, Y, Z]` or, with `vector`, `[X, Y, Z, C]`."""
    made = itk.GetImageFromArray(
        np.ascontiguousarray(array.transpose(2, 1, 0, *range(3, array.ndim))), vector
    )
    made.SetSpacing((0.7, 0.9, 2.5))
    made.SetOrigin((-10.5, 20.25, 3))
    made.SetDirection(ANGLE.ravel().tolist())
    return made


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd", ".MHA"])
@pytest.mark.parametrize("packed", [False, True])
def test_values_and_grid_are_those_of_itk(tmp_path, scratch, suffix, packed):
    path, nifti = str(tmp_path / f"a{suffix.lower()}"), str(tmp_path / "a.nii")
    itk.WriteImage(image(), path, packed)
    itk.WriteImage(image(), nifti)
    reader = ItkReader(scratch)
    header = reader.header(path)
    assert (header.channels, header.shape) == (1, VOLUME.shape)
    values = reader.image(path, [0], WHOLE)
    assert values.dtype == np.int16 and np.array_equal(values[0], VOLUME)
    assert np.array_equal(reader.label(path, (slice(1, 3),) * 3), VOLUME[1:3, 1:3, 1:3])
    np.testing.assert_allclose(reader.geometry(path).affine, nibabel.load(nifti).affine, atol=1e-5)
    np.testing.assert_allclose(reader.geometry(path).spacing, (0.7, 0.9, 2.5))


def test_vectors_are_channels_and_images_are_one_voxel_thick(tmp_path, scratch):
    channels = np.stack([VOLUME, -VOLUME, 2 * VOLUME], axis=-1)
    reader, path = ItkReader(scratch), str(tmp_path / "a.nrrd")
    itk.WriteImage(image(channels, vector=True), path)
    assert reader.header(path)[:2] == (3, VOLUME.shape)
    assert np.array_equal(reader.image(path, [2, 0], WHOLE), [2 * VOLUME, VOLUME])
    assert np.array_equal(reader.image(path, [1, 2], WHOLE), [-VOLUME, 2 * VOLUME])
    flat = str(tmp_path / "b.nrrd")
    itk.WriteImage(itk.GetImageFromArray(VOLUME[..., 0].T.copy()), flat)
    assert reader.header(flat)[:2] == (1, (6, 5, 1))
    assert np.array_equal(reader.image(flat, [0], WHOLE)[0, ..., 0], VOLUME[..., 0])


def test_other_files_are_refused_with_their_name(tmp_path, scratch):
    reader = ItkReader(scratch)
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\ntype: short\n")
    with pytest.raises(DataError, match=r"a\.nrrd: no readable header"):
        reader.header(str(tmp_path / "a.nrrd"))
    itk.WriteImage(itk.Image([4, 4, 4], itk.sitkComplexFloat32), str(tmp_path / "b.nrrd"))
    with pytest.raises(DataError, match=r"b\.nrrd: .*expected real numbers, found complex"):
        reader.header(str(tmp_path / "b.nrrd"))
    itk.WriteImage(image(), str(tmp_path / "c.mha"))
    content = (tmp_path / "c.mha").read_bytes()
    (tmp_path / "c.mha").write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"c\.mha: can't be decoded"):
        reader.image(str(tmp_path / "c.mha"), [0], WHOLE)
    with pytest.raises(DataError, match=r"d\.mhd: its voxels are in another file; copy both"):
        reader.header("s3://bucket/d.mhd")


def test_new_voxels_behind_an_old_header_are_decoded_anew(tmp_path, scratch):
    path = tmp_path / "a.mhd"
    itk.WriteImage(image(), str(path))
    assert ItkReader(scratch).label(str(path), WHOLE)[0, 0, 1] == 1
    (tmp_path / "a.raw").write_bytes((VOLUME.transpose(2, 1, 0) + 5).astype(np.int16).tobytes() + b"")
    assert ItkReader(scratch).label(str(path), WHOLE)[0, 0, 1] == 6


def test_a_volume_is_decoded_once(tmp_path, scratch, monkeypatch):
    path, decoded = str(tmp_path / "a.nrrd"), []
    itk.WriteImage(image(), path)
    plain = itk_reader.itk.decode
    monkeypatch.setattr(itk_reader.itk, "decode", lambda file: decoded.append(file) or plain(file))
    for _ in range(3):
        ItkReader(scratch).image(path, [0], WHOLE)
    assert len(decoded) == 1


def test_a_table_of_nrrd_files_is_resampled_like_any_other(tmp_path, scratch):
    label = (VOLUME > 50).astype(np.uint8)
    for name, array in (("image", VOLUME), ("label", label)):
        itk.WriteImage(image(array), str(tmp_path / f"{name}.nrrd"))
    (tmp_path / "table.csv").write_text("image,label\nimage.nrrd,label.nrrd\n")
    options = {"tile_size": (4, 4, 4), "scratch": scratch, "grid": GridOptions("RAS", (1, 1, 1))}
    data = build_dataset("t", "csv", tmp_path / "table.csv", **options)
    assert data.tilings[0].shape == (4, 5, 10)
    assert set(np.unique(data.source.read(data.items[0]).label)) == {0, 1}
    moved = image(label)
    moved.SetOrigin((0, 0, 0))
    itk.WriteImage(moved, str(tmp_path / "label.nrrd"))
    with pytest.raises(DataError, match=r"label\.nrrd: its header places it elsewhere .*origin"):
        build_dataset("t", "csv", tmp_path / "table.csv", **options)
