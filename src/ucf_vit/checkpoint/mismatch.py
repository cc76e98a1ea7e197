"""Differences between the weights of a checkpoint and those of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ucf_vit.core.lists import first_and_rest

SHOWN = 3


def mismatch(own: Mapping[str, Tensor], shapes_in_file: Mapping[str, tuple[int, ...]]) -> str:
    """Returns how shapes by name differ from the network's weights `own`, in a line; empty if they fit."""
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    missing = [name for name in shapes if name not in shapes_in_file]
    more = [name for name in shapes_in_file if name not in shapes]
    others = [
        f"{name} ({_sides(shapes_in_file[name])} in place of {_sides(shape)})"
        for name, shape in shapes.items()
        if name in shapes_in_file and shapes_in_file[name] != shape
    ]
    counts = (
        (f"{len(missing)} of {len(shapes)} weights are missing", missing),
        (f"{len(more)} are not used by this network", more),
        (f"{len(others)} of {len(shapes)} have another shape", others),
    )
    texts = [f"{text}: {', '.join(first_and_rest(names, SHOWN))}" for text, names in counts if names]
    return "; ".join(texts)


def reshaped(own: Mapping[str, Tensor], shapes_in_file: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Returns the modules whose weights have other shapes; empty if anything else differs."""
    if own.keys() != shapes_in_file.keys():
        return []
    others = (name for name, tensor in own.items() if shapes_in_file[name] != tuple(tensor.shape))
    return list(dict.fromkeys(name.rpartition(".")[0] for name in others))


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
