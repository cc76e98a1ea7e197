"""Features of images: the tokens of a network's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.encoder import Encoder
from ucf_vit.patching.tree.paste import place_on_grid
from ucf_vit.patching.tree.patches import Patches


@dataclass(frozen=True)
class Features:
    """Outputs of an encoder of width D for B images of L tokens.

    Attributes:
        tokens: `[B, L, D]`, after the last norm, without the class token.
        class_token: `[B, D]`, None for a network without one.
        maps: `[B, D, *G]` on the grid of patches, one for each of the requested blocks, before the last norm.
    """

    tokens: Tensor
    class_token: Tensor | None = None
    maps: tuple[Tensor, ...] = ()


def features(
    network: nn.Module,
    image: Tensor | Patches,
    blocks: Sequence[int] = (),
    *,
    variables: Sequence[str] | None = None,
) -> Features:
    """Returns the features of images `[B, C, *S]`, or of adaptive patches, by a vit, mae, unetr or sap.

    Nothing is masked. `blocks` are numbers of blocks from 0, negative ones from the end, whose outputs are
    returned as maps. `variables` are the names of the channels, for a network that knows them by name. Raises
    UserError for a network without an encoder of this kind, for a block that it lacks, and for images of
    another shape than it was built for.

    >>> network = create_model("vit_tiny", tile_size=(64, 64), num_classes=2, depth=3)
    >>> found = features(network, torch.zeros(1, 3, 64, 64), blocks=[0, -1])
    >>> found.tokens.shape, found.class_token.shape, found.maps[-1].shape
    (torch.Size([1, 16, 192]), torch.Size([1, 192]), torch.Size([1, 192, 4, 4]))
    """
    encoder = _encoder_of(network)
    taps = _numbers(blocks, len(encoder.blocks))
    numbers = network.input.numbers(variables)
    values, boxes, valid = network.input.split(image, numbers)
    tokens = network.positions(network.embed(values, numbers), boxes=boxes)
    class_token = getattr(network, "class_token", None)
    if class_token is not None:
        tokens = class_token(tokens)
    output, inner = encoder(network.drop(tokens), sorted(set(taps)), valid=valid)
    by_block = dict(zip(sorted(set(taps)), inner, strict=True))
    extra = 0 if class_token is None else 1
    maps = tuple(_on_grid(network, by_block[tap][:, extra:], boxes) for tap in taps)
    return Features(output[:, extra:], output[:, 0] if extra else None, maps)


def _encoder_of(network: nn.Module) -> Encoder:
    parts = ("input", "embed", "positions", "drop", "encoder")
    encoder = getattr(network, "encoder", None)
    complete = all(hasattr(network, part) for part in parts) and not hasattr(network, "conditions")
    if not complete or not isinstance(encoder, Encoder):
        raise UserError(
            f"a {type(network).__name__} has no features of images; those of vit, mae, unetr and sap have"
        )
    return encoder


def _numbers(blocks: Sequence[int], depth: int) -> list[int]:
    for block in blocks:
        if not -depth <= block < depth:
            raise UserError(f"block {block}: the encoder has blocks 0 to {depth - 1}, or -1 for the last")
    return [block % depth for block in blocks]


def _on_grid(network: nn.Module, tokens: Tensor, patches: Patches | None) -> Tensor:
    """Tokens `[B, L, D]` to `[B, D, *G]`; a cell of adaptive patches gets the leaves that lie there."""
    if patches is None:
        return tokens.unflatten(1, network.input.grid.shape).movedim(-1, 1)
    return place_on_grid(tokens, patches.leaves, network.input.patch_size).movedim(-1, 1)
