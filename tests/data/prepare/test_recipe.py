"""Changes of shape and values when data is prepared, splits, and the format of .npy pairs."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.formats.prepared.manifest import UNFINISHED
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.undo import label_to_original
from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.prepare.presets import PRESETS, SMALL
from ucf_vit.data.prepare.recipe import Recipe
from ucf_vit.data.prepare.verify import verify
from ucf_vit.data.sources import NpyPairs, Prepared

SAME = Recipe()
sides = st.integers(1, 12)
shapes = st.tuples(sides, sides, sides)


def grid(shape: tuple[int, ...]) -> Regrid:
    return SAME.regrid(shape, None, "x")


@settings(max_examples=40)
@given(shapes, shapes)
def test_any_shape_to_any_other(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    recipe = Recipe(shape=new)
    made = recipe.regrid(old, None, "x")
    image = recipe.image(np.full((2, *old), 7.0), made)
    assert image.shape == (2, *new) and np.allclose(image, 7, atol=1e-4)
    found = recipe.label(np.arange(np.prod(old)).reshape(old), made).astype(int)
    centres = [(np.arange(b) + 0.5) * a / b - 0.5 for a, b in zip(old, new, strict=True)]
    for axis, centre in enumerate(centres):
        taken = np.unravel_index(found, old)[axis]
        assert np.abs(np.moveaxis(taken, axis, -1) - centre).max() <= 0.5 + 1e-9


def test_prepared_and_back(tmp_path: Path) -> None:
    """The label of a resampled item, put back on the stored grid, is the stored one; so is the affine."""
    place = np.array([[0, -0.9, 0, 5], [1.1, 0, 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])
    ball = sum((axis - 20) ** 2 for axis in np.indices((40, 44, 42))) < 15**2
    for name, values in (("imaging", 100 * ball), ("segmentation", ball)):
        (tmp_path / "kits/case_0").mkdir(parents=True, exist_ok=True)
        nibabel.save(
            nibabel.Nifti1Image(values.astype(np.int16), place), tmp_path / f"kits/case_0/{name}.nii"
        )
    origin = Origin.of("kits", str(tmp_path / "kits"))
    for number, recipe in enumerate((Recipe(shape=(48, 40, 50)), Recipe(spacing=(1, 1, 2)), Recipe())):
        out = tmp_path / str(number)
        prepare(Origin(origin.kind, origin.given, recipe), out, StorageOptions())
        source = Prepared(out)
        (item,) = source.items()
        back = source.grid(item)
        assert source.read(item).label.shape == back.shape == source.shape(item)[1:]
        found = label_to_original(source.read(item).label, back)
        assert 2 * np.count_nonzero(found & ball) / (found.sum() + ball.sum()) > 0.97
        assert found.shape == ball.shape and np.array_equal(back.stored.affine, place.astype(np.float32))
    prepare(Origin(origin.kind, origin.given, Recipe(pad=(64, 64, 64))), tmp_path / "p", StorageOptions())
    padded = Prepared(tmp_path / "p")
    assert padded.grid(padded.items()[0]) is None
    turned = Origin(origin.kind, origin.given, Recipe(spacing=(1, 1, 1)), GridOptions(orientation="RAS"))
    with pytest.raises(UserError, match=r"recipe resamples it again; set data\.orientation"):
        prepare(turned, tmp_path / "t", StorageOptions())


def test_values_and_padding() -> None:
    image = np.array([[[[-500.0, 0.0, 101.0, 900.0]]]], np.float32)
    recipe = Recipe(clip=(-79, 304), mean_std=(101, 76.9), pad=(1, 2, 7))
    made = recipe.image(image, grid((1, 1, 4)))
    low, high = (-79 - 101) / 76.9, (304 - 101) / 76.9
    row = [low, low, -101 / 76.9, 0, high, low, low]
    assert made.dtype == np.float32 and np.allclose(made[0, 0, 0], row)
    assert np.allclose(made[0, 0, 1], low)
    label = recipe.label(np.array([[[1.0, 2.0, 0.0, 2.0]]]), grid((1, 1, 4)))
    assert label.dtype == np.uint8 and label[0].tolist() == [[0, 1, 2, 0, 2, 0, 0], [0] * 7]
    assert Recipe(binary=True).label(np.array([[0, 3], [1, 0]]), grid((2, 2))).tolist() == [[0, 1], [1, 0]]
    assert SAME.label(np.array([[0, 300]]), grid((1, 2))).tolist() == [[0, 300]]


def test_each_channel_is_standardised() -> None:
    image = np.random.default_rng(0).normal((5.0,), 3, (2, 4, 5, 6)) * np.array([1, 100]).reshape(2, 1, 1, 1)
    made = Recipe(standardise=True).image(image, grid((4, 5, 6)))
    assert np.allclose(made.mean((1, 2, 3)), 0, atol=1e-6) and np.allclose(made.std((1, 2, 3)), 1)


def test_the_spacing_of_the_header_gives_the_shape() -> None:
    geometry = Geometry((100, 512, 400), np.diag([3.0, 0.8, 0.75, 1]))
    shape = PRESETS["kits"].regrid(geometry.shape, geometry, "x").shape
    assert shape == (188, 341, 250)
    small = SMALL["kits"]
    assert small.padded(small.regrid(geometry.shape, geometry, "x").shape) == (32, 32, 32)
    with pytest.raises(DataError, match="x: has no spacing; give the shape instead"):
        small.regrid((4, 4, 4), None, "x")
    with pytest.raises(DataError, match=r"x: has 2 axes, 3 are given"):
        small.regrid((4, 4), None, "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 2, 3), "spacing": (1, 1, 1)}, "--reshape and --spacing both say the shape"),
        ({"shape": (0, 2, 3)}, "shapes and spacings are positive"),
        ({"standardise": True, "mean_std": (0, 1)}, "both scale the values"),
        ({"mean_std": (0, 0)}, "expected a deviation above 0"),
        ({"clip": (3, 3)}, "expected low < high"),
        ({"split": (0.5, 0.3, 0.3)}, "fractions of training, validation, test with sum 1"),
        ({"split": (0, 0.5, 0.5)}, "fractions of training"),
    ],
)
def test_what_does_not_fit_together(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(**options)


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    for case in range(4):
        noise = np.random.default_rng(case)
        for name, values in (("imaging", noise.integers(-900, 900, (6, 8, 9))), ("segmentation", None)):
            array = noise.integers(0, 3, (6, 8, 9)) if values is None else values
            path = save_nifti(tmp_path / f"kits/case_{case}/{name}.nii.gz", array.astype(np.int16))
            spaced = nibabel.Nifti1Image(array.astype(np.int16), np.diag([48.0, 20, 80, 1]))
            nibabel.save(spaced, path)
    return tmp_path / "kits"


def small(root: Path, destination: Path, **settings) -> object:
    recipe = Recipe(**{**SMALL["kits"].options, "split": (0.5, 0.25, 0.25)})
    origin = Origin.of("kits", str(root))
    return prepare(
        Origin(origin.kind, origin.given, recipe), destination, StorageOptions(format="npy_pairs", **settings)
    )


def test_small_files_of_kits(kits: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small(kits, out)
    source = NpyPairs(out, ("ct",), tile_dims=3)
    items = source.items()
    assert [item.key for item in items] == [f"case_{n}" for n in range(4)]
    assert {(out / "images" / f"case_{n}.npy").stat().st_size for n in range(4)} == {128 * 1024 + 128}
    assert {(out / "labels" / f"case_{n}.npy").stat().st_size for n in range(4)} == {32 * 1024 + 128}
    sample = source.read(items[0])
    assert sample.image.shape == (1, 32, 32, 32) and sample.image.dtype == np.float32
    inside = sample.image[0, 13:19, 14:18, 7:25]
    assert inside.std() > 0.1 and np.allclose(sample.image[0, :13], (-79 - 101) / 76.9)
    splits = json.loads((out / "splits.json").read_text())["datasets"]["kits"]
    assert [len(splits[name]) for name in ("training", "validation", "test")] == [2, 1, 1]
    assert len(verify(out).keys) == 4
    with (out / "labels/case_2.npy").open("r+b") as file:
        file.seek(500)
        file.write(b"\7")
    with pytest.raises(DataError, match=r"labels/case_2\.npy: other contents \(items: case_2\)"):
        verify(out)
    with pytest.raises(DataError, match=r"was prepared as \.npy files; set data\.dataset: npy_pairs"):
        Prepared(out)


def test_a_killed_conversion_goes_on(kits: Path, tmp_path: Path, monkeypatch) -> None:
    from ucf_vit.data.prepare import convert

    out, write, calls = tmp_path / "out", convert.write_pair, []

    def stopped(job, *arguments):
        calls.append(job.name)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(job, *arguments)

    monkeypatch.setattr(convert, "write_pair", stopped)
    with pytest.raises(UserError, match="the disk is full; finished parts are kept"):
        small(kits, out)
    lines = [json.loads(line) for line in (out / UNFINISHED).read_text().splitlines()[1:]]
    files = [out / name for line in lines for pack in line["packs"] for name in pack["files"]]
    done = {path: path.stat().st_ino for path in files}
    assert len(done) in (2, 4)
    (out / "images/.case_9.npy.123.tmp").write_bytes(b"left by a killed process")
    monkeypatch.setattr(convert, "write_pair", write)
    small(kits, out)
    assert {path: path.stat().st_ino for path in done} == done
    assert len(list(out.rglob("*.npy"))) == 8 and not (out / "images/.case_9.npy.123.tmp").exists()
    small(kits, out)


def test_recipes_into_chunks(kits: Path, tmp_path: Path) -> None:
    """Large items are written in slabs: each is resampled once, and slabs are parts of one whole."""
    recipe = Recipe(shape=(40, 8, 8), standardise=True, binary=True)
    origin = Origin.of("kits", str(kits))
    settings = StorageOptions(chunk=(8, 8, 8), shard_bytes=4 * 16 * 64)
    written = prepare(Origin(origin.kind, origin.given, recipe), tmp_path / "out", settings)
    assert written.packs[0].depth == 16 and tuple(written.options["recipe"]["shape"]) == (40, 8, 8)
    source = Prepared(tmp_path / "out")
    assert source.normalization.kind == "none" and source.variables == ("ct",)
    (item, *_) = source.items()
    sample = source.read(item)
    assert sample.image.shape == (1, 40, 8, 8) and abs(sample.image.mean()) < 1e-6
    assert abs(sample.image.std() - 1) < 1e-5 and set(np.unique(sample.label)) == {0, 1}
