"""Writes weights to one safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import flush, usual_mode
from ucf_vit.core.files.outputs import check_free

SUFFIX = ".safetensors"


def check_weights_file(file: Path, overwrite: bool) -> None:
    """Raises UserError if `file` exists and `overwrite` is not set, or does not end in .safetensors."""
    if file.suffix != SUFFIX:
        raise UserError(f"{file}: weights are written as safetensors; call the file {file.stem}{SUFFIX}")
    check_free([file], overwrite)


def write_weights(file: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> int:
    """Writes tensors, and `facts` in the header, to `file`; returns the number of parameters.

    The file is complete or unchanged. Raises UserError if it cannot be written.
    """
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with usual_mode(aside):
            save_file(_unshared(whole), aside, {"format": "pt", **facts})
        flush(aside)
        aside.replace(file)
    except (OSError, SafetensorError) as cause:
        raise UserError(f"{file}: cannot be written ({cause})") from None
    finally:
        aside.unlink(missing_ok=True)
    return sum(tensor.numel() for tensor in tensors.values())


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with storages of their own, as safetensors demands: views share that of others."""
    return {
        name: tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
        for name, tensor in tensors.items()
    }
