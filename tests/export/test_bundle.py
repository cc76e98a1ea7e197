"""Bundles, opened and run by MONAI."""

import json
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
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.export.bundle import _values
from ucf_vit.export.processing import _values as _described


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # of MONAI, whatever the format
@pytest.mark.parametrize("data", [{}, {"orientation": "RAS", "crop": "nonzero"}], ids=str)
def test_labels_are_those_of_predict(data: dict, concrete: Path, tmp_path: Path) -> None:
    """With the transforms, the inferer and the network of the bundle's config."""
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 8}, data=data
    )
    runs.train(config)
    call("export", tmp_path / "out", "--to", "bundle", "-o", tmp_path / "bundle")
    values = np.asanyarray(nibabel.load(sorted((concrete / "imagesTr").iterdir())[0]).dataobj)[:, :24].copy()
    values[:2] = values[:, -3:] = 0
    affine = np.array([[0, -1.0, 0, 5], [1, 0, 0, -3], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    scan = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), scan)
    call("predict", tmp_path / "out", scan, "-o", tmp_path / "predicted")
    metadata = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 4
    parser = ConfigParser()
    parser.read_config(tmp_path / "bundle" / "configs" / "inference.json")
    parser["bundle_root"], parser["output_dir"] = str(tmp_path / "bundle"), str(tmp_path / "labels")
    network, inferer = (parser.get_parsed_content(name) for name in ("network", "inferer"))
    before, after = (parser.get_parsed_content(name) for name in ("preprocessing", "postprocessing"))
    sample = before({"image": str(scan)})
    with torch.no_grad():
        sample["pred"] = inferer(sample["image"][None], network.eval())[0]  # as the evaluator does
    after(sample)
    written = next((tmp_path / "labels").rglob("*.nii.gz"))
    found, expected = (nibabel.load(path) for path in (written, tmp_path / "predicted" / scan.name))
    labels = np.asanyarray(expected.dataobj)
    assert len(np.unique(labels)) > 1
    assert (np.asanyarray(found.dataobj) == labels).mean() >= 0.9999
    assert np.allclose(found.affine, expected.affine)


@pytest.mark.parametrize(
    "how",
    [
        Normalization("minmax"),
        Normalization("zscore"),
        Normalization("window", low=-0.5, high=0.7),
        Normalization("percentiles", low=5, high=90),
        Normalization("mean_std", mean=(0.3, -0.2), std=(2.0, 0.5)),
        Normalization("mean_std", mean=(0.3,), std=(2.0,)),
    ],
    ids=lambda how: how.kind,
)
def test_values_are_those_of_the_training(how: Normalization) -> None:
    image = torch.randn(2, 5, 6, 7).numpy()
    expected = np.empty_like(image)
    how.apply(image, how.fit(image, range(2)), expected)
    steps = {"_target_": "Compose", "transforms": _values(_described(how))}
    parser = ConfigParser({"steps": steps})
    found = parser.get_parsed_content("steps")({"image": torch.from_numpy(image)})["image"]
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)


def test_classifiers_have_none(coloured: Path, tmp_path: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1}))
    with pytest.raises(UserError, match="bundles are written for segmentations"):
        call("export", tmp_path / "out", "--to", "bundle", "-o", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
