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
POSTPROCESSING = ("onnx", "bundle")
"""Those of them that post-process predictions as was chosen for the run."""
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
    folders, whose model cards name `licence`. Averaged weights are taken if there are any. Raises
    CheckpointError, and UserError for a run that has no such form, before anything is written, or if files
    would be replaced without `overwrite`.
    """
    if to in NOT_POSSIBLE:
        raise UserError(f"--to {to}: {NOT_POSSIBLE[to]}")
    if to == "torch" or output.suffix == SUFFIX.get(to):
        if output.suffix != SUFFIX[to]:
            raise UserError(f"{output}: a program of torch is called {output.name}.pt2")
        check_free([output], overwrite)
        PROGRAMS[output.suffix](trace(_opened(path, postprocesses=False)), output)
        return
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not overwrite)):
        raise UserError(
            f"{output} exists already; replace its files with --overwrite, or name another folder"
        )
    FORMS[to](_opened(path, postprocesses=to in POSTPROCESSING), output, licence)


def _opened(path: Path, *, postprocesses: bool) -> Trained[Any]:
    """Returns a run; warns of its post-processing where the form does not have it."""
    trained = open_trained(path, device="cpu")
    chosen = trained.postprocessing
    if chosen is not None and chosen.operations.classes and not postprocesses:
        log.warning(
            "%s: this form is the network only, without the post-processing of the run (%s)",
            *(trained.directory, chosen.in_words(trained.record.label_names)),
        )
    return trained
