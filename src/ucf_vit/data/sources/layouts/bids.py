"""BIDS data sets, indexed by pybids (optional)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.core.lists import first_few
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch

SAME = ("subject", "session", "run")
"""Entities that a label has in common with its image, where both have them."""
NIFTI = (".nii", ".nii.gz")


class Bids(FileSource):
    """Images of one suffix, or one per variable, of each subject and session; masks among the derivatives.

    `suffixes` are those of the images, such as `[T1w]` or `[T1w, FLAIR]` (default: the `variables`);
    `entities` narrow images down (`{acquisition: mprage}`). Labels are derivatives with the suffix `mask` or
    `dseg` (`label_suffix`) that have the entities `label_entities` (`{label: lesion}`). The subject is the
    group.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("T1w",),
        suffixes: Sequence[str] | None = None,
        entities: Mapping[str, Any] | None = None,
        label_suffix: str | Sequence[str] = ("mask", "dseg"),
        label_entities: Mapping[str, Any] | None = None,
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        if not importlib.util.find_spec("bids"):
            raise UserError(f"{root}: needs pybids; install it with: pip install 'ucf-vit[bids]'")
        if is_remote(str(root)):
            raise DataError(f"{root}: BIDS data sets are indexed in a local directory; copy them first")
        super().__init__(str(root), variables, NiftiReader(scratch, files), label_geometry)
        self.suffixes = tuple(suffixes or self.variables)
        if len(self.suffixes) not in (1, len(self.variables)):
            raise DataError(
                f"{root}: {len(self.suffixes)} suffixes ({', '.join(self.suffixes)}) for the variables "
                f"{', '.join(self.variables)}; expected one for each"
            )
        self._entities = dict(entities or {})
        self._label = {**(label_entities or {}), "suffix": label_suffix}

    def items(self) -> Sequence[Item]:
        """Returns one item per subject, session and run, sorted. Raises DataError for a missing one."""
        with reading(self.root, "not a BIDS data set"):
            images, labels = self._query()
        first, missing = self.suffixes[0], []
        items = []
        for place, files in sorted(images.items()):
            absent = [suffix for suffix in self.suffixes if suffix not in files]
            if absent:
                missing.append(f"{_name(place)} ({', '.join(absent)})")
                continue
            label = self._label_of(place, labels)
            others = tuple(files[suffix] for suffix in self.suffixes[1:])
            items.append(
                Item(_name(place), files[first], label, group=f"sub-{place[0]}", channel_files=others)
            )
        if missing:
            raise DataError(
                f"{self.root}: {len(missing)} of {len(images)} cases lack an image: {first_few(missing, 5)}; "
                "add it, or name the suffixes that all have with the option suffixes"
            )
        if not items:
            raise DataError(f"{self.root}: no image with the suffix {' or '.join(self.suffixes)} found")
        return items

    def _query(self) -> tuple[dict[tuple[str, ...], dict[str, str]], list[tuple[dict[str, Any], str]]]:
        """Returns the images by case and suffix, and the labels with their entities."""
        from bids import BIDSLayout

        derivatives = Path(self.root, "derivatives")
        layout = BIDSLayout(self.root, validate=False, derivatives=derivatives.is_dir())
        images: dict[tuple[str, ...], dict[str, str]] = {}
        wanted = {**self._entities, "suffix": list(self.suffixes), "extension": list(NIFTI)}
        for file in layout.get(scope="raw", **wanted):
            entities = file.get_entities()
            place = tuple(str(entities.get(name, "")) for name in SAME)
            others = images.setdefault(place, {})
            if entities["suffix"] in others:
                raise DataError(
                    f"{file.path} and {others[entities['suffix']]} are both the {entities['suffix']} of "
                    f"{_name(place)}; choose by the option entities, such as {{acquisition: NAME}}"
                )
            others[entities["suffix"]] = file.path
        matches = (
            layout.get(scope="derivatives", **self._label, extension=list(NIFTI))
            if derivatives.is_dir()
            else []
        )
        return images, [(file.get_entities(), file.path) for file in matches]

    def _label_of(self, place: tuple[str, ...], labels: Sequence[tuple[dict[str, Any], str]]) -> str | None:
        """Returns the only label of a case; an entity that only one of both has does not count."""
        wanted = dict(zip(SAME, place, strict=True))
        fitting = [
            path
            for entities, path in labels
            if all(not wanted[k] or k not in entities or str(entities[k]) == wanted[k] for k in SAME)
            and str(entities.get("subject", "")) == place[0]
        ]
        if len(fitting) > 1:
            raise DataError(
                f"{self.root}: {_name(place)} has {len(fitting)} masks: {first_few(sorted(fitting), 3)}; "
                "choose by the option label_entities, such as {label: lesion} or {desc: manual}"
            )
        return fitting[0] if fitting else None


def _name(place: tuple[str, ...]) -> str:
    """Returns a name such as `sub-01_ses-02_run-1`."""
    parts = zip(("sub", "ses", "run"), place, strict=True)
    return "_".join(f"{kind}-{value}" for kind, value in parts if value)
