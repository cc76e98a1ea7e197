"""A folder that segments volumes or classifies pictures with onnxruntime, without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ucf_vit.export.processing import postprocessing, preprocessing
from ucf_vit.export.program import trace
from ucf_vit.export.program_files import write_onnx
from ucf_vit.export.shipping import ship, write_json
from ucf_vit.training.saved_runs.open_trained import Trained


def write_onnx_folder(trained: Trained[Any], folder: Path) -> None:
    """Writes model.onnx, preprocessing.json, postprocessing.json, and run.py with the files that it needs.

    run.py gives the labels of `ucf-vit predict` for NIfTI files, or its table of classes for pictures. Raises
    UserError for a network that is no function of an image, or whose preprocessing has no form as data.
    """
    program = trace(trained)
    before, after = preprocessing(trained), postprocessing(trained)
    write_onnx(program, folder / "model.onnx")
    write_json(folder / "preprocessing.json", before)
    write_json(folder / "postprocessing.json", after)
    if trained.run.network_facts.output == "voxel logits":
        ship(("images", "postprocess", "resampling"), folder, run="segment")
    elif len(before["window"]) == 2 and before["channels"] in (1, 3):
        ship(("images",), folder, run="classify")
