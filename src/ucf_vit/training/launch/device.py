"""Device of a process."""

from __future__ import annotations

import os

import torch

from ucf_vit.core.errors import UserError
from ucf_vit.training.launch.find import find_place
from ucf_vit.training.launch.rank import Place

VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables by which SLURM and others show a process only its own devices."""


def pick_device(name: str, size: int) -> torch.device:
    """Returns the device of this process: `auto` takes CUDA/ROCm, else MPS if `size` is 1, else the CPU.

    Raises UserError if the device is not available.
    """
    if name == "auto":
        mps = size == 1 and torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if name == "cuda":
        return _pick_gpu()
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.device is mps, but this torch sees no MPS device; use cpu or auto")
    if name == "mps" and size > 1:
        raise UserError(f"trainer.device mps serves one process, not {size}; use cpu, or start one process")
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r}: expected auto, cpu, cuda or mps") from None


def gpu_index(place: Place, count: int, own: bool) -> int:
    """Returns the index of this process's GPU among the `count` that it sees.

    It is the local rank, or 0 if the launcher shows each process only its `own` GPU, as
    `srun --gpus-per-task=1 --gpu-bind=closest` does. Raises UserError if there is none.
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
