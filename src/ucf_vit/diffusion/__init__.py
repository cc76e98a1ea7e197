"""Diffusion as arithmetic: how noise rises, what a network is asked for, how samples come back from noise."""

from ucf_vit.diffusion.process import Prediction, add_noise, levels_of, snr_weight, solve, target
from ucf_vit.diffusion.sampler import sample, timesteps
from ucf_vit.diffusion.schedule import ScheduleKind, schedule

__all__ = [
    "Prediction",
    "ScheduleKind",
    "add_noise",
    "levels_of",
    "sample",
    "schedule",
    "snr_weight",
    "solve",
    "target",
    "timesteps",
]
