"""`ucf-vit plan` on an S3 bucket: sizes and versions come from the listing."""

from pathlib import Path

import numpy as np
import yaml
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.data.storage import files as files_module


def test_known_headers_are_not_read_again_and_changed_ones_are(
    s3, bucket: str, tmp_path: Path, monkeypatch
) -> None:
    import nibabel

    def put(name: str, *shape: int) -> None:
        path = tmp_path / name
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), path)
        s3.upload_file(str(path), bucket, f"ct/imagesTr/{name}")

    for number in range(4):
        put(f"v{number}.nii", 32, 32, 32)
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    text = yaml.safe_load(config.read_text())
    (name,) = text["data"]["dict_root_dirs"]
    text["data"]["dict_root_dirs"][name] = f"s3://{bucket}/ct"
    text["data"]["dict_end_idx"] = {name: 1.0}
    config.write_text(yaml.safe_dump(text))

    asked: list[str] = []
    ask = files_module.Files._ask
    noting = lambda self, url, call: asked.append(url) or ask(self, url, call)  # noqa: E731
    monkeypatch.setattr(files_module.Files, "_ask", noting)

    def plan() -> tuple[str, int]:
        asked.clear()
        result = CliRunner().invoke(app, ["plan", str(config), "--gpus", "2", "--overwrite"])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output.splitlines()[-1].rpartition(", ")[2], len(asked)

    folders = 3  # the root, imagesTr and labelsTr are listed
    assert plan() == ("4 headers read", folders + 4)
    assert plan() == ("0 headers read", folders)
    put("v1.nii", 16, 32, 32)
    assert plan() == ("1 headers read", folders + 1)
