"""One optimizer step: what its gradient is the mean of, what it draws, and when a run gives up."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Loss, RunState, Task
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings, train_step

IMAGES = torch.rand(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Squares(Task):
    """Mean square of a Linear of the images, some of which dropout leaves out."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(nn.Linear(6, 3, dtype=torch.float64))
        nn.init.ones_(self.model.weight)
        nn.init.zeros_(self.model.bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Loss:
        error = self.drop(self.model(batch.image)).square().mean()
        return Loss(error, {"twice": 2 * error.detach()})


class Poisoned(Squares):
    """The loss is `value`, its gradient is not a number."""

    value = 1.0

    def forward(self, batch: Batch) -> Loss:
        return Loss((self.model(batch.image).float() * 0).sqrt().sum() + self.value)


def state_of(task: Task, half: bool = False) -> State:
    optimizer = torch.optim.SGD(task.parameters(), lr=1)
    world = World(0, 1, torch.device("cpu"))
    return State(task, task, optimizer, LossScale(half), None, world)  # type: ignore[arg-type]


def settings(rate: float = 1.0, **options: object) -> StepSettings:
    return StepSettings(lambda step: rate, gradient_clip=0.0, **options)  # type: ignore[arg-type]


def batches(*sizes: int) -> list[Batch]:
    keys = torch.arange(len(IMAGES))
    parts = zip(IMAGES[: sum(sizes)].split(sizes), keys[: sum(sizes)].split(sizes), strict=True)
    return [Batch(image, None, ("v",), "set", ("file",) * len(image), k) for image, k in parts]


def stepped(given: Sequence[Batch]) -> tuple[Tensor, dict[str, float]]:
    """Weights after a step of plain descent from the same weights, and the metrics."""
    state = state_of(Squares())
    result = train_step(state, settings(), given)
    return state.task.model.weight.detach(), result.metrics


@pytest.mark.parametrize("sizes", [(4, 4, 1), (1, 8), (3, 3, 3), (2, 7)])
def test_accumulated_batches_count_with_their_samples(sizes: tuple[int, ...]) -> None:
    whole, parts = stepped(batches(9)), stepped(batches(*sizes))
    torch.testing.assert_close(parts[0], whole[0], rtol=1e-12, atol=0)
    assert parts[1] == pytest.approx(whole[1], rel=1e-6)


def test_samples_that_do_not_count_change_nothing() -> None:
    first, extra = batches(5, 4)
    expected = stepped([first])
    found = stepped([first, replace(extra, counts=False, per_rank=0.0)])
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=0)
    assert found[1] == pytest.approx(expected[1], rel=1e-6)


def test_what_a_step_draws_is_a_function_of_seed_and_step() -> None:
    """Random numbers of a step do not depend on earlier draws or on the steps of this process."""

    def loss(step: int, seed: int = 0, before: Callable[[], object] = lambda: None) -> float:
        state = state_of(Squares(dropout=0.5))
        state.step = step
        before()
        return train_step(state, settings(seed=seed), batches(9)).metrics["loss"]

    expected = loss(3)
    assert loss(3, before=lambda: torch.rand(7)) == expected
    assert loss(4) != expected
    assert loss(3, seed=1) != expected


def test_batches_of_a_step_draw_differently() -> None:
    once, twice = batches(9), batches(9) * 2
    state = state_of(Squares(dropout=0.5))
    alone = train_step(state, settings(rate=0.0), once).metrics["loss"]
    state.step = 0
    assert train_step(state, settings(rate=0.0), twice).metrics["loss"] != pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(
    ("dtype", "steps"),
    [(torch.float32, 5), (torch.bfloat16, 5), (torch.float16, 16 + 5)],  # from 2^16 to 1, then five
    ids=str,
)
def test_gradients_that_are_never_finite_end_a_run(dtype: torch.dtype, steps: int) -> None:
    """In float16 the scale of the loss may be to blame, until it is 1."""
    state = state_of(Poisoned().float(), half=dtype == torch.float16)
    weight = state.task.model.weight.clone()
    made = settings(dtype=dtype)
    given = [replace(batch, image=batch.image.float()) for batch in batches(9)]
    for _ in range(steps - 1):
        assert math.isnan(train_step(state, made, given).metrics["grad_norm"])
    with pytest.raises(
        UserError, match=rf"5 steps in a row, up to step {steps}; data of the last: set: file"
    ):
        train_step(state, made, given)
    assert state.task.model.weight.equal(weight)
    assert state.scale.value == 1.0


def test_a_scale_that_is_too_large_at_first_ends_no_run(caplog: pytest.LogCaptureFixture) -> None:
    """A gradient of 1000 in float16, scaled by less than 2^16, is good after ten steps without an update."""

    class Steep(Squares):
        def forward(self, batch: Batch) -> Loss:
            return Loss(self.model(batch.image.half()).float().sum() * 10)

    state = state_of(Steep().half(), half=True)
    with caplog.at_level(logging.INFO):
        norms = [train_step(state, settings(rate=0.0), batches(9)).metrics["grad_norm"] for _ in range(20)]
    bad = [norm for norm in norms if not math.isfinite(norm)]
    assert 5 < len(bad) < 16
    assert all(map(math.isfinite, norms[len(bad) :]))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(bad)
    assert said[0] == (
        "step 1: a gradient overflowed; the loss is scaled by 32768 now; weights are left as they were"
    )


class Teacher(Squares):
    """Keeps the average of its weights, and the steps at which it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.average = nn.Linear(6, 3, dtype=torch.float64).requires_grad_(False)
        self.steps: list[int] = []

    @torch.no_grad()
    def after_step(self, state: RunState) -> None:
        self.steps.append(state.step)
        self.average.weight.lerp_(self.model.weight, 0.25)


def test_a_teacher_follows_each_step_once() -> None:
    """However many batches a step accumulates; it sees the weights that the step has made."""
    task = Teacher()
    state, expected = state_of(task), task.average.weight.clone()
    for sizes in ((4, 4, 1), (9,), (2, 7)):
        train_step(state, settings(0.1), batches(*sizes))
        expected = expected.lerp(task.model.weight, 0.25)
    assert task.steps == [1, 2, 3]
    torch.testing.assert_close(task.average.weight, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("half", [False, True])
def test_a_teacher_does_not_follow_a_step_that_is_left_out(half: bool) -> None:
    class Sometimes(Teacher):
        value = 1.0

        def forward(self, batch: Batch) -> Loss:
            return Loss(super().forward(batch).value * self.value)

    task = Sometimes()
    state = state_of(task, half)
    for task.value in (1.0, math.inf, 1.0, math.nan):
        train_step(state, settings(0.1), batches(9))
    assert task.steps == [1, 3] and state.step == 4


class Seen(Hook):
    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.rows: list[int] = []

    def on_forward(self, state: RunState, batch: Batch, loss: Loss) -> None:
        self.losses += [loss.value, loss.metrics["twice"]]
        self.rows.append(len(batch))


def test_a_hook_sees_each_forward_pass_without_its_graph() -> None:
    seen = Seen()
    result = train_step(state_of(Squares()), settings(), batches(4, 5), hooks=[seen])
    assert seen.rows == [4, 5] and not any(value.requires_grad for value in seen.losses)
    first, twice, second, _ = map(float, seen.losses)
    assert result.metrics["loss"] == pytest.approx((4 * first + 5 * second) / 9, rel=1e-6)
    assert twice == 2 * first
