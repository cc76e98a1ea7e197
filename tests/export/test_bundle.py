"""Bundles, opened and run by MONAI."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import UserError
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.export.processing import preprocessing
from ucf_vit.training.data_record import Normalized
from ucf_vit.training.saved_runs.open_trained import open_trained


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


OPERATIONS = {"largest_component": True, "min_volume": 0.0, "fill_holes": True}
CASES = {
    "resampled": {"data": {"orientation": "RAS", "spacing": [1.3, 0.7, 2.5]}},
    "as stored": {},
    "cropped": {"data": {"orientation": "RAS", "crop": "nonzero"}},
    "slices": {"model": {"tile_size": [16, 16], "twoD": True}},
}


@pytest.fixture(scope="module")
def run(concrete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("run") / "c.yaml"
    runs.train(runs.write_config(config, "segmentation", concrete, trainer={"max_steps": 1}))
    return config.parent / "out"


@pytest.fixture
def search_path() -> Iterator[list[str]]:
    """The search path, to which MONAI adds the bundle; its modules are forgotten afterwards."""
    before = list(sys.path)
    yield sys.path
    sys.path[:] = before
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # of MONAI, whatever the format
@pytest.mark.parametrize(
    "name", [next(iter(CASES)), *(pytest.param(one, marks=pytest.mark.deep) for one in list(CASES)[1:])]
)
def test_labels_are_those_of_predict(
    name: str, concrete: Path, tmp_path: Path, search_path: list[str]
) -> None:
    """With the transforms, the inferer and the network of the bundle's config.

    For a volume that is smaller than a tile along one axis, lies turned, and has thick slices.
    """
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 8}, **CASES[name]
    )
    runs.train(config)
    chosen = {"step": 8, "classes": {str(number): OPERATIONS for number in (1, 2, 3)}}
    (tmp_path / "out" / "postprocessing.json").write_text(json.dumps(chosen))
    call("export", tmp_path / "out", "--to", "bundle", "-o", tmp_path / "bundle")
    values = np.asanyarray(nibabel.load(sorted((concrete / "imagesTr").iterdir())[0]).dataobj)
    values = values[:, :11].copy()
    values[:2] = values[:, -3:] = 0
    affine = np.array([[0, -1.0, 0, 5], [1, 0, 0, -3], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    scan = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), scan)
    for options in ([], ["--no-postprocessing"]):
        call("predict", tmp_path / "out", scan, "-o", tmp_path / f"predicted{len(options)}", *options)
    search_path.insert(1, str(tmp_path / "bundle"))
    found = _run(tmp_path / "bundle", scan, tmp_path / "labels")
    expected, without = (nibabel.load(tmp_path / f"predicted{number}" / scan.name) for number in (0, 1))
    labels = np.asanyarray(expected.dataobj)
    assert len(np.unique(labels)) > 1 and (labels != np.asanyarray(without.dataobj)).any()
    assert (np.asanyarray(found.dataobj) == labels).mean() >= 0.9999
    assert found.get_data_dtype() == np.uint8 and np.allclose(found.affine, expected.affine)


def _run(bundle: Path, scan: Path, output: Path) -> nibabel.Nifti1Image:
    """Returns the labels of a scan by the bundle, in the way of MONAI's evaluator."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"], parser["output_dir"] = str(bundle), str(output)
    network, inferer = (parser.get_parsed_content(name) for name in ("network", "inferer"))
    before, after = (parser.get_parsed_content(name) for name in ("preprocessing", "postprocessing"))
    sample = before({"image": str(scan)})
    with torch.no_grad():
        sample["pred"] = inferer(sample["image"][None], network.eval())[0]
    after(sample)
    return nibabel.load(output / scan.name)


@pytest.mark.parametrize(
    ("grid", "how", "said"),
    [
        (GridOptions(crop="threshold"), Normalization("zscore"), "crop: threshold: has no preprocessing"),
        (GridOptions(spacing=(2, 2, 2)), Normalization("zscore", nan=0.0), "NaN that is resampled"),
        (None, Normalization("zscore", missing=True), "missing values"),
    ],
)
def test_what_its_programs_do_not_do_is_refused(
    grid: GridOptions | None, how: Normalization, said: str, run: Path
) -> None:
    trained = open_trained(run, device="cpu")
    record = replace(trained.record, grid=grid, normalized={"tiny": Normalized(how, ("ct",))})
    with pytest.raises(UserError, match=said):
        preprocessing(replace(trained, record=record))


def test_metadata(run: Path, tmp_path: Path) -> None:
    call("export", run, "--to", "bundle", "-o", tmp_path / "bundle")
    metadata = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 4


def test_classifiers_have_none(coloured: Path, tmp_path: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1}))
    with pytest.raises(UserError, match=r"bundles are written for segmentations.*--to onnx"):
        call("export", tmp_path / "out", "--to", "bundle", "-o", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
