"""Arithmetic of diffusion: noise schedules, prediction targets and sampling, without networks."""

from ucf_vit.diffusion.process import (
    Prediction,
    add_noise,
    levels_from_signal,
    prediction_target,
    snr_weight,
    split_mixture,
)
from ucf_vit.diffusion.sampler import sample, sampling_timesteps
from ucf_vit.diffusion.schedule import ScheduleKind, make_schedule

__all__ = [
    "Prediction",
    "ScheduleKind",
    "add_noise",
    "levels_from_signal",
    "make_schedule",
    "prediction_target",
    "sample",
    "sampling_timesteps",
    "snr_weight",
    "split_mixture",
]
