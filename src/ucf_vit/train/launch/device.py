"""Which device a process computes on."""

from __future__ import annotations

import os

import torch

from ucf_vit.core.errors import UserError
from ucf_vit.train.launch.find import find_place
from ucf_vit.train.launch.rank import Place

VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""By these, SLURM and others leave a process the devices that are its own."""


def pick_device(name: str, size: int) -> torch.device:
    """The device of this process: `auto` takes CUDA/ROCm, then MPS in a world of one, then the CPU."""
    if name == "auto":
        mps = size == 1 and torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if name == "cuda":
        return _pick_gpu()
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.device is mps, but this torch sees no MPS device; use cpu or auto")
    if name == "mps" and size > 1:
        raise UserError(f"trainer.device mps serves one process, not {size}; use cpu, or start one process")
    return torch.device(name)


def gpu_index(place: Place, count: int, own: bool) -> int:
    """Which of the `count` GPUs that this process sees is its own.

    That of its local rank; the only one where the launcher has left it no other (`own`), as with
    `srun --gpus-per-task=1 --gpu-bind=closest`. Raises UserError if there is none for it.
    """
    if place.local_rank < count:
        return place.local_rank
    if count == 1 and own:
        return 0
    raise UserError(
        f"local rank {place.local_rank} of {place.local_size} has no GPU of its own: torch sees {count} here;"
        " start fewer processes per node, or set trainer.device=cpu"
    )


def _pick_gpu() -> torch.device:
    place = find_place()
    own = place.launcher != "torchrun" and any(_is_one(os.environ.get(name, "")) for name in VISIBLE)
    index = gpu_index(place, torch.cuda.device_count(), own)
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _is_one(devices: str) -> bool:
    return bool(devices) and "," not in devices
