"""Starts a network from weights of another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.core.lists import first_few
from ucf_vit.data.storage import Files
from ucf_vit.models.transfer import transfer
from ucf_vit.models.transfer_report import Transfer
from ucf_vit.nn.embedding.embed import Positions
from ucf_vit.options import PretrainedOptions
from ucf_vit.weights.converted import Hint
from ucf_vit.weights.open_weights import Opened, open_weights
from ucf_vit.weights.recognise import convert


def load_pretrained(
    target: nn.Module,
    place: str,
    *,
    channels: Sequence[str] = (),
    options: PretrainedOptions = PretrainedOptions(),
    files: Files | None = None,
) -> tuple[Opened, Transfer]:
    """Copies the weights at a path or URL into a network, in place; returns them and a report.

    `channels` are the names of the network's channels, if known; see `ucf_vit.models.transfer`. Raises
    CheckpointError naming the file if it holds no weights of a known family, if none of its encoder fits, or
    if values are not finite.
    """
    opened = open_weights(place, hint_of(target), files=files)
    if opened.channels and not options.pretrained_channels:
        options = replace(options, pretrained_channels=opened.channels)
    found = opened.converted
    try:
        report = transfer(target, found.weights, found.source, channels=channels, options=options)
    except UserError as error:
        raise CheckpointError(f"{place} ({opened.family.name}): {error}") from None
    report.left |= found.left
    values = target.state_dict()
    if broken := [name for name in sorted(report.arrived) if not bool(values[name].isfinite().all())]:
        raise CheckpointError(f"{place}: holds values that are not finite, in {first_few(broken)}")
    return opened, report


def take(
    target: nn.Module, tensors: Mapping[str, Tensor], options: PretrainedOptions = PretrainedOptions()
) -> Transfer:
    """Copies tensors of a known family, such as the state dict of a timm network, into a network, in place.

    Returns the report. Raises UserError as `load_pretrained` does.
    """
    _, found = convert(tensors, hint_of(target))
    report = transfer(target, found.weights, found.source, options=options)
    report.left |= found.left
    return report


def hint_of(target: nn.Module) -> Hint:
    """Returns the facts about a network that files of weights may leave open."""
    seen = target.input
    grid = target.positions.grid if type(target.positions) is Positions else None
    names = () if seen.variables is None else tuple(seen.variables.names)
    return Hint(grid=grid, patch=seen.patch_size, variables=names)
