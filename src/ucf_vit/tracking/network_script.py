"""Code of a model in MLflow, which executes this file: a network from its arguments and safetensors."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from safetensors.torch import load_file

from ucf_vit.export.network_config import build_network


class Network(mlflow.pyfunc.PythonModel):
    """A network for images `[B, C, *S]`, normalised as in training; returns its logits."""

    def load_context(self, context: Any) -> None:
        """Builds the network and loads its weights."""
        folder = Path(context.artifacts["network"])
        self.network = build_network(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self.network.load_state_dict(load_file(folder / "model.safetensors"))
        self.network.eval()
        self.variables = tuple(context.model_config["variables"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow reads types
        """Returns logits `[B, K]`, or `[B, K, *S]` of a segmentation, as float32."""
        image = torch.from_numpy(np.asarray(model_input, dtype=np.float32))
        options = {"variables": self.variables} if self.variables else {}
        with torch.no_grad():
            return self.network(image, **options).numpy()


mlflow.models.set_model(Network())
