"""The exported folder, run by its own program in an environment without this package."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime
import PIL
import pytest
from PIL import Image
from typer.testing import CliRunner

import runs
from isolated import run_isolated
from ucf_vit.cli.main import app


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


OPERATIONS = {"largest_component": True, "min_volume": 0.0, "fill_holes": True}
CASES = {
    "percentiles, resampled": {
        "data": {
            "dict_normalization": {"tiny": {"kind": "percentiles", "low": 2, "high": 98}},
            "spacing": [1.3, 0.7, 1.0],
            "orientation": "RAS",
        }
    },
    "cropped, thick slices": {
        "data": {
            "dict_normalization": {"tiny": {"kind": "zscore"}},
            "spacing": [1.2, 1.2, 3.9],
            "orientation": "RAS",
            "crop": "nonzero",
        }
    },
    "slices": {"model": {"tile_size": [16, 16], "twoD": True}},
}


@pytest.fixture(scope="module")
def scan(concrete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of other sides, that lies turned and has an empty border."""
    source = next((concrete / "imagesTr").glob("*.nii*"))
    values = np.asanyarray(nibabel.load(source).dataobj)[:29, :24, :20].copy()
    values[:3] = values[..., -2:] = 0
    affine = np.array([[0, -1.1, 0, 5], [0.9, 0, 0, -3], [0, 0, 1.3, 7], [0, 0, 0, 1.0]])
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize(
    "name", [next(iter(CASES)), *(pytest.param(one, marks=pytest.mark.deep) for one in list(CASES)[1:])]
)
def test_labels_are_those_of_predict(name: str, concrete: Path, scan: Path, tmp_path: Path) -> None:
    """Without and with post-processing, which changes them."""
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 8}, **CASES[name]
    )
    runs.train(config)
    chosen = {"step": 8, "classes": {str(number): OPERATIONS for number in (1, 2, 3)}}
    (tmp_path / "out" / "postprocessing.json").write_text(json.dumps(chosen))
    call("export", tmp_path / "out", "--to", "onnx", "-o", tmp_path / "folder")
    labels = {}
    for options in ([], ["--no-postprocessing"]):
        call("predict", tmp_path / "out", scan, "-o", tmp_path / "-".join(["predicted", *options]), *options)
        out = tmp_path / "labels.nii.gz"
        said = run_isolated(
            *(tmp_path / "folder" / "run.py", scan, "-o", out, *options),
            packages=[np, nibabel, onnxruntime],
        )
        expected = nibabel.load(tmp_path / "-".join(["predicted", *options]) / "scan.nii.gz")
        found = nibabel.load(out)
        assert np.array_equal(expected.affine, found.affine) and expected.shape == found.shape
        labels[len(options)] = np.asanyarray(expected.dataobj)
        assert (labels[len(options)] == np.asanyarray(found.dataobj)).mean() >= 0.9999
        assert found.get_data_dtype() == np.uint8
    assert len(np.unique(labels[0])) > 1 and (labels[0] != labels[1]).any()
    classes = json.loads((tmp_path / "folder" / "postprocessing.json").read_text())["classes"]
    assert str(out) in said and set(said.split()[1:]) <= set(classes)
    for arguments, message in (
        ([scan, scan, "-o", out], "expected 1 of one"),
        ([scan, "-o", scan], "would replace an image"),
        ([tmp_path / "c.yaml", "-o", out], "c.yaml: "),
    ):
        with pytest.raises(AssertionError, match=message):
            run_isolated(tmp_path / "folder" / "run.py", *arguments, packages=[])


@pytest.mark.parametrize("resize", [[16, 18], pytest.param(None, marks=pytest.mark.deep)])
def test_classes_are_those_of_predict(resize: list[int] | None, coloured: Path, tmp_path: Path) -> None:
    """Of pictures of several kinds: turned by Exif, grey of 16 bits, with a transparent palette, larger."""
    options = {"imagenet_resize": {} if resize is None else {"tiny": resize}}
    config = runs.write_config(
        tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 8}, dataset_options=options
    )
    runs.train(config)
    call("export", tmp_path / "out", "--to", "onnx", "-o", tmp_path / "folder")
    pictures = _pictures(tmp_path / "pictures")
    call("predict", tmp_path / "out", *pictures, "-o", tmp_path / "predicted")
    run_isolated(
        *(tmp_path / "folder" / "run.py", *pictures, "-o", tmp_path / "table.csv"),
        packages=[np, PIL, onnxruntime],
    )
    (first, *expected), (head, *found) = (
        list(csv.reader(path.read_text().splitlines()))
        for path in (tmp_path / "predicted" / "predictions.csv", tmp_path / "table.csv")
    )
    assert head == first == ["file", "class", "p_blue", "p_green", "p_red"] and len(found) == len(pictures)
    assert [row[1] for row in found] == [row[1] for row in expected]
    values = [np.array([row[2:] for row in rows], float) for rows in (found, expected)]
    np.testing.assert_allclose(*values, atol=2e-5)


def _pictures(folder: Path) -> list[Path]:
    folder.mkdir()
    noise = np.random.default_rng(0)
    colours = noise.integers(0, 256, (64, 50, 3), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(colours).save(folder / "turned.jpg", exif=turned)
    Image.fromarray(colours).save(folder / "upright.jpg")
    Image.fromarray(noise.integers(0, 2**16, (30, 40), dtype=np.uint16)).save(folder / "grey.png")
    palette = Image.fromarray(noise.integers(0, 4, (20, 31), dtype=np.uint8), "P")
    palette.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(folder / "palette.png", transparency=1)
    return sorted(folder.iterdir())
