"""Section `diffusion`: noise, prediction and conditions of a diffusion model."""

from __future__ import annotations

from typing import Literal

from ucf_vit.config.sections.fields import Number, Section, Whole, key


class Diffusion(Section):
    """Noise, prediction and conditions of a diffusion model."""

    num_time_steps: Whole = key(
        1000, "Diffusion: steps from an image to noise while training.", "steps", ge=1, le=1_000_000
    )
    noise_schedule: Literal["linear", "cosine"] = key(
        "linear",
        "Diffusion: how noise rises; linear, of 25 steps or more, is scaled so that the last one is noise.",
    )
    prediction: Literal["epsilon", "v", "clean"] = key(
        "epsilon",
        "Diffusion: what the network predicts: epsilon, the noise; v, a mixture of it and the image; clean, "
        "the image, for patches of more pixels than tokens have features.",
    )
    min_snr: Number = key(
        0.0,
        "Diffusion: largest signal-to-noise ratio that counts in the loss, 5 in the paper; 0: all steps "
        "count the same.",
        "variance of signal over noise",
        ge=0,
    )
    conditioning: Literal["adaln", "add"] = key(
        "adaln",
        "Diffusion: how step and labels come in: adaln modulates every block, add adds them to the tokens.",
    )
    conditions: list[Literal["class", "dataset"]] = key(
        [],
        "Diffusion: labels that condition the network in addition to the step; samples can be drawn for "
        "given ones.",
    )
    condition_dropout: Number = key(
        0.1,
        "Diffusion: chance that a condition of a training sample is hidden, which guidance and samples "
        "without conditions need.",
        "fraction",
        ge=0,
        lt=1,
    )
