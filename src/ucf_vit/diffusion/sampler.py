"""From noise to samples, in any number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.diffusion.process import levels_of, noise_of

Denoise = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Of a mixture `[B, ...]` after a step (number from 0), its clean values and its noise."""


def timesteps(total: int, steps: int) -> list[int]:
    """Numbers of the training's steps that sampling visits, from the last, which is noise, downwards.

    Evenly spaced from the end ("trailing": Lin et al. 2024). Raises UserError unless 1 <= steps <= total.
    """
    if not 1 <= steps <= total:
        raise UserError(
            f"{steps} sampling steps: the model was trained with {total}; expected 1 to {total} of them"
        )
    return [round(total - i * total / steps) - 1 for i in range(steps)]


def sample(
    denoise: Denoise,
    start: Tensor,
    signal: Tensor,
    steps: Sequence[int],
    eta: float,
    fresh: Callable[[int], Tensor],
    clip: bool,
) -> Tensor:
    """Samples like `start` `[B, ...]`, which is standard normal noise.

    Denoising diffusion implicit models (Song et al. 2021): with eta 0 a sample is a function of its start;
    with eta 1 every step adds as much fresh noise as the denoising diffusion model of Ho et al. (2020) with
    its smaller variance does. `signal` `[T]` is the schedule, `steps` what `timesteps` says, `fresh(i)` the
    noise `[B, ...]` of the i-th of them, asked for only where it is used. `clip`: clean values are in -1..1.
    """
    x = start
    for i, step in enumerate(steps):
        here = signal[step]
        after = signal[steps[i + 1]] if i + 1 < len(steps) else torch.ones_like(here)
        clean, noise = denoise(x, step)
        if clip:
            clean = clean.clamp(-1, 1)
            noise = noise_of(x, clean, levels_of(here))
        variance = eta**2 * (1 - after) / (1 - here) * (1 - here / after)
        x = after.sqrt().item() * clean + (1 - after - variance).clamp(min=0).sqrt().item() * noise
        if variance > 0:
            x = x + variance.sqrt().item() * fresh(i)
    return x
