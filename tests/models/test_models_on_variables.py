"""Networks that know their channels by name; what holds for all networks is in test_all_models."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from tiny_models import (
    ADAPTIVE_IMAGE,
    ADAPTIVE_VOLUME,
    DEFAULTS,
    NAMES,
    VAREMB,
    VAREMB_CASES,
    build,
    case_id,
    has_input,
    image_for,
    patches_for,
    run,
)
from ucf_vit.core.errors import UserError
from ucf_vit.models import MODELS

every_case = pytest.mark.parametrize(("name", "options"), VAREMB_CASES, ids=case_id)
LEARNT = {"vit": 0.1, "mae": 0.85, "unetr": 0.3, "sap": 0.75, "diffusion": 0.75}
RECONSTRUCT = ("mae", "diffusion")
CHANNELS = {
    "plain": {"in_channels": 2},
    "varemb": {"in_channels": 3, "use_varemb": True, "default_vars": NAMES},
    "single_channel": {"in_channels": 1},
    "varemb, single_channel": {"in_channels": 3, "use_varemb": True, "default_vars": NAMES},
}
GRID = [
    (name, kind, DEFAULTS | shape | channels)
    for name, shape, (kind, channels) in itertools.product(
        MODELS,
        (
            {"tile_size": (8, 8), "patch_size": 4},
            {"tile_size": (8, 4, 8), "patch_size": 4},
            ADAPTIVE_IMAGE,
            ADAPTIVE_VOLUME,
        ),
        CHANNELS.items(),
    )
    if has_input(name, shape)
]


def answer(name, model, image, variables):
    """The result in the order of all variables, and for reconstructions with a row for each variable."""
    result = run(model, image, variables=variables)
    if name in (*RECONSTRUCT, "sap") and model.input.token_has_one_variable:
        return result.unflatten(1, (len(variables), -1))[:, torch.argsort(rows(variables))]
    if name not in RECONSTRUCT:
        return result
    return result.unflatten(2, (len(variables), -1))[:, :, torch.argsort(rows(variables))]


def rows(variables):
    return torch.tensor([NAMES.index(name) for name in variables])


@every_case
@pytest.mark.parametrize("variables", [("c", "a", "b"), ("c", "a"), ("b",)], ids="".join)
def test_the_order_of_variables_does_not_matter(name, options, variables):
    torch.manual_seed(0)
    if options.get("separate_channels"):
        options = options | {"mask_ratio": 0.0}  # what is removed goes by the place in the sequence
    model = build(name, options).double().eval()
    image = image_for(options).double()
    ordered = tuple(sorted(variables))
    expected = answer(name, model, image[:, rows(ordered)], ordered)
    torch.testing.assert_close(answer(name, model, image[:, rows(variables)], variables), expected)


@every_case
def test_every_variable_counts_and_is_told_from_the_others(name, options):
    torch.manual_seed(0)
    model = build(name, options).double().eval()
    image = image_for(options).double()
    two = image[:, :2]
    patches = patches_for(model, two)
    results = [run(model, two, patches, names) for names in (("a", "b"), ("b", "a"), ("a", "c"))]
    assert all((a - b).abs().max() > 1e-6 for a, b in itertools.combinations(results, 2))
    changed = image.clone()
    changed[:, 1] = changed[:, 1].flip(-1)
    assert (run(model, image) - run(model, changed)).abs().max() > 1e-6


@every_case
@pytest.mark.parametrize("variables", [("c", "a"), ("b",)], ids="".join)
def test_trains_on_some_variables(name, options, variables):
    """Every parameter has a gradient, which is zero for the rows of absent variables."""
    torch.manual_seed(0)
    model = build(name, options)
    run(model, image_for(options, 1)[:, rows(variables)], variables=variables).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    present = torch.tensor([known in variables for known in NAMES])
    for table in (model.embed.tokens.weight, model.embed.tokens.embedding):
        assert torch.equal(table.grad.flatten(1).abs().amax(1) > 0, present)


@pytest.mark.parametrize(("name", "kind", "options"), GRID, ids=case_id)
def test_learns_one_batch_by_heart(name, kind, options):
    torch.manual_seed(0)
    variables = {"varemb": ("c", "a"), "varemb, single_channel": ("b",)}.get(kind)
    model = build(name, options | {"feature_size": 8, "mask_ratio": 0.1})
    image = image_for(options)
    image = image if variables is None else image[:, rows(variables)]
    patches = patches_for(model, image)
    result = run(model, image, patches, variables)
    if name in RECONSTRUCT:
        target = model.patches(image if patches is None else patches, variables) / 4
        assert target.shape == result.shape
        loss_of = F.mse_loss
    else:
        axis = 2 if name == "sap" else 1
        target = torch.randint(result.shape[axis], result.movedim(axis, -1).shape[:-1])

        def loss_of(result, target):
            return F.cross_entropy(result.movedim(axis, 1), target)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = loss_of(run(model, image, patches, variables), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < LEARNT[name] * losses[0], losses[-1] / losses[0]


@pytest.mark.parametrize("name", list(MODELS))
def test_wrong_variables_are_refused(name):
    options = VAREMB[3] if name == "sap" else VAREMB[0]
    model = build(name, options | {"in_channels": 2, "default_vars": ("salt", "heat")})
    image = image_for(options, 1)
    for variables, message in (
        (("salt", "haet"), r"variable 'haet' is not one .*did you mean 'heat'.*'salt', 'heat'"),
        (("salt", "salt"), "each once"),
        (("salt",), "the model was built" if name == "sap" else "1 variables are named"),
    ):
        with pytest.raises(UserError, match=message):
            run(model, image[:, :2], variables=variables)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"default_vars": ()}, "needs default_vars"),
        ({"default_vars": ("a", "b", "a")}, "twice"),
        ({"default_vars": ("a", "b")}, "3 channels and default_vars 2 names"),
        ({"aggregation": "hierarchic"}, "did you mean 'hierarchical'"),
        ({"aggregation_partial": "liner"}, "did you mean 'linear'"),
        ({"aggregation_group": 0}, "group 0: expected a whole number >= 1"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        build("vit", VAREMB[0] | wrong)


@pytest.mark.parametrize("name", list(MODELS))
def test_one_known_variable_is_enough(name):
    options = VAREMB[3] | {"in_channels": 1, "default_vars": ("ct",)}
    for more in ({}, {"aggregation": "hierarchical"}, {"separate_channels": True}):
        assert run(build(name, options | more), image_for(options, 1), variables=("ct",)).isfinite().all()
