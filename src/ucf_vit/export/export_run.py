"""Exports a trained run in one of several forms."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.outputs import check_free
from ucf_vit.export.bundle import write_bundle
from ucf_vit.export.hub import write_hub
from ucf_vit.export.onnx_folder import write_onnx_folder
from ucf_vit.export.program import trace
from ucf_vit.export.program_files import write_onnx, write_torch
from ucf_vit.training.saved_runs.open_trained import Trained, open_trained

log = logging.getLogger(__name__)
FORMS: dict[str, Callable[[Trained[Any], Path, str], None]] = {
    "onnx": lambda trained, folder, licence: write_onnx_folder(trained, folder),
    "bundle": write_bundle,
    "hub": write_hub,
}
"""Forms that are folders, by name; they are written from a run, to a folder, with the name of a licence."""
NOT_POSSIBLE = {
    "nnssl": "its encoders are Primus (EVA blocks: rotary positions, SwiGLU, layer scale) and residual "
    "U-Nets; its adaptation has no plain ViT, which the networks here are, so that such a file would be "
    "loaded as another network. Export to monai (ucf-vit weights export) or hub",
}
"""Forms that networks here cannot have, and why."""
PROGRAMS = {".pt2": write_torch, ".onnx": write_onnx}
"""Forms that are one file, by suffix."""
SUFFIX = {"torch": ".pt2", "onnx": ".onnx"}


def export_run(
    path: Path, to: str, output: Path, *, licence: str = "unknown", overwrite: bool = False
) -> None:
    """Writes the run or checkpoint at `path` in the form `to` to a file or folder `output`.

    "torch" is a file .pt2, "onnx" a folder or, if `output` ends in .onnx, a file; "bundle" and "hub" are
    folders, whose model cards name `licence`. Averaged weights are taken
    if there are any. Raises CheckpointError, and UserError for a run that has no such form, before anything
    is written, or if files would be replaced without `overwrite`.
    """
    if to in NOT_POSSIBLE:
        raise UserError(f"--to {to}: {NOT_POSSIBLE[to]}")
    if to == "torch" or output.suffix == SUFFIX.get(to):
        if output.suffix != SUFFIX[to]:
            raise UserError(f"{output}: a program of torch is called {output.name}.pt2")
        check_free([output], overwrite)
        PROGRAMS[output.suffix](trace(_opened(path)), output)
        return
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not overwrite)):
        raise UserError(
            f"{output} exists already; replace its files with --overwrite, or name another folder"
        )
    FORMS[to](_opened(path), output, licence)


def _opened(path: Path) -> Trained[Any]:
    """Returns a run, and warns where its predictions are post-processed, which no form does."""
    trained = open_trained(path, device="cpu")
    if trained.postprocessing is not None and trained.postprocessing.operations.classes:
        log.warning(
            "%s: the post-processing of the run is not exported (%s); labels are those of ucf-vit predict "
            "--no-postprocessing",
            *(trained.directory, trained.postprocessing.in_words(trained.record.label_names)),
        )
    return trained
