"""The model card of a run: what it was trained on, how good it is, and how it is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ucf_vit import checkpoint
from ucf_vit.core.per_axis import product_of
from ucf_vit.inference.classes import class_names
from ucf_vit.training.evaluation_files import METRICS, SCORES, Evaluation, read_evaluations
from ucf_vit.training.inputs.used_items import used_items
from ucf_vit.training.saved_runs.open_trained import Trained

PIPELINES = {"voxel logits": "image-segmentation", "class logits": "image-classification"}


def model_card(trained: Trained[Any], licence: str) -> str:
    """Returns the text of README.md: front matter of the hub, and sections in Markdown.

    Paths of the machine do not occur in it.
    """
    return "\n".join(
        [*_front(trained, licence), *_model(trained), *_data(trained), *_results(trained), *_use()]
    )


def _front(trained: Trained[Any], licence: str) -> Iterator[str]:
    yield from ["---", f"license: {json.dumps(licence)}", "library_name: ucf_vit"]
    pipeline = PIPELINES.get(trained.run.network_facts.output or "")
    if pipeline:
        yield f"pipeline_tag: {pipeline}"
    yield from ["tags:", "- vision-transformer", f"- {trained.run.network}", "---", ""]


def _model(trained: Trained[Any]) -> Iterator[str]:
    run = trained.run
    parameters = sum(weight.numel() for weight in trained.task.model.parameters())
    yield from [f"# {run.network} for {run.task}", ""]
    yield f"- Network: `{run.network}`, {parameters:,} parameters"
    yield f"- Encoder: {run.model.depth} blocks of width {run.model.embed_dim}"
    yield f"- Channels: {', '.join(run.input.default_vars)}"
    yield f"- Tiles of {product_of(run.spatial_tile)}, patches of {product_of(run.patch)}"
    if run.network_facts.output in PIPELINES:
        yield f"- Classes: {', '.join(class_names(trained))}"
    if trained.postprocessing is not None:
        yield f"- Post-processing: {trained.postprocessing.in_words(trained.record.label_names)}"
    yield f"- Weights: step {trained.step}{', moving average' if trained.averaged else ''}"
    yield ""


def _data(trained: Trained[Any]) -> Iterator[str]:
    yield from ["## Data", ""]
    grid = trained.record.grid
    used = used_items(checkpoint.load(trained.directory).state)
    if "trained" in used:
        yield f"- Trained on {len(used['trained'])} items"
    for name, one in trained.record.normalized.items():
        yield f"- {name}: variables {', '.join(one.variables)}, values normalised by `{one.how.kind}`"
    yield f"- Grid: {grid if grid is not None and not grid.as_stored else 'as stored'}"
    if trained.record.splits is not None:
        yield f"- Splits: {trained.record.splits.about}"
    yield ""


def _results(trained: Trained[Any]) -> Iterator[str]:
    yield from ["## Results", ""]
    found = read_evaluations(Path(trained.run.trainer.checkpoint_path))
    if not found:
        yield from [
            "Not evaluated. `ucf-vit evaluate RUN --split test` writes results that are shown here.",
            "",
        ]
    for one in found:
        yield from _evaluation(one)


def _evaluation(one: Evaluation) -> Iterator[str]:
    items = sum(map(len, one.items.values()))
    title = re.sub(r"\S*/", "", one.title)  # names of checkpoints and data without their directories
    yield from [f"### {title}", "", f"{items} items, evaluated {one.written}.", ""]
    metrics = {
        name: {column: f"{value:.4g}" for column, value in row.items()} for name, row in one.by_metric.items()
    }
    yield from _table(METRICS, metrics)
    if one.summary:
        yield ""
        yield from _table(SCORES, one.by_score)
    yield ""


def _table(first: str, rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield f"| {first} | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(row.get(column, '') for column in columns)} |"


def _use() -> Iterator[str]:
    yield from ["", "## Use", "", "```python", "from ucf_vit.export.hub_model import HubModel", ""]
    yield from ['network = HubModel.from_pretrained("FOLDER").network  # a torch.nn.Module', "```", ""]
    yield from ["```bash", "ucf-vit weights inspect model.safetensors"]
    yield from ["ucf-vit train CONFIG.yaml model.pretrained=model.safetensors", "```", ""]
