"""Section `optimizer`: AdamW and the learning-rate schedule."""

from __future__ import annotations

from ucf_vit.config.sections.fields import Number, Section, Whole, key


class Optimizer(Section):
    """The optimizer (AdamW) and its learning rate: linear warm-up, then a cosine."""

    lr: Number = key(1e-4, "Learning rate after the warm-up.", gt=0)
    beta_1: Number = key(0.9, "Decay of AdamW's mean of gradients.", ge=0, lt=1)
    beta_2: Number = key(0.95, "Decay of AdamW's mean of squared gradients.", ge=0, lt=1)
    weight_decay: Number = key(
        0.05, "Weight decay; norms, biases, positions and tokens are never decayed.", ge=0
    )
    warmup_steps: Whole = key(0, "Length of the linear warm-up.", "optimizer steps", ge=0)
    max_steps: Whole | None = key(
        None,
        "Length of the schedule: from here on the learning rate is eta_min.",
        "optimizer steps",
        ge=1,
        derived="the whole training",
    )
    warmup_start_lr: Number = key(0.0, "Learning rate of the first step of the warm-up.", ge=0)
    eta_min: Number = key(0.0, "Learning rate at the end of the schedule.", ge=0)
