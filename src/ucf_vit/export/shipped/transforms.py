"""Transforms of a bundle that MONAI does not have, or that give other values there."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from .images import normalise
from .postprocess import postprocess
from .resampling import Resampling

Data = Mapping[Hashable, Any]


class Normalised(MapTransform):
    """Brings values to those that the network takes; `how` is described in images.py."""

    def __init__(self, keys: Any, how: dict) -> None:
        super().__init__(keys)
        self.how = how

    def __call__(self, data: Data) -> dict:
        """Returns the data with the keys changed."""
        normal = partial(normalise, how=self.how)
        return {**data, **{key: _changed(data[key], normal) for key in self.key_iterator(data)}}


class Resampled(MapTransform, InvertibleTransform):
    """Brings volumes to a spacing in mm by splines, and logits back by linear interpolation."""

    def __init__(self, keys: Any, spacing: list[float]) -> None:
        super().__init__(keys)
        self.spacing = spacing

    def __call__(self, data: Data) -> dict:
        """Returns the data with the keys resampled."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            image = changed[key]
            sides, plan = list(image.shape[1:]), self._plan(image.shape[1:], image.affine)
            place = np.diag([*plan.steps, 1.0])
            place[:3, 3] = plan.offsets
            known = {"sides": sides, "affine": np.asarray(image.affine)}
            changed[key] = _changed(image, plan.forward)
            self.push_transform(changed[key], affine=torch.from_numpy(place), extra_info=known)
        return changed

    def inverse(self, data: Data) -> dict:
        """Returns the data with the keys on the grid on which they were before."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            known = self.pop_transform(changed[key])["extra_info"]
            changed[key] = _changed(changed[key], self._plan(known["sides"], known["affine"]).back)
            changed[key].affine = torch.as_tensor(known["affine"])
        return changed

    def _plan(self, sides: Any, affine: Any) -> Resampling:
        return Resampling([int(side) for side in sides], _spacing(affine), self.spacing)


class Postprocessed(MapTransform):
    """Post-processes the numbers of classes [1, *S]; `operations` are described in postprocess.py."""

    def __init__(self, keys: Any, operations: dict) -> None:
        super().__init__(keys)
        self.operations = operations

    def __call__(self, data: Data) -> dict:
        """Returns the data with the keys changed."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            voxel = prod(_spacing(changed[key].affine).tolist())
            changed[key] = _changed(changed[key], partial(self._postprocess, voxel=voxel))
        return changed

    def _postprocess(self, labels: np.ndarray, voxel: float) -> np.ndarray:
        return postprocess(labels[0], self.operations, voxel)[None]


def _spacing(affine: Any) -> np.ndarray:
    return np.linalg.norm(np.asarray(affine, np.float64)[:3, :3], axis=0)


def _changed(image: MetaTensor, function: Callable[[np.ndarray], np.ndarray]) -> MetaTensor:
    """Returns what `function` makes of the values, with the metadata and on the device of `image`."""
    values = torch.from_numpy(np.ascontiguousarray(function(image.cpu().numpy())))
    return MetaTensor(values.to(image.device), meta=image.meta, applied_operations=image.applied_operations)
