"""Programs of torch and ONNX, for any number of images."""

from pathlib import Path

import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.deep
def test_programs(concrete: Path, tmp_path: Path) -> None:
    """Files for any number of images, which need no code of this package."""
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 1})
    runs.train(config)
    call("export", tmp_path / "out", "--to", "torch", "-o", tmp_path / "net.pt2")
    call("export", tmp_path / "out", "--to", "onnx", "-o", tmp_path / "net.onnx")
    image = torch.rand(5, 1, 16, 16, 16)
    with torch.no_grad():
        one = torch.export.load(tmp_path / "net.pt2").module()(image)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    other = session.run(None, {"image": image.numpy()})[0]
    torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-4, atol=1e-4)
    assert one.shape == (5, 4, 16, 16, 16)
    again = CliRunner().invoke(
        app, ["export", str(tmp_path / "out"), "--to", "onnx", "-o", str(tmp_path / "net.onnx")]
    )
    assert "exists already" in str(again.exception)


@pytest.mark.parametrize(
    ("task", "said"), [("masked", "masked patches"), ("token_segmentation", "adaptive patches")]
)
def test_networks_that_are_no_function_of_an_image(
    task: str, said: str, concrete: Path, tmp_path: Path
) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", task, concrete, trainer={"max_steps": 1}))
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "out"), "--to", "onnx", "-o", str(tmp_path / "folder")]
    )
    assert said in str(result.exception) and not (tmp_path / "folder").exists()
