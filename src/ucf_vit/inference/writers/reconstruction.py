"""Files of reconstructions: NIfTI for volumes with a place in space, else arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.files.atomic_files import replace_atomic
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.nifti import Nifti
from ucf_vit.inference.predict_item import Predicted
from ucf_vit.inference.writers.writer import FileWriter


class ReconstructionWriter(FileWriter):
    """Writes what a masked autoencoder makes of an image whose patches are masked."""

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the files of the reconstruction."""
        return reconstruction_files(case, self._output)

    def write(self, case: Case, predicted: Predicted) -> None:
        """Writes the files."""
        assert predicted.values is not None
        write_reconstruction(predicted.values, self.written(case), case)


def reconstruction_files(case: Case, directory: Path) -> Sequence[Path]:
    """Returns the files of an item: NIfTI for volumes in space, one per variable, else one .npz with all."""
    names = [case.source.variables[channel] for channel in case.dataset.channels]
    if not _is_volume(case):
        return [directory / f"{case.name}.npz"]
    suffix = Nifti().suffix(case)
    endings = [suffix] if len(names) == 1 else [f"_{name}{suffix}" for name in names]
    return [directory / f"{case.name}{ending}" for ending in endings]


def write_reconstruction(
    values: Mapping[str, NDArray[np.float32]], paths: Sequence[Path], case: Case
) -> None:
    """Writes the arrays of all variables, as `reconstruction_files` names them."""
    if not _is_volume(case):
        with replace_atomic(paths[0]) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **dict(values))  # type: ignore[arg-type]
        return
    for path, one in zip(paths, values.values(), strict=True):
        Nifti().write(path, one, case, ())


def _is_volume(case: Case) -> bool:
    """Returns whether an item is a volume with a place in space."""
    return case.source.spatial_dims == 3 and case.source.geometry(case.item) is not None
