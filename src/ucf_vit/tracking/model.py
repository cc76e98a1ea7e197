"""The best network of a run as a model of MLflow: safetensors, with a signature."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ucf_vit import __version__
from ucf_vit.export.hub import write_hub
from ucf_vit.export.program import OUTPUTS
from ucf_vit.training.saved_runs.open_trained import Trained, open_trained

SCRIPT = Path(__file__).with_name("network_script.py")


def write_model(directory: Path, folder: Path) -> Path:
    """Writes the network of the run in `directory` to `folder`, and returns it.

    It has the best weights as safetensors, its arguments as JSON and a model card. A network that is a
    function of an image is also a model that `mlflow.pyfunc.load_model` opens: images `[B, C, *S]` to logits.
    Its code is a script of 30 lines; nothing is unpickled. Raises UserError for a network of a user's own
    file.
    """
    trained = open_trained(directory, device="cpu")
    if trained.run.network_facts.output not in OUTPUTS or trained.run.adaptive.adaptive_patching:
        write_hub(trained, folder)
        return folder
    network = folder.with_name("network")
    write_hub(trained, network)
    _save(trained, network, folder)
    return folder


def _save(trained: Trained[Any], network: Path, folder: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    run = trained.run
    classes: tuple[int, ...] = (-1, run.num_classes)
    if run.network_facts.output == "voxel logits":
        classes += run.spatial_tile
    single = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(single, (-1, run.in_channels, *run.spatial_tile))]),
        outputs=Schema([TensorSpec(single, classes)]),
    )
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(SCRIPT),
            artifacts={"network": str(network)},
            signature=signature,
            pip_requirements=[f"ucf_vit=={__version__}"],
            model_config={
                "variables": list(run.input.default_vars) if run.variables.use_varemb else [],
                "class_names": list(trained.record.class_names),
            },
        )
