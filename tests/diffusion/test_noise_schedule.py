"""Noise levels and sampling steps are those of `diffusers` and of the papers."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.diffusion import (
    add_noise,
    levels_from_signal,
    make_schedule,
    prediction_target,
    sample,
    sampling_timesteps,
    snr_weight,
    split_mixture,
)

KINDS = ("epsilon", "v", "clean")
BETAS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}

SIGNAL = {
    ("linear", 1000): {0: 0.9999, 249: 0.5240853, 499: 0.07858723, 749: 0.003350551, 999: 4.03583e-05},
    ("linear", 100): {0: 0.999, 49: 0.074197, 99: 2.039009e-05},
    ("linear", 50): {0: 0.998, 24: 0.06908898, 49: 7.744763e-06},
    ("cosine", 1000): {0: 0.9999587, 249: 0.8470122, 499: 0.4938435, 998: 2.428766e-06, 999: 2.428735e-09},
    ("cosine", 50): {0: 0.9982525, 24: 0.4938436, 49: 9.711807e-07},
}
"""Of diffusers 0.42: DDPMScheduler(T, 0.1 / T, 20 / T, kind).alphas_cumprod (float32) at some steps."""


SAMPLES = {
    ("linear", "epsilon", 0.0): [-1.0000000, -0.4904692, -1.0000000],
    ("linear", "epsilon", 1.0): [0.3133943, 0.8208953, -1.0000000],
    ("linear", "v", 0.0): [-1.0000000, -0.1719520, -0.3715409],
    ("linear", "v", 1.0): [0.3846963, 0.5277522, -0.8940159],
    ("linear", "clean", 0.0): [-0.4020234, -0.0189736, -0.2797143],
    ("linear", "clean", 1.0): [0.6812075, 0.7490772, -0.1998827],
    ("cosine", "epsilon", 0.0): [-1.0000000, -0.4928164, -1.0000000],
    ("cosine", "epsilon", 1.0): [0.3237716, 0.6168465, -0.5597884],
    ("cosine", "v", 0.0): [-1.0000000, -0.1579844, -0.3656773],
    ("cosine", "v", 1.0): [0.2086594, 0.4489290, -0.7592636],
    ("cosine", "clean", 0.0): [-0.3193554, 0.0303899, -0.2068256],
    ("cosine", "clean", 1.0): [0.6424529, 0.7081417, -0.0049518],
}
"""Of diffusers 0.42, in 25 steps with `guess`, clipped: DDIMScheduler (eta 0) and DDPMScheduler (eta 1)."""


def test_signal_equals_recorded_values_of_diffusers() -> None:
    for (kind, steps), known in SIGNAL.items():
        signal = make_schedule(kind, steps)
        for step, value in known.items():
            assert signal[step].item() == pytest.approx(value, rel=2e-5, abs=1e-6), (kind, steps, step)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [50, 100, 1000, 1234])
def test_last_step_is_noise_and_signal_only_falls(kind: str, steps: int) -> None:
    signal = make_schedule(kind, steps)
    assert signal.shape == (steps,)
    assert (signal.diff() < 0).all()
    assert 0 < signal[-1] < 1e-4
    assert signal[0] > 0.99


@given(kind=st.sampled_from(KINDS), step=st.integers(0, 199), seed=st.integers(0, 99))
def test_split_mixture_inverts_mixing(kind: str, step: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    levels = levels_from_signal(make_schedule("cosine", 200)[step].expand(3))
    mixture = add_noise(clean, noise, levels)
    found = split_mixture(kind, prediction_target(kind, clean, noise, levels), mixture, levels)
    torch.testing.assert_close(found, (clean, noise), rtol=1e-6, atol=1e-6)


def test_v_target_follows_its_definition() -> None:
    levels = levels_from_signal(torch.tensor([0.64]))
    assert prediction_target("v", torch.tensor([2.0]), torch.tensor([5.0]), levels).item() == pytest.approx(
        0.8 * 5 - 0.6 * 2
    )


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weights_agree_in_clean_values(kind: str) -> None:
    signal, largest = make_schedule("linear", 100), 5.0
    weight = snr_weight(kind, levels_from_signal(signal), largest)
    snr = signal / (1 - signal)
    share_of_squared_error = {"epsilon": snr, "v": snr + 1, "clean": torch.ones_like(snr)}[kind]
    torch.testing.assert_close(weight * share_of_squared_error, snr.clamp(max=largest))


@given(total=st.integers(1, 1500), share=st.floats(0, 1))
def test_sampling_begins_at_the_last_step_and_only_falls(total: int, share: float) -> None:
    steps = max(1, round(share * total))
    found = sampling_timesteps(total, steps)
    assert len(found) == steps
    assert found[0] == total - 1
    assert all(a > b >= 0 for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("steps", [0, 11, -1])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(UserError, match="expected 1 to 10"):
        sampling_timesteps(10, steps)
    with pytest.raises(UserError, match="linear needs 25 or more; cosine takes any"):
        make_schedule("linear", 24)
    with pytest.raises(UserError, match="use linear or cosine"):
        make_schedule("sine", 100)


def test_a_perfect_denoiser_returns_the_only_image() -> None:
    image, signal = torch.rand(2, 1, 4, 4) * 2 - 1, make_schedule("linear", 100)

    def denoise(x: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return image, (x - signal[step].sqrt() * image) / (1 - signal[step]).sqrt()

    start = torch.randn(2, 1, 4, 4)
    for eta in (0.0, 0.5, 1.0):
        found = sample(
            denoise,
            start,
            signal,
            sampling_timesteps(100, 7),
            eta,
            lambda i: torch.randn_like(start),
            clip=True,
        )
        torch.testing.assert_close(found, image.to(found))


@pytest.mark.parametrize("case", SAMPLES, ids=str)
def test_samples_equal_recorded_values_of_diffusers(case: tuple[str, str, float]) -> None:
    found = sample_of(*case, clip=True)
    torch.testing.assert_close(found[0, 0, 0, :3].tolist(), SAMPLES[case], rtol=0, atol=1e-6)


def guess(x: torch.Tensor, step: int) -> torch.Tensor:
    """Returns a prediction as a network might make it: a smooth function of both inputs."""
    return torch.tanh(x * 1.3 + 0.1) * 0.7 + 0.2 * torch.sin(torch.tensor(step / 50.0))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_noise_levels_equal_diffusers(kind: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    for steps in (1000, 250, 40):
        theirs = diffusers.DDPMScheduler(steps, 0.1 / steps, 20 / steps, BETAS[kind])
        torch.testing.assert_close(
            theirs.alphas_cumprod, make_schedule(kind, steps).float(), rtol=2e-5, atol=1e-6
        )


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule_kind", ["linear", "cosine"])
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_samples_equal_ddim_of_diffusers(schedule_kind: str, kind: str, eta: float, clip: bool) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        1000,
        1e-4,
        0.02,
        BETAS[schedule_kind],
        clip_sample=clip,
        prediction_type={"epsilon": "epsilon", "v": "v_prediction", "clean": "sample"}[kind],
        timestep_spacing="trailing",
    )
    theirs.alphas_cumprod = make_schedule(schedule_kind, 1000)
    compare(theirs, schedule_kind, kind, eta, clip, {"eta": eta, "use_clipped_model_output": True})


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule_kind", ["linear", "cosine"])
def test_with_eta_1_samples_equal_ddpm_of_diffusers(schedule_kind: str, kind: str, clip: bool) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(
        1000,
        1e-4,
        0.02,
        BETAS[schedule_kind],
        variance_type="fixed_small",
        clip_sample=clip,
        prediction_type={"epsilon": "epsilon", "v": "v_prediction", "clean": "sample"}[kind],
        timestep_spacing="trailing",
    )
    theirs.alphas_cumprod = make_schedule(schedule_kind, 1000)
    compare(theirs, schedule_kind, kind, 1.0, clip, {})


def compare(
    theirs: Any, schedule_kind: str, kind: str, eta: float, clip: bool, options: dict[str, Any]
) -> None:
    generator = torch.Generator().manual_seed(1)
    found = sample_of(schedule_kind, kind, eta, clip)
    theirs.set_timesteps(25)
    x = start()
    for step in theirs.timesteps:
        x = theirs.step(guess(x, int(step)), int(step), x, generator=generator, **options).prev_sample
    torch.testing.assert_close(found, x, rtol=1e-6, atol=1e-6)


def start() -> torch.Tensor:
    return torch.randn(2, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def sample_of(schedule_kind: str, kind: str, eta: float, clip: bool) -> torch.Tensor:
    signal, generator = make_schedule(schedule_kind, 1000), torch.Generator().manual_seed(1)
    return sample(
        lambda x, step: split_mixture(kind, guess(x, step), x, levels_from_signal(signal[step])),
        start(),
        signal,
        sampling_timesteps(1000, 25),
        eta,
        lambda i: torch.randn(2, 1, 6, 6, dtype=torch.float64, generator=generator),
        clip,
    )
