"""How the weights of a checkpoint differ from those of a network, in a line."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ucf_vit.core.lists import first_and_rest

SHOWN = 3


def mismatch(own: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]]) -> str:
    """Returns how `found`, shapes by name, differ from the weights `own`; nothing if they fit."""
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    missing = [name for name in shapes if name not in found]
    more = [name for name in found if name not in shapes]
    others = [
        f"{name} ({_sides(found[name])} in place of {_sides(shape)})"
        for name, shape in shapes.items()
        if name in found and found[name] != shape
    ]
    counts = (
        (f"{len(missing)} of {len(shapes)} weights are missing", missing),
        (f"{len(more)} are of no use here", more),
        (f"{len(others)} of {len(shapes)} have another shape", others),
    )
    texts = [f"{text}: {', '.join(first_and_rest(names, SHOWN))}" for text, names in counts if names]
    return "; ".join(texts)


def reshaped(own: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The modules whose weights have other shapes in `found`, if that is all that differs."""
    if own.keys() != found.keys():
        return []
    others = (name for name, tensor in own.items() if found[name] != tuple(tensor.shape))
    return list(dict.fromkeys(name.rpartition(".")[0] for name in others))


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
