"""A folder that segments volumes with onnxruntime, numpy and nibabel only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.export.processing import postprocessing, preprocessing
from ucf_vit.export.program import trace
from ucf_vit.export.program_files import write_onnx
from ucf_vit.training.saved_runs.open_trained import Trained

RUNNER = Path(__file__).with_name("runner.py")


def write_onnx_folder(trained: Trained[Any], folder: Path) -> None:
    """Writes model.onnx, preprocessing.json, postprocessing.json, and for volumes run.py.

    run.py gives the labels of `ucf-vit predict` for NIfTI files. Raises UserError for a network that is no
    function of an image, or whose preprocessing is more than run.py does.
    """
    program = trace(trained)
    before, after = preprocessing(trained), postprocessing(trained)
    runs = trained.run.network_facts.output == "voxel logits" and len(before["window"]) == 3
    if runs and before["crop"] == "threshold":
        raise UserError(
            "data.crop: threshold is not in run.py; export the program only (--to onnx FILE.onnx)"
        )
    write_onnx(program, folder / "model.onnx")
    _write(folder / "preprocessing.json", before)
    _write(folder / "postprocessing.json", after)
    if runs:
        write_atomic(folder / "run.py", RUNNER.read_text(encoding="utf-8"))


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
