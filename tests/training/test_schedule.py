"""The learning rate against values of the established implementation, and after the end."""

import numpy as np
import pytest

from ucf_vit.config.sections.optimizer import Optimizer
from ucf_vit.training.optimization.schedule import describe_jump, schedule, warmup_cosine

OPTIMIZER = Optimizer(lr=1e-3, eta_min=1e-6)
BEFORE = OPTIMIZER.model_dump(exclude_none=True)

GOLDEN = {  # lr, warm-up, length, start, floor: rate by step
    (1e-4, 100, 2000, 1e-8, 1e-8): {
        0: 1e-08,
        1: 1.02e-06,
        99: 1e-04,
        100: 1e-04,
        101: 9.999993165778953e-05,
        525: 8.815538798964932e-05,
        1050: 5.0005e-05,
        1999: 1.0068342210474463e-08,
    },
    (1e-3, 200, 1500, 0.0, 1e-5): {
        0: 0.0,
        1: 5.025125628140704e-06,
        100: 5.025125628140704e-04,
        201: 9.99998554600059e-04,
        425: 9.286117297892155e-04,
        1400: 2.4383800374104348e-05,
        1499: 1.0001445399941096e-05,
    },
    (5e-4, 0, 2000, 0.0, 0.0): {
        0: 5e-04,
        1: 4.999996915749259e-04,
        500: 4.2677669529663675e-04,
        1000: 2.5e-04,
        1900: 3.077914851215588e-06,
        1999: 3.0842507411921185e-10,
    },
}


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_equals_the_golden_values_and_stays_at_the_floor(case: tuple[float, int, int, float, float]) -> None:
    lr, warmup, length, start, floor = case
    rate = warmup_cosine(lr, warmup, length, start, floor)
    found = {step: rate(step) for step in GOLDEN[case]}
    assert found == pytest.approx(GOLDEN[case], rel=1e-9, abs=1e-12 * lr)
    assert {rate(length + i) for i in (0, 1, 10, 10_000)} == {floor}


@pytest.mark.parametrize(("warmup", "max_steps"), [(0, 10), (1, 10), (10, 10), (20, 10), (5, 0)])
def test_odd_lengths_stay_within_bounds(warmup: int, max_steps: int) -> None:
    rates = [warmup_cosine(1.0, warmup, max_steps, 0.1, 0.01)(i) for i in range(40)]
    assert all(0.01 <= rate <= 1.0 for rate in rates)
    assert rates[-1] == 0.01


@pytest.mark.parametrize("warmup", [0, 1])
def test_no_warm_up_and_one_of_a_single_step_begin_at_the_full_rate(warmup: int) -> None:
    rate = warmup_cosine(1.0, warmup, 10)
    assert rate(0) == rate(warmup) == 1.0


def test_a_warm_up_reaches_the_rate_in_its_last_step_and_then_falls() -> None:
    rates = [warmup_cosine(1.0, 5, 20)(i) for i in range(20)]
    np.testing.assert_allclose(rates[:6], [0, 0.25, 0.5, 0.75, 1, 1])
    assert np.all(np.diff(rates[5:]) < 0)


def test_a_longer_run_is_told_how_its_rate_jumps_and_how_to_keep_it() -> None:
    message = describe_jump(BEFORE, 100, OPTIMIZER, 200, 100)
    assert message == (
        "the learning rate is 0.000501 from step 100 on, not 1e-06: the schedule ends at step 200 (so far "
        "100). With optimizer.max_steps=100 it goes on as so far, "
        "from step 100 on at optimizer.eta_min = 1e-06"
    )
    kept = OPTIMIZER.model_copy(update={"max_steps": 100})
    assert describe_jump(BEFORE, 100, kept, 200, 100) == ""
    assert schedule(kept, 200)(100) == schedule(kept, 200)(199) == 1e-6


def test_a_rate_that_goes_on_is_not_spoken_of() -> None:
    before = OPTIMIZER.model_copy(update={"max_steps": 500})
    assert describe_jump(before.model_dump(exclude_none=True), 100, before, 200, 100) == ""
    assert describe_jump(BEFORE, 1000, OPTIMIZER, 1001, 500) == ""
    assert describe_jump({}, 100, OPTIMIZER, 100, 50) == ""


def test_other_keys_that_change_the_rate_are_named() -> None:
    now = OPTIMIZER.model_copy(update={"lr": 2e-3, "warmup_steps": 4})
    message = describe_jump(BEFORE, 100, now, 100, 50)
    assert message == (
        "the learning rate is 0.00107 from step 50 on, not 0.000501: optimizer.lr is 0.002 (was 0.001), "
        "optimizer.warmup_steps is 4 (was 0)"
    )


def test_a_length_that_is_given_now_is_compared_with_that_of_the_run_before() -> None:
    now = OPTIMIZER.model_copy(update={"max_steps": 400})
    assert "the schedule ends at step 400 (so far 100)" in describe_jump(BEFORE, 100, now, 400, 50)
    longer = OPTIMIZER.model_copy(update={"max_steps": 100})
    assert "ends at step 300 (so far 100)" in describe_jump(
        longer.model_dump(exclude_none=True), 100, OPTIMIZER, 300, 50
    )
