"""`ucf-vit prepare msd` and `prepare kits`, as typed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.sources import Prepared

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("zarr", reason="needs the extra zarr")


def prepare(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A small Task01_BrainTumour: 4 channels, 3 labels."""
    root = tmp_path / "Task01_BrainTumour"
    cases = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(10):
        noise = np.random.default_rng(number)
        cases.append({kind: f"./{kind}sTr/BRATS_{number:03d}.nii.gz" for kind in ("image", "label")})
        image = noise.normal(200, 50, (12, 12, 10, 4)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), root / cases[-1]["image"])
        label = noise.integers(0, 4, (12, 12, 10)).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), root / cases[-1]["label"])
    names = {str(number): name for number, name in enumerate(("FLAIR", "T1w", "t1gd", "T2w"))}
    about = {"modality": names, "labels": {"0": "background", "1": "edema"}, "training": cases}
    (root / "dataset.json").write_text(json.dumps(about))
    return root


def test_brain_tumours(task: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--split", 0.7, 0.15, 0.15, "--reshape", 12, 12, 8, "--binary")
    text = prepare("msd", "--source-dir", task, "--target-dir", out, *arguments)
    pasted = yaml.safe_load(text[text.index("data:") :])["data"]
    assert pasted == {
        "dataset": "prepared",
        "dict_root_dirs": {"out": str(out)},
        "split": {"kind": "given"},
    }
    source = Prepared(out)
    items = source.items()
    splits = [item.split for item in items]
    assert sorted(splits.count(name) for name in ("training", "validation", "test")) == [1, 2, 7]
    written = json.loads((out / "splits.json").read_text())["datasets"]["msd"]
    assert {item.key for item in items if item.split == "test"} == set(written["test"])
    sample = source.read(items[3])
    assert source.variables == ("FLAIR", "T1w", "t1gd", "T2w") and sample.image.shape == (4, 12, 12, 8)
    assert np.allclose(sample.image.mean((1, 2, 3)), 0, atol=1e-5)
    assert np.allclose(sample.image.std((1, 2, 3)), 1, atol=1e-5)
    stored = np.asarray(nibabel.load(task / "labelsTr/BRATS_003.nii.gz").dataobj)
    nearest = ((np.arange(8) + 0.5) * 10 / 8).astype(int)
    assert np.array_equal(sample.label, stored[..., nearest] > 0)
    assert "10 items" in prepare("msd", "--source-dir", task, "--target-dir", out, *arguments)
    with pytest.raises(UserError, match="has other data, or this data with other options"):
        prepare("msd", "--source-dir", task, "--target-dir", out, *arguments[:-1])


def test_options_of_a_source_and_channels(task: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(task, out, "--dataset", "msd", "--variables", "T2w,FLAIR", "--clip", 100, 250)
    source = Prepared(out)
    assert source.variables == ("T2w", "FLAIR")
    assert source.read(source.items()[0]).image.min() == 100
    with pytest.raises(DataError, match="data source msd takes no option 'fold'"):
        prepare(task, tmp_path / "other", "--dataset", "msd", "--option", "fold=0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("msd", "OUT"),
            r"prepare msd: --source-dir is missing, its root; write a folder of this name as \./msd",
        ),
        (("SRC", "OUT", "--dataset", "msd", "--small"), "--small belongs to known data sets: msd, kits"),
        (("SRC", "OUT", "--source-dir", "SRC"), "--source-dir belongs to known data sets"),
        (("msd", "OUT", "--source-dir", "SRC", "--small"), "--small is for kits only, not for msd"),
        (("msd", "OUT", "--source-dir", "SRC", "--dataset", "kits"), "is --dataset msd, not kits"),
        (("SRC", "OUT", "--dataset", "msd", "--option", "fold"), "--option fold: expected NAME=VALUE"),
        (("SRC", "OUT", "--dataset", "msd", "--split", 1, 1, 1), "fractions of training, validation, test"),
        (("SRC", "OUT", "--dataset", "msd", "--pad", 1, 1, 0), "positive numbers"),
    ],
)
def test_what_is_wrong(task: Path, tmp_path: Path, arguments: tuple, message: str) -> None:
    given = [{"SRC": task, "OUT": tmp_path / "out"}.get(one, one) for one in arguments]
    with pytest.raises(UserError, match=message):
        prepare(*given)


def test_small_files_from_an_object_store_into_training(tmp_path: Path, s3, bucket: str) -> None:
    for case in range(4):
        noise = np.random.default_rng(case)
        folder = tmp_path / f"kits/case_{case:05d}"
        folder.mkdir(parents=True)
        for name, high in (("imaging", 300), ("segmentation", 3)):
            values = noise.integers(0, high, (20, 16, 18)).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([48.0, 40, 40, 1])), folder / f"{name}.nii.gz")
    out = tmp_path / "small"
    text = prepare(
        "kits", "--source-dir", tmp_path / "kits", "--target-dir", out, "--small", "--split", 0.5, 0.5, 0
    )
    pasted = yaml.safe_load(text[text.index("data:") :])["data"]
    assert pasted["split"] == {"kind": "given", "file": str(out / "splits.json")}
    for path in sorted(out.rglob("*.npy")):
        s3.upload_file(str(path), bucket, f"kits/{path.relative_to(out)}")
    data = {
        **pasted,
        "dict_root_dirs": {"tiny": f"s3://{bucket}/kits"},
        "dict_normalization": {"tiny": {"kind": "none"}},
        "dict_end_idx": {},
    }
    config = runs.write_config(tmp_path / "run/c.yaml", "segmentation", tmp_path, data=data)
    runs.train(config, "trainer.max_epochs=1", "trainer.validation_epochs=1")
    trained = json.loads((tmp_path / "run/out/splits.json").read_text())["datasets"]["tiny"]
    assert trained == {**json.loads((out / "splits.json").read_text())["datasets"]["kits"], "groups": {}}
    assert len(runs.losses(tmp_path / "run/out")) == 2 * 8 // 4
    assert all(np.isfinite(loss) for loss in runs.losses(tmp_path / "run/out").values())
