"""A folder in the layout of the Hugging Face hub: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ucf_vit.checkpoint.weights_file import write_weights
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.export.model_card import model_card
from ucf_vit.export.network_config import network_config
from ucf_vit.training.saved_runs.open_trained import Trained
from ucf_vit.weights.pretrained import hint_of

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def write_hub(trained: Trained[Any], folder: Path, licence: str = "unknown") -> None:
    """Writes the network, its weights and a model card, for `HubModel.from_pretrained`.

    Raises UserError for a network of a user's own file.
    """
    run, model = trained.run, trained.task.model
    config = json.dumps(network_config(run), indent=1, sort_keys=True)
    facts = {"patch": product(run.patch), "variables": json.dumps(list(run.input.default_vars))}
    grid = hint_of(model).grid if run.network_facts.encoder else None
    write_weights(folder / WEIGHTS, model.state_dict(), facts | ({"grid": product(grid)} if grid else {}))
    write_atomic(folder / CONFIG, config + "\n")
    write_atomic(folder / CARD, model_card(trained, licence))


def product(sides: tuple[int, ...]) -> str:
    """Returns sides as headers of weights have them: `16x16`."""
    return "x".join(map(str, sides))
