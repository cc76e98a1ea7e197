"""Every network on every layout gives what one process gives, on all ranks: losses, gradients, weights."""

from collections.abc import Iterator
from functools import cache
from multiprocessing.context import BaseContext

import numpy as np
import parity
import pytest
from _pytest.mark import ParameterSet
from numpy.typing import ArrayLike
from parity import Case, Outcome
from rank_group import RankGroup

import tiny_models
from ucf_vit.models import MODELS
from ucf_vit.parallel.ranks.mesh import MeshLayout

LAYOUTS = {
    "fsdp 2 x tensor 2": MeshLayout(fsdp=2, tensor=2),
    "tensor 4": MeshLayout(tensor=4),
    "ddp 2 x tensor 2": MeshLayout(ddp=2, tensor=2),
    "fsdp 4": MeshLayout(fsdp=4),
    "ddp 2 x fsdp 2": MeshLayout(ddp=2, fsdp=2),
    "ddp 4": MeshLayout(ddp=4),
    "seq 4": MeshLayout(seq=4),
    "fsdp 2 x seq 2": MeshLayout(fsdp=2, seq=2),
    "seq 2 x tensor 2": MeshLayout(seq=2, tensor=2),
}
UNIFORM = {"tile_size": (6, 18), "patch_size": 6, "class_token": False}
VOLUME = {"tile_size": (8, 4, 12), "patch_size": 4, "class_token": True, "pos_embed": "sincos"}
NAMED = {"in_channels": 3, "use_varemb": True, "default_vars": ("a", "b", "c")}
GROUPS = {"aggregation": "hierarchical", "aggregation_group": 1}
IMAGE = tiny_models.ADAPTIVE_IMAGE
OPTIONS = {
    "uniform": UNIFORM,
    "volume, class token": VOLUME,
    "volume, no bias in qkv": VOLUME | {"qkv_bias": False},
    "volume, conv stem, wide heads": VOLUME | {"stem": "conv", "head_dim": 6},
    "adaptive, class token": IMAGE | {"class_token": True},
    "variables": UNIFORM | NAMED,
    "variables in groups": UNIFORM | NAMED | GROUPS,
    "adaptive, variables in groups": IMAGE | NAMED | GROUPS | {"aggregation_partial": "attention"},
    "adaptive, variables apart": IMAGE | NAMED | {"separate_channels": True},
}
PADDED = IMAGE | {"class_token": False}
CASES = {
    f"{model}, {name}": Case(model, options)
    for model in MODELS
    for name, options in OPTIONS.items()
    if tiny_models.has_input(model, options)
} | {f"{model}, adaptive with padding": Case(model, PADDED, threshold=0.9) for model in MODELS}
SHORT = (
    "uniform",
    "volume, no bias in qkv",
    "adaptive, class token",
    "variables",
    "adaptive, variables apart",
    "variables in groups",
    "adaptive, variables in groups",
)
"""Options that meet the first two layouts alone: what is new in them lies outside what tensor ranks split."""
QUICK = {"vit": len(LAYOUTS), "unetr": len(LAYOUTS)} | {
    f"{one}, volume, conv stem, wide heads": 2 for one in ("vit", "unetr")
}
"""How many layouts a network or case meets in `make test`; the others meet the first there."""


def runs() -> Iterator[ParameterSet]:
    """Each case with its layouts."""
    for name in CASES:
        model, _, options = name.partition(", ")
        quick = QUICK.get(name, QUICK.get(model, 1))
        for number, layout in enumerate(LAYOUTS):
            if number >= 2 and options in SHORT:
                break
            marks = [pytest.mark.deep] if number >= quick else []
            yield pytest.param(name, layout, marks=marks)


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, 4)
    yield ranks
    ranks.close()


@cache
def alone(name: str) -> Outcome:
    return parity.steps(CASES[name], None)


@pytest.mark.parametrize(("name", "layout"), list(runs()))
def test_a_layout_equals_one_process(
    group: RankGroup, name: str, layout: str, worst: dict[tuple[str, str], float]
) -> None:
    outcomes = group.call(parity.steps, CASES[name], LAYOUTS[layout])
    worst[name, layout] = max(compare(outcome, alone(name)) for outcome in outcomes)


@pytest.mark.parametrize("layout", ["seq 4", "seq 2 x tensor 2"])
@pytest.mark.parametrize("name", ["vit, adaptive with padding", "mae, volume, class token"])
def test_attention_in_a_ring_equals_one_process(
    group: RankGroup, name: str, layout: str, worst: dict[tuple[str, str], float]
) -> None:
    ring = (parity.EXACT, parity.STEPS, "ring")
    outcomes = group.call(parity.steps, CASES[name], LAYOUTS[layout], *ring)
    worst[f"{name}, ring", layout] = max(compare(outcome, alone(name)) for outcome in outcomes)


def compare(outcome: Outcome, expected: Outcome) -> float:
    """Equal initial weights to the last bit; the rest up to rounding. Returns the largest relative error."""
    assert outcome.initial.keys() == expected.initial.keys()
    for key, value in expected.initial.items():
        assert np.array_equal(outcome.initial[key], value), f"initial {key}"
    np.testing.assert_allclose(outcome.losses, expected.losses, rtol=1e-9)
    np.testing.assert_allclose(outcome.norms, expected.norms, rtol=1e-9)
    assert outcome.gradients.keys() == expected.gradients.keys()
    for key, value in expected.gradients.items():
        np.testing.assert_allclose(outcome.gradients[key], value, rtol=1e-9, atol=1e-13, err_msg=key)
    known = [key for key in expected.weights if not key.endswith(".k.bias")]
    for key in known:  # the gradient of a bias of k is zero but for rounding, which AdamW makes large
        np.testing.assert_allclose(
            outcome.weights[key], expected.weights[key], rtol=1e-9, atol=1e-10, err_msg=key
        )
    pairs = [(outcome.losses, expected.losses), (outcome.norms, expected.norms)]
    for mine, theirs in ((outcome.weights, expected.weights), (outcome.gradients, expected.gradients)):
        pairs += [(mine[key], theirs[key]) for key in known if key in theirs]
    return max(error(*pair) for pair in pairs)


def error(found: ArrayLike, expected: ArrayLike) -> float:
    """Largest difference over the largest value."""
    scale = np.abs(expected).max()
    return float(np.abs(np.subtract(found, expected)).max() / scale) if scale else 0.0
