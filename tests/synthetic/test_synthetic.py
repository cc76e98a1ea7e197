"""The synthetic concrete: what is in it, that the seed fixes it, and the data set written from it."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from ucf_vit.core.errors import UserError
from ucf_vit.synthetic import make_volume, parse_size, write_dataset
from ucf_vit.synthetic.cracks import cut_cracks
from ucf_vit.synthetic.grains import LARGEST_RADIUS, SMALLEST_RADIUS, pack_grains, sieve_radii
from ucf_vit.synthetic.picture import draw_volume
from ucf_vit.synthetic.scanner import AIR, CUPPING, MORTAR, scan

MORTAR_CLASS, AGGREGATE, VOID, CRACK = range(4)


@pytest.fixture(scope="module")
def volumes():
    return [make_volume((64, 64, 64), seed) for seed in range(3)]


def test_the_same_seed_gives_the_same_volume_and_another_seed_another(volumes):
    image, label = make_volume((64, 64, 64), 0)
    np.testing.assert_array_equal(image, volumes[0][0])
    np.testing.assert_array_equal(label, volumes[0][1])
    assert (volumes[1][1] != label).mean() > 0.1


@pytest.mark.parametrize("size", [(16, 16, 16), (17, 40, 23), (64, 16, 31)])
def test_any_size_from_16_voxels_on(size):
    image, label = make_volume(size, seed=4)
    assert image.shape == label.shape == size
    assert (image.dtype, label.dtype) == (np.int16, np.uint8)
    assert set(np.unique(label)) <= {0, 1, 2, 3}


def test_class_fractions_are_realistic(volumes):
    bounds = {MORTAR_CLASS: (0.45, 0.7), AGGREGATE: (0.25, 0.45), VOID: (0.015, 0.06), CRACK: (0.005, 0.09)}
    for _, label in volumes:
        for number, (low, high) in bounds.items():
            assert low < (label == number).mean() < high


def test_intensities_of_the_classes_overlap(volumes):
    """Aggregates are darker and brighter than mortar, and cracks are as dark as voids."""
    for image, label in volumes:
        mortar, aggregate, void, crack = (image[label == number] for number in range(4))
        middle = np.percentile(mortar, (10, 90))
        assert 0.3 < ((aggregate > middle[0]) & (aggregate < middle[1])).mean() < 0.95
        assert np.percentile(crack, 25) < np.percentile(void, 75) < np.median(mortar)


def test_cracks_are_thin_connected_sheets(volumes):
    for _, label in volumes:
        crack = label == CRACK
        air, _ = ndimage.label(label >= VOID, np.ones((3, 3, 3)))
        assert np.bincount(air[crack]).max() > 0.6 * crack.sum()
        assert ndimage.distance_transform_edt(crack).max() < 6
        extent = np.ptp(np.argwhere(crack), axis=0)
        assert extent.max() > 30


def test_cracks_go_around_aggregates():
    cut, inside = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        owner = pack_grains(rng, (56, 56, 56), fraction=0.4, crushed=0.5)
        core = ndimage.binary_erosion(owner > 0, iterations=2)
        cut.append(core[cut_cracks(rng, owner)].mean())
        inside.append(core.mean())
    assert np.mean(cut) < 0.6 * np.mean(inside)


def test_aggregates_fill_their_fraction_with_many_sizes():
    owner = pack_grains(np.random.default_rng(0), (80, 80, 80), fraction=0.36, crushed=0.5)
    voxels = np.bincount(owner.ravel())[1:]
    assert (owner > 0).mean() == pytest.approx(0.36, abs=0.02)
    assert voxels.min() > 0 and len(voxels) > 100
    assert voxels.max() > 50 * np.median(voxels)


def test_sieves_follow_fullers_curve():
    radii = sieve_radii((200, 200, 200))
    assert SMALLEST_RADIUS < radii[-1] < radii[0] < LARGEST_RADIUS
    np.testing.assert_allclose(np.diff(np.sqrt(radii)), np.diff(np.sqrt(radii))[0])


def test_the_scan_of_a_plain_block_cups_and_has_rings_and_noise():
    size, height = 96, 24
    image = scan(np.random.default_rng(1), np.ones((size, size, height), np.float32)).astype(float)
    x, y = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(x, y)
    scale = MORTAR - AIR
    centre, border = image[radius < 12].mean(), image[radius > 60].mean()
    assert 0.5 * CUPPING[0] * scale < border - centre < 1.2 * CUPPING[1] * scale

    residual = image - ndimage.gaussian_filter(image, (6, 6, 0))
    along_slices = residual.mean(axis=2)
    assert along_slices.std() > 2 * residual.std() / np.sqrt(height)
    assert 0.03 < residual.std() / scale < 0.15


def test_write_dataset_is_read_back_with_affine_and_types(tmp_path):
    seen = []
    paths = write_dataset(tmp_path, 2, (32, 24, 20), seed=5, on_volume=seen.append)
    assert seen == paths == [tmp_path / "imagesTr" / f"concrete_000{index}.nii.gz" for index in range(2)]
    for path in paths:
        image, label = nib.load(path), nib.load(tmp_path / "labelsTr" / path.name)
        assert image.shape == label.shape == (32, 24, 20)
        assert (image.get_data_dtype(), label.get_data_dtype()) == (np.int16, np.uint8)
        np.testing.assert_allclose(image.affine, np.diag([0.05, 0.05, 0.05, 1]), rtol=1e-6)
        np.testing.assert_allclose(label.affine, image.affine)
        assert image.header.get_xyzt_units()[0] == "mm"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imagesTr", "labelsTr"]


def test_a_larger_set_extends_a_smaller_one_and_keeps_its_files(tmp_path):
    write_dataset(tmp_path / "grown", 1, (20, 20, 20), seed=2)
    kept = (tmp_path / "grown/imagesTr/concrete_0000.nii.gz").stat()
    grown = write_dataset(tmp_path / "grown", 3, (20, 20, 20), seed=2, processes=2)
    whole = write_dataset(tmp_path / "whole", 3, (20, 20, 20), seed=2)
    assert grown[0].stat().st_mtime_ns == kept.st_mtime_ns
    contents = [voxels(path) for path in grown]
    for ours, path in zip(contents, whole, strict=True):
        np.testing.assert_array_equal(ours, voxels(path))
    assert (contents[0] != contents[1]).any()


def test_an_unfinished_volume_is_written_again_and_overwrite_replaces_others(tmp_path):
    (path,) = write_dataset(tmp_path, 1, (16, 16, 16), seed=1)
    label = tmp_path / "labelsTr" / path.name
    label.unlink()
    write_dataset(tmp_path, 1, (16, 16, 16), seed=1)
    assert label.exists()
    with pytest.raises(UserError, match=r"concrete_0000.nii.gz is not the requested volume"):
        write_dataset(tmp_path, 1, (16, 16, 16), seed=2)
    with pytest.raises(UserError, match=r"not the requested volume"):
        write_dataset(tmp_path, 1, (16, 16, 18), seed=1)
    before = voxels(path)
    write_dataset(tmp_path, 1, (16, 16, 16), seed=2, overwrite=True)
    assert (voxels(path) != before).any()


def test_a_foreign_file_is_not_taken_for_a_volume(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr/concrete_0000.nii.gz").write_bytes(b"something else")
    with pytest.raises(UserError, match="not the requested volume"):
        write_dataset(tmp_path, 1, (16, 16, 16))


def test_vary_gives_different_shapes_within_its_bounds(tmp_path):
    paths = write_dataset(tmp_path, 3, (30, 30, 40), vary=0.2, compressed=False)
    shapes = [nib.load(path).shape for path in paths]
    assert len(set(shapes)) == 3 and paths[0].suffix == ".nii"
    assert all(24 <= x <= 36 and 24 <= y <= 36 and 32 <= z <= 48 for x, y, z in shapes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 0}, "number 0"),
        ({"processes": 0}, "processes 0"),
        ({"vary": 1.0}, "vary 1.0"),
        ({"size": (16, 15, 64)}, "16x15x64.*at least 16"),
    ],
)
def test_errors_of_options_name_what_is_expected(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        write_dataset(**{"root": tmp_path, "number": 1, "size": (16, 16, 16)} | change)


def test_a_root_that_cannot_hold_folders_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write a data set to .*file"):
        write_dataset(tmp_path / "file", 1, (16, 16, 16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 1, "size": (99_999_999,) * 3}, "an axis of a NIfTI file has at most 32767 voxels"),
        (
            {"number": 1, "size": (30_000,) * 3},
            "size 30000x30000x30000, 1 at a time: takes 675.0 TB",
        ),
        ({"number": 10**12, "size": (16,) * 3}, "1000000000000 volumes of 16x16x16 take 4.1 PB or more"),
        ({"number": 10**6, "size": (16,) * 3, "processes": 10**6}, "smaller volumes, or fewer at a time"),
    ],
)
def test_too_large_data_sets_are_refused_before_a_volume_is_made(tmp_path, options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        write_dataset(tmp_path, **options)
    assert not list(tmp_path.glob("*/*"))


def test_two_formats_do_not_mix(tmp_path):
    write_dataset(tmp_path, 1, (16, 16, 16))
    with pytest.raises(UserError, match=r"either \.nii or \.nii\.gz"):
        write_dataset(tmp_path, 1, (16, 16, 16), compressed=False)


def test_parse_size():
    assert parse_size("64") == (64, 64, 64)
    assert parse_size("64x32x96") == (64, 32, 96)
    for text in ("", "64x64", "a", "-3", "64 64 64"):
        with pytest.raises(UserError, match="one number for a cube"):
            parse_size(text)


def test_the_picture_is_written(tmp_path, volumes):
    draw_volume(*volumes[0], tmp_path / "volume.png")
    assert (tmp_path / "volume.png").read_bytes().startswith(b"\x89PNG")


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)
