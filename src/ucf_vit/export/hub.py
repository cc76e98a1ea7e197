"""A folder in the layout of the Hugging Face hub: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import facts_of
from ucf_vit.checkpoint.weights_file import write_weights
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.export.model_card import model_card
from ucf_vit.export.network_config import network_config
from ucf_vit.training.saved_runs.open_trained import Trained

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def write_hub(trained: Trained[Any], folder: Path, licence: str = "unknown") -> None:
    """Writes the network, its weights and a model card, for `HubModel.from_pretrained`.

    Raises UserError for a network of a user's own file.
    """
    run, model = trained.run, trained.task.model
    config = json.dumps(network_config(run), indent=1, sort_keys=True)
    facts = {**facts_of(checkpoint.load(trained.directory)), "checkpoint": ""}  # no path of the machine
    write_weights(folder / WEIGHTS, model.state_dict(), facts)
    write_atomic(folder / CONFIG, config + "\n")
    write_atomic(folder / CARD, model_card(trained, licence))
