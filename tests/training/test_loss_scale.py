import math

import torch
from torch import nn

from ucf_vit.training.optimization.loss_scale import LossScale


def test_gradients_are_those_of_the_loss_itself() -> None:
    weight, scale = nn.Parameter(torch.tensor([1.0, -2.0])), LossScale(True)
    scale.scale(weight.square().sum()).backward()
    assert weight.grad is not None and torch.equal(weight.grad, 2**16 * 2 * weight.detach())
    scale.unscale([weight])
    assert torch.equal(weight.grad, 2 * weight.detach())


def test_it_falls_at_once_and_rises_with_patience() -> None:
    scale = LossScale(True, start=8.0, patience=3)
    for norm, expected in ((1.0, 8), (math.inf, 4), (math.nan, 2), (1.0, 2), (1.0, 2), (1.0, 4), (1.0, 4)):
        scale.update(norm)
        assert scale.value == expected
    again = LossScale(True)
    again.load_state_dict(scale.state_dict())
    assert (again.value, again.good) == (4.0, 1)


def test_it_does_nothing_in_other_types() -> None:
    weight, scale = nn.Parameter(torch.ones(2)), LossScale(False)
    loss = weight.sum()
    assert scale.scale(loss) is loss
    loss.backward()
    scale.unscale([weight])
    scale.update(math.nan)
    assert weight.grad is not None and torch.equal(weight.grad, torch.ones(2))
    assert scale.state_dict() == {}


def test_it_stays_where_a_smaller_one_would_not_help() -> None:
    scale = LossScale(True)
    for step in range(2000):
        assert scale.can_shrink == (step < 16)
        scale.update(math.nan)
    assert scale.value == 1.0
    scale.load_state_dict({"scale": 0.0, "good": 0})
    assert scale.value == 1.0
