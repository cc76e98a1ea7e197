"""Files of a program: torch's own (.pt2), and ONNX."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import torch

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import replace_atomic
from ucf_vit.export.program import Program

IMAGE, LOGITS = "image", "logits"


def write_torch(program: Program, path: Path) -> None:
    """Writes a program that `torch.export.load(path).module()` runs without this package, checked."""
    with replace_atomic(path) as temporary:
        with temporary.open("wb") as stream:
            torch.export.save(program.traced, stream)
        with temporary.open("rb") as stream:
            program.check(torch.export.load(stream).module(), str(path))


def write_onnx(program: Program, path: Path) -> None:
    """Writes a program with the input "image" `[batch, C, *S]` and the output "logits", checked by
    onnxruntime.

    Raises UserError without the packages of the extra `onnx`.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401, which torch.onnx needs
    except ImportError:
        raise UserError("ONNX needs onnx, onnxscript and onnxruntime: pip install 'ucf-vit[onnx]'") from None
    with replace_atomic(path) as temporary:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                program.traced,
                None,
                temporary,
                input_names=[IMAGE],
                output_names=[LOGITS],
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        program.check(lambda image: torch.from_numpy(session.run(None, {IMAGE: image.numpy()})[0]), str(path))
