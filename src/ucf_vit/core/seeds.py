"""Random streams that depend on what is drawn for, never on which process draws."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that is a fixed function of its parts, e.g. `seed_of(run_seed, "order", epoch)`."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded with `seed_of(*parts)`."""
    return torch.Generator().manual_seed(seed_of(*parts))


def seed_generators(device: torch.device, *parts: int | str) -> None:
    """Seed the global generators of Python, NumPy and torch (see `seed_torch`) with `seed_of(*parts)`."""
    seed = seed_of(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    seed_torch(device, seed)


def seed_torch(device: torch.device, seed: int) -> None:
    """Seed torch's global generators of the CPU and of `device`.

    `torch.manual_seed` does so on all devices, and takes 0.1 ms where none of them is in use.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def rand_per_sample(keys: Tensor, shape: tuple[int, ...], purpose: str) -> Tensor:
    """Uniform noise `[B, *shape]` in [0, 1), row i a function only of `keys[i]` and `purpose`.

    `keys` is `[B]` int64. The layout over processes therefore cannot change what a sample gets.
    """
    return _per_sample(torch.rand, keys, shape, purpose)


def randn_per_sample(keys: Tensor, shape: tuple[int, ...], purpose: str) -> Tensor:
    """Standard normal noise `[B, *shape]`, otherwise as `rand_per_sample`."""
    return _per_sample(torch.randn, keys, shape, purpose)


def _per_sample(draw: Callable[..., Tensor], keys: Tensor, shape: tuple[int, ...], purpose: str) -> Tensor:
    rows = [draw(shape, generator=generator(int(key), purpose)) for key in keys.tolist()]
    return torch.stack(rows).to(keys.device)
