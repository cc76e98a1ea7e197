"""Sampling from noise in any number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.diffusion.process import levels_from_signal, recover_noise

Denoise = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Maps a mixture `[B, ...]` and its step (number from 0) to its clean values and its noise."""


def sampling_timesteps(total: int, steps: int) -> list[int]:
    """Returns the training steps that sampling visits, in descending order from the last, which is noise.

    They are evenly spaced from the end ("trailing": Lin et al. 2024). Raises UserError unless
    1 <= steps <= total.
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
    draw_noise: Callable[[int], Tensor],
    clip: bool,
) -> Tensor:
    """Returns samples `[B, ...]` for standard normal noise `start` `[B, ...]`.

    Denoising diffusion implicit models (Song et al. 2021). With `eta` 0 a sample is a function of its start;
    with `eta` 1 every step adds as much noise as in the denoising diffusion model of Ho et al. (2020) with
    the smaller of its two variances.

    Args:
        denoise: estimates clean values and noise of a mixture.
        start: noise to start from.
        signal: schedule `[T]`, see `make_schedule`.
        steps: steps to visit, see `sampling_timesteps`.
        eta: fraction of the noise that is drawn anew.
        draw_noise: returns the noise `[B, ...]` for the i-th of `steps`; called only for steps that use it.
        clip: whether to clamp clean values to [-1, 1].
    """
    x = start
    for i, step in enumerate(steps):
        current = signal[step]
        following = signal[steps[i + 1]] if i + 1 < len(steps) else torch.ones_like(current)
        clean, noise = denoise(x, step)
        if clip:
            clean = clean.clamp(-1, 1)
            noise = recover_noise(x, clean, levels_from_signal(current))
        variance = eta**2 * (1 - following) / (1 - current) * (1 - current / following)
        x = following.sqrt().item() * clean + (1 - following - variance).clamp(min=0).sqrt().item() * noise
        if variance > 0:
            x = x + variance.sqrt().item() * draw_noise(i)
    return x
