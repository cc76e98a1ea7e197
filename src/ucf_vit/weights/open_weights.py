"""Opens weights by a path or URL: a file of any family, or a checkpoint of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import facts_of
from ucf_vit.checkpoint.locate import locate
from ucf_vit.core.errors import CheckpointError, UserError, brief
from ucf_vit.core.files.urls import is_remote
from ucf_vit.data.storage import Files
from ucf_vit.weights.converted import Converted, Family, Hint
from ucf_vit.weights.recognise import convert
from ucf_vit.weights.tensor_file import is_safetensors, read_tensors, without_values


@dataclass(frozen=True)
class Opened:
    """Weights of a known family: `tensors` as they are in the file, `converted` with the names here.

    `channels` are the names of the channels that they were trained with, `classes` those of the classes,
    and `facts` all that the file tells, see `ucf_vit.checkpoint.inspect.facts_of`; each empty if it does not.
    """

    place: str
    family: Family
    tensors: Mapping[str, Tensor]
    converted: Converted
    facts: Mapping[str, str]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return _names(self.facts, "variables")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return _names(self.facts, "classes")

    @property
    def tile(self) -> tuple[int, ...] | None:
        """Sides of the tile; None: not known."""
        return _sides(self.facts.get("tile", ""))

    @property
    def num_heads(self) -> int | None:
        """Number of heads; None: not known."""
        known = _sides(self.facts.get("num_heads", ""))
        return known[0] if known else None


def open_weights(
    place: str, hint: Hint = Hint(), *, values: bool = True, files: Files | None = None
) -> Opened:
    """Opens the weights at a path or URL; with `values` false, only names, shapes and types are read.

    Facts that the file does not tell are those of `hint`. Raises CheckpointError naming the file, also where
    its network has blocks that the networks here do not have.
    """
    files = files or Files()  # its copies of remote files are removed with it
    path = files.local(place) if is_remote(place) else Path(place)
    if path.is_dir() or not path.exists():
        read = checkpoint.load(locate(path))
        tensors: Mapping[str, Tensor] = read.for_inference
        facts = facts_of(read)
    else:
        tensors, facts = read_tensors(path), _header(path)
    hint = _with_facts(hint, facts)
    try:
        family, converted = convert(tensors if values else without_values(tensors), hint)
    except CheckpointError:
        raise
    except UserError as error:
        raise CheckpointError(f"{place}: {error}") from None
    except (RuntimeError, ValueError, LookupError, TypeError) as cause:
        raise CheckpointError(f"{place}: its tensors are not of these shapes ({brief(cause)})") from None
    return Opened(place, family, tensors, converted, facts)


def _header(path: Path) -> dict[str, str]:
    """Returns the facts in the header of a safetensors file."""
    if not is_safetensors(path):
        return {}
    with safe_open(path, framework="pt") as content:
        return content.metadata() or {}


def _with_facts(hint: Hint, facts: Mapping[str, str]) -> Hint:
    grid, patch = (_sides(facts.get(name, "")) for name in ("grid", "patch"))
    known = replace(hint, grid=grid or hint.grid, patch=patch or hint.patch)
    return replace(known, variables=_names(facts, "variables") or hint.variables)


def _sides(text: str) -> tuple[int, ...] | None:
    parts = text.split("x")
    return tuple(map(int, parts)) if all(part.isascii() and part.isdigit() for part in parts) else None


def _names(facts: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        names = json.loads(facts.get(key, "[]"))
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
