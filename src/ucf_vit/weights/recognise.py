"""Finds out of which family tensors are, under prefixes that other programs put before their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.lists import first_and_rest
from ucf_vit.weights.converted import Converted, Family, Hint
from ucf_vit.weights.families import established, mae_authors, monai_unetr, monai_vit, own, timm_vit
from ucf_vit.weights.families.missing_blocks import check_blocks

FAMILIES: tuple[Family, ...] = (
    own.FAMILY,
    established.FAMILY,
    mae_authors.FAMILY,
    timm_vit.FAMILY,
    monai_unetr.FAMILY,
    monai_vit.FAMILY,
)
"""All families; those that have names of another one and more come before it."""

PREFIXES = ("module.", "model.", "net.", "network.", "backbone.", "ema_model.", "model_ema.")
"""Names of a network within others: of DDP, Lightning, moving averages."""
COMPILED = "_orig_mod."
"""Part of the name of a compiled module, at any depth."""
DEEPEST = 4


def recognise(tensors: Mapping[str, Tensor]) -> tuple[Family, str]:
    """Returns the family of tensors, and the prefix of their names. Raises UserError if there is none."""
    names = {name.replace(COMPILED, "") for name in tensors}
    prefixes = [""]
    for _ in range(DEEPEST):
        for prefix in prefixes:
            inner = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            for family in FAMILIES:
                if family.recognises(inner):
                    return family, prefix
        prefixes = [
            old + new
            for old in prefixes
            for new in PREFIXES
            if any(one.startswith(old + new) for one in names)
        ]
    check_blocks(names)
    known = ", ".join(family.name for family in FAMILIES)
    shown = ", ".join(first_and_rest(sorted(tensors), 5))
    raise UserError(f"no weights of a known network ({known}) among its {len(tensors)} tensors: {shown}")


def convert(tensors: Mapping[str, Tensor], hint: Hint = Hint()) -> tuple[Family, Converted]:
    """Returns the family of tensors, and the tensors converted.

    Raises UserError if the family is not known, or if its network has blocks that the networks here do not
    have.
    """
    family, prefix = recognise(tensors)
    within, outside = {}, {}
    for name in tensors:
        plain = name.replace(COMPILED, "")
        if plain.startswith(prefix):
            within[plain.removeprefix(prefix)] = name
        else:
            outside[name] = f"not of {prefix.rstrip('.')}"
    found = family.convert(_Renamed(tensors, within), hint)
    return family, replace(found, left={**found.left, **outside})


class _Renamed(Mapping[str, Tensor]):
    """Tensors under other names; each is read where it is used."""

    def __init__(self, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names
