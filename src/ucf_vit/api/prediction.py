"""Prediction for one image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files import format_by_name, format_of, label_classes
from ucf_vit.inference.predict_item import Predicted
from ucf_vit.inference.writers import reconstruction_files, write_reconstruction


@dataclass(frozen=True, repr=False)
class Prediction:
    """Prediction for one image, on the grid on which the image is stored.

    Attributes:
        name: name of the image, without suffix.
        file: path or URL of the image, "array" for an array.
        classes: names of the K classes.
        labels: class numbers `[*S]` of a segmentation, None for other tasks.
        probabilities: `[K]` of a classification; `[K, *S]` float16 of a segmentation where requested.
        values: reconstruction `[*S]` of each variable by a masked autoencoder, in the values of the file.
        affine: `[4, 4]`, position of the voxels in mm; None where it is not known, as for pictures.
        spacing: distance of voxels along each axis in mm, None where it is not known.
    """

    name: str
    file: str
    classes: tuple[str, ...]
    labels: NDArray[Any] | None
    probabilities: NDArray[Any] | None
    values: Mapping[str, NDArray[np.float32]] | None
    affine: NDArray[np.float64] | None
    spacing: tuple[float, ...] | None
    _case: Case = field(repr=False)

    @classmethod
    def of(cls, case: Case, classes: tuple[str, ...], found: Predicted) -> Prediction:
        """Returns the prediction for an item."""
        grid = case.grid
        stored = case.source.geometry(case.item) if grid is None else grid.stored
        affine, spacing = (None, None) if stored is None else (stored.affine, stored.spacing)
        outputs = found.labels, found.probabilities, found.values
        return cls(case.name, case.item.image, classes, *outputs, affine, spacing, case)

    @property
    def label(self) -> str:
        """Name of the most probable class of the whole image. Raises UserError for other tasks."""
        if self.labels is not None:
            raise UserError(f"{self.name}: a segmentation has a class per voxel, in labels")
        if self.probabilities is None:
            raise UserError(f"{self.name}: a reconstruction has no classes, only values")
        return self.classes[int(self.probabilities.argmax())]

    def counts(self) -> dict[str, int]:
        """Returns the number of voxels of each class of a segmentation."""
        numbers = np.bincount(self._labels().ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, map(int, numbers), strict=True))

    def save(self, path: str | Path) -> Path:
        """Writes the labels of a segmentation, or a reconstruction, exactly on the grid of the image.

        Returns the path. Its suffix is that of the format: `.nii.gz`, `.nii`, `.nrrd`, `.mha`, `.zarr` or
        `.tif` for labels of volumes, `.png`, `.tif` or `.zarr` for those of pictures. A directory, or a path
        without a suffix, gets files as `ucf-vit predict` writes them: with the name of the image, in its
        format; a reconstruction has no other place. Raises UserError for a suffix of no format, and where the
        image would be replaced: for its own path, and for a directory of images.
        """
        ends_as_folder = str(path).endswith(("/", os.sep))
        path = Path(path)
        self._check_apart(path)
        into = ends_as_folder or not path.suffix or (path.is_dir() and path.suffix != ".zarr")
        if self.values is not None:
            if not into:
                raise UserError(f"{path}: a reconstruction is saved in a directory; leave {path.suffix} out")
            write_reconstruction(self.values, reconstruction_files(self._case, path), self._case)
            return path
        if into:
            path = path / f"{self.name}{format_of(self._case, None).suffix(self._case)}"
            self._check_apart(path)
        chosen = format_by_name(path.name, self._case)
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen.write(path, self._labels(), self._case, label_classes(self.classes))
        return path

    def _check_apart(self, path: Path) -> None:
        """Raises UserError where a file is the image, or a directory holds it."""
        place = path.resolve()
        for part in self._case.dataset.source.parts(self._case.item):
            if not is_remote(part) and place in (Path(part).resolve(), Path(part).parent.resolve()):
                raise UserError(
                    f"{path}: {'holds the image' if path.is_dir() else 'is the image itself,'} {part}; save "
                    "its labels in another directory"
                )

    def _labels(self) -> NDArray[Any]:
        if self.labels is None:
            other = "reconstruction has no classes, only values"
            classified = "classification has no class per voxel, only label"
            raise UserError(f"{self.name}: a {classified if self.values is None else other}")
        return self.labels

    def __repr__(self) -> str:
        if self.labels is not None:
            total = self.labels.size
            parts = [f"{name} {number / total:.1%}" for name, number in self.counts().items() if number]
            return f"Prediction({self.name}: {self._grid(self.labels)}; {', '.join(parts)})"
        if self.values is not None:
            grid = self._grid(next(iter(self.values.values())))
            return f"Prediction({self.name}: {grid}; values of {', '.join(self.values)})"
        probability = 0.0 if self.probabilities is None else float(self.probabilities.max())
        return f"Prediction({self.name}: {self.label}, {probability:.1%})"

    def _grid(self, array: NDArray[Any]) -> str:
        spacing = self.spacing and ", " + " x ".join(f"{step:g}" for step in self.spacing) + " mm"
        return " x ".join(map(str, array.shape)) + (spacing or "")
