"""Section `tracking`: where the hook mlflow records a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, PlainSerializer, WithJsonSchema

from ucf_vit.config.sections.fields import Number, Section, key
from ucf_vit.core.errors import UserError
from ucf_vit.core.files import paths
from ucf_vit.core.files.urls import WEB, is_remote, scheme

SQLITE = "sqlite:///"


def _read_store(text: str) -> str:
    """Expands the URL of a server or the path of an SQLite file, which may be written sqlite:///path."""
    try:
        place = paths.path_or_url(text.removeprefix(SQLITE)) if text else text
    except UserError as error:
        raise ValueError(str(error)) from None
    if (is_remote(place) and scheme(place) not in WEB) or "?" in place:
        raise ValueError(f"{place}: expected the URL of an MLflow server, or the path of an SQLite file")
    return place


Store = Annotated[
    str,
    AfterValidator(_read_store),
    PlainSerializer(paths.escaped),
    WithJsonSchema({"type": "string", "format": "URL, or path of an SQLite file"}),
]
Tags = Annotated[dict[str, str], WithJsonSchema({"type": "object", "format": "tags"})]


class Tracking(Section):
    """Where the hook mlflow (trainer.hooks) records the run: docs/tracking.md."""

    store: Store = key(
        "",
        "Where MLflow keeps runs: an SQLite file, or the URL of a server. Credentials for a server come from "
        "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
        derived="mlflow.db beside trainer.checkpoint_path",
    )
    experiment: str = key("", "Experiment that the run belongs to.", derived="the task")
    name: str = key("", "Name of the run.", derived="the name of trainer.checkpoint_path")
    tags: Tags = key({}, "Tags of the run: text by name.")
    checkpoints: Literal["none", "best", "all"] = key(
        "best",
        "Checkpoints to upload: none; the best one, at the end of the run; or all, when they are saved. The "
        "weights of the best one are uploaded as a model in any case.",
    )
    wait: Number = key(
        60.0,
        "Longest time to wait at the end of a run for what is not delivered yet. The rest stays on disk, "
        "for `ucf-vit track RUN --deliver` or the next time that the run is resumed.",
        "seconds",
        ge=0,
    )
    plain_http: bool = key(
        False, "Send credentials over http:// even to another machine; anyone in between can read them."
    )
