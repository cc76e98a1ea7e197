"""Copies of items among files: at the start of a training, in evaluations, and by `ucf-vit check-leaks`."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import runs
from ucf_vit import checkpoint
from ucf_vit.cli.main import app
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.synthetic.volume import make_volume
from ucf_vit.training.inputs.used_items import used_items


def scan(seed: int) -> np.ndarray:
    return make_volume((24, 24, 24), seed)[0].astype(np.float32)


def volumes(root: Path, **scans: np.ndarray) -> Path:
    (root / "imagesTr").mkdir(parents=True, exist_ok=True)
    for name, values in scans.items():
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), root / f"imagesTr/{name}.nii.gz")
    return root


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return volumes(tmp_path / "scans", **{f"s{seed}": scan(seed) for seed in range(6)})


def config_of(path: Path, root: Path, **data: Any) -> Path:
    return runs.write_config(path, "masked", root, trainer={"max_epochs": 1}, data=data)


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    return result.exit_code, result.output


def altered(root: Path) -> Path:
    """A copy compressed otherwise, in another type, a flipped, a cropped one, and one that is new."""
    return volumes(
        root,
        again=scan(0).astype(np.int16),
        flipped=scan(1)[::-1] * 3 + 5,
        part=scan(2)[7:, :17, 4:21],
        new=scan(50),
    )


def test_altered_copies_are_named_by_roots(tmp_path: Path, scans: Path) -> None:
    code, said = call("check-leaks", scans, altered(tmp_path / "b"), "--dataset", "basic_ct")
    assert code == 1
    assert said.splitlines() == [
        "again = s0 (same values)",
        "flipped = s1 (near copy)",
        "part = s2 (near copy)",
        f"3 of 4 items of {tmp_path / 'b'} are copies of items of {scans}",
    ]
    (tmp_path / "b/imagesTr/s4.nii.gz").write_bytes((scans / "imagesTr/s4.nii.gz").read_bytes())
    (tmp_path / "b/imagesTr/t.nii.gz").symlink_to(scans / "imagesTr/s5.nii.gz")
    _, said = call("check-leaks", scans, tmp_path / "b", "--dataset", "basic_ct")
    assert "s4 = s4 (same contents)" in said and "t = s5 (same contents)" in said
    clean = volumes(tmp_path / "c", x=scan(60), y=scan(61))
    assert call("check-leaks", scans, clean, "--dataset", "basic_ct") == (
        0,
        f"0 of 2 items of {clean} are copies of items of {scans}\n",
    )
    with pytest.raises(UserError, match=r"say how to read it with --dataset: basic_ct"):
        call("check-leaks", scans, clean)


def test_a_run_is_compared_with_new_data_and_its_own(tmp_path: Path, scans: Path) -> None:
    config = config_of(tmp_path / "c.yaml", scans, dict_end_idx={"tiny": 0.5})
    runs.train(config)
    out = tmp_path / "out"
    rows = used_items(checkpoint.load(out / "best").state)
    assert rows["trained"].shape == (3, 10) and rows["trained"].nbytes == 3 * 80
    assert rows["trained"][:, 3:].all() and rows["validated"][:, 3:].all()
    new = altered(tmp_path / "b")
    assert call("check-leaks", config, out)[0] == call("check-leaks", out, config)[0] == 0
    code, said = call("check-leaks", out / "best", new)
    assert code == 1 and "part = an item that was trained on (near copy)" in said
    with pytest.raises(UserError, match=r"1 of 4 items were trained on: again \(same values\)"):
        call("evaluate", out, "--data", new)
    _, said = call("evaluate", out, "--data", new, "--allow-overlap")
    assert "1 of 4 items were trained on: again (same values)." in said
    assert "2 of 4 items look like items that were trained on" in said and "flipped, part." in said
    _, said = call("evaluate", out, "--data", new, "data.leak_check=files")
    assert "None of the 4 items has the path or contents" in said


def test_a_checkpoint_of_an_earlier_version_is_compared_by_files(tmp_path: Path, scans: Path) -> None:
    runs.train(config_of(tmp_path / "c.yaml", scans, dict_end_idx={"tiny": 0.5}))
    state = tmp_path / "out/best/state.pt"
    content = torch.load(state, weights_only=True)
    content["items"] = {use: rows[:, :3].clone() for use, rows in content["items"].items()}
    torch.save(content, state)
    rows = used_items(content)
    assert rows["trained"].shape == (3, 10) and not rows["trained"][:, 3:].any()


def test_a_training_refuses_copies_and_names_altered_ones(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = altered(tmp_path / "b")
    config = config_of(tmp_path / "c.yaml", scans, dict_end_idx={"tiny": 1}, validation={"tiny": str(new)})
    with pytest.raises(DataError, match=r"1 validation item\(s\) have the contents .*: again = s0; .*off"):
        runs.train(config)
    (new / "imagesTr/again.nii.gz").unlink()
    runs.train(config, "trainer.overwrite=true", "data.leak_check=contents")
    assert "2 validation item(s) look like items that train" in caplog.text
    assert "flipped = s1, part = s2" in caplog.text
    caplog.clear()
    runs.train(config, "trainer.overwrite=true", "data.leak_check=files")
    assert "look like" not in caplog.text


def test_what_is_known_of_a_file_is_not_read_again(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ucf_vit.data.leaks import compare

    config = config_of(tmp_path / "c.yaml", scans, dict_end_idx={"tiny": 0.5})
    runs.train(config)
    before = used_items(checkpoint.load(tmp_path / "out/best").state)["trained"]
    read = []
    real = compare.look
    monkeypatch.setattr(compare, "look", lambda image: read.append(1) or real(image))
    runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    assert len(read) == 3, "only the items that validate are compared anew"
    after = used_items(_newest(tmp_path))
    assert np.array_equal(after["trained"], before)


def _newest(folder: Path) -> dict[str, Any]:
    read, _ = checkpoint.load_newest(folder / "out", "last")
    assert read is not None
    return dict(read.state)
