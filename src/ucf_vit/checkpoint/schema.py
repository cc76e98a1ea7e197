"""Schema of the metadata and the state of a checkpoint: types and ranges of values.

Checkpoints may come from anywhere. Whatever they contain, reading gives values of the right types or a
CheckpointError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ucf_vit.config.legacy_layout import in_sections
from ucf_vit.core.errors import CheckpointError, UserError, brief

FORMAT = 2
WEIGHTS, AVERAGED, OPTIMIZER, STATE = "model", "ema", "optimizer", "state"
_LONGEST, _DEEPEST = 2**20, 20
"""Largest number of bytes and of levels of a config in a checkpoint."""
_KINDS = "|".join((WEIGHTS, AVERAGED, OPTIMIZER, STATE))
_FILE = re.compile(rf"({_KINDS})(?:-(\d{{5,9}})-of-(\d{{5,9}}))?\.(safetensors|pt)")
T = TypeVar("T")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


def _files(sums: dict[str, str]) -> dict[str, str]:
    kinds = set()
    for name in sums:
        match = _FILE.fullmatch(name)
        good = match is not None and (match[4] == "pt") == (match[1] == STATE)
        if match is None or not good or not 1 <= int(match[2] or 1) <= int(match[3] or 1):
            raise ValueError(f"{name[:80]!r} is not a file of a checkpoint")
        kinds.add(match[1])
    if STATE not in kinds:
        raise ValueError(f"{STATE}.pt is missing")
    return sums


Count = Annotated[int, Field(ge=0, le=2**53)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=500), AfterValidator(_printable)]
Sums = Annotated[dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]], AfterValidator(_files)]
_STRICT = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)


@with_config(_STRICT)
class Meta(TypedDict):
    """Contents of `meta.json`. `number` counts the checkpoints that were saved in a directory."""

    format: Literal[2]
    step: Count
    sha256: Sums
    versions: dict[Text, Text]
    number: NotRequired[Count]
    written: NotRequired[Finite]
    epoch: NotRequired[Count]
    task: NotRequired[Text]
    grid: NotRequired[Annotated[list[Annotated[int, Field(ge=1, le=2**31)]], Field(max_length=3)]]
    metrics: NotRequired[dict[Text, float]]
    layout: NotRequired[dict[Text, Text | Count]]
    config: NotRequired[Annotated[str, Field(max_length=_LONGEST)]]


@with_config(_STRICT)
class Scale(TypedDict):
    """State of the loss scale, of a run in float16."""

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    good: Count


@with_config(_STRICT)
class Averaging(TypedDict):
    """State of the averaged weights: the number of updates."""

    updates: Count


@with_config(_STRICT)
class DataPosition(TypedDict):
    """Position in the data; the order of an epoch may add values, see `EpochOrder.state`."""

    epoch: Count
    position: Count
    order: Literal["global", "rank"]
    ranks: Annotated[int, Field(ge=1, le=2**31)]
    global_batch: Annotated[int, Field(ge=1, le=2**53)]
    taken: NotRequired[list[Count]]
    steps: NotRequired[Count]
    legs: NotRequired[list[Any]]


@with_config(_STRICT)
class SavedState(TypedDict):
    """Contents of `state.pt`, from `State.state_dict`."""

    step: Count
    steps_per_epoch: Annotated[int, Field(ge=1, le=2**53)]
    total_steps: NotRequired[Annotated[int, Field(ge=1, le=2**53)]]
    best: Finite | None
    stale: Count
    stream: DataPosition
    held_out: NotRequired[Text]
    scale: NotRequired[Scale | dict[str, None]]
    ema: NotRequired[Averaging | None]


@with_config(_STRICT)
class InputSection(TypedDict):
    """Section `input` of a config."""

    default_vars: list[str]


@with_config(_STRICT)
class OptimizerSection(TypedDict):
    """Section `optimizer` of a config."""

    lr: NotRequired[Finite]
    warmup_steps: NotRequired[Count]
    max_steps: NotRequired[Count | None]
    warmup_start_lr: NotRequired[Finite]
    eta_min: NotRequired[Finite]


@with_config(_STRICT)
class DataSection(TypedDict):
    """Section `data` of a config."""

    dict_root_dirs: dict[str, Any]


@with_config(_STRICT)
class Sections(TypedDict):
    """Sections of a config that are read from a checkpoint."""

    model: NotRequired[dict[str, Any]]
    input: InputSection
    adaptive: NotRequired[dict[str, Any]]
    variables: NotRequired[dict[str, Any]]
    diffusion: NotRequired[dict[str, Any]]
    optimizer: NotRequired[OptimizerSection]
    data: DataSection
    trainer: NotRequired[dict[str, Any]]
    dataset_options: NotRequired[dict[str, Any]]


_META = TypeAdapter(Meta)
_SECTIONS = TypeAdapter(Sections)
_STATE = TypeAdapter(SavedState)


def parse_meta(text: bytes, path: Path) -> dict[str, Any]:
    """Returns the contents of `meta.json`. Raises CheckpointError with `path` and the problem."""
    return _checked(lambda: dict(_META.validate_json(text)), path)


def check_state(state: Mapping[str, Any], path: Path) -> None:
    """Raises CheckpointError with `path` if a run cannot be resumed from `state`."""
    _checked(lambda: _STATE.validate_python(state), path)


def parse_config(text: str, path: Path) -> dict[str, Any]:
    """Returns the config in a checkpoint, with every key in its current section.

    Raises CheckpointError with `path`. It does not use libyaml, which is faster, since that refuses file
    names that are not UTF-8.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
                raise ValueError("aliases, or too many levels")
        values = yaml.load(text, Loader=yaml.SafeLoader)
        values = in_sections(values) if isinstance(values, dict) else values
        return dict(_SECTIONS.validate_python(values))
    except ValidationError as error:
        raise _damaged(error, path, "config.") from None
    except (yaml.YAMLError, UserError, ValueError, LookupError, TypeError) as cause:
        raise CheckpointError(f"{path}: config: not that of a run ({brief(cause)})") from None


def kind_of(file: str) -> str:
    """Returns the kind of a file of a checkpoint, such as `WEIGHTS`."""
    return file.split(".")[0].split("-")[0]


def _checked(work: Callable[[], T], path: Path) -> T:
    try:
        return work()
    except ValidationError as error:
        raise _damaged(error, path) from None


def _damaged(error: ValidationError, path: Path, within: str = "") -> CheckpointError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = within + ".".join(str(part)[:80] for part in first["loc"])
    problem = f"{where}: {first['msg']}" if where else first["msg"]
    return CheckpointError(f"{path}: not of a checkpoint of format {FORMAT} ({brief(problem)})")
