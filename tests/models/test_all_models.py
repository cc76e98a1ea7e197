import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from tiny_models import (
    ADAPTIVE,
    ADAPTIVE_CASES,
    CASES,
    DEFAULTS,
    SHAPES,
    VAREMB_CASES,
    build,
    case_id,
    image_for,
    patches_for,
    run,
)
from ucf_vit.core.errors import UserError
from ucf_vit.models import MODELS
from ucf_vit.nn.embedding.variable_tokens import VariableTokens
from ucf_vit.nn.init import init_weights

every_case = pytest.mark.parametrize(("name", "options"), CASES + ADAPTIVE_CASES + VAREMB_CASES, ids=case_id)
every_model = pytest.mark.parametrize("name", list(MODELS))
image_models = pytest.mark.parametrize("name", [name for name in MODELS if name != "sap"])
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=case_id)


@every_case
@pytest.mark.parametrize("batch", [1, 2])
def test_trains(name, options, batch):
    """Every parameter gets a finite gradient, also with one sample in the batch."""
    torch.manual_seed(0)
    model = build(name, options)
    result = run(model, image_for(options, batch))
    result.square().sum().backward()
    assert result.isfinite().all()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} has no part in the result"
        assert parameter.grad.isfinite().all(), parameter_name


@every_case
def test_a_sample_does_not_depend_on_its_batch(name, options):
    model = build(name, options).double().eval()
    image = image_for(options).double()
    alone = torch.cat([run(model, sample) for sample in image.split(1)])
    torch.testing.assert_close(run(model, image), alone)


@every_case
def test_draws_nothing_in_evaluation(name, options):
    model, image = build(name, options).eval(), image_for(options)
    before = torch.get_rng_state()
    assert torch.equal(run(model, image), run(model, image))
    assert torch.equal(torch.get_rng_state(), before)


@every_model
@every_shape
def test_dropout_is_for_training(name, shape):
    model = build(name, DEFAULTS | shape | {"drop_rate": 0.5, "drop_path": 0.5})
    clean = build(name, DEFAULTS | shape)
    clean.load_state_dict(model.state_dict())
    image = image_for(DEFAULTS | shape)
    assert not torch.equal(run(model, image), run(model, image))
    assert torch.equal(run(model.eval(), image), run(clean.eval(), image))


@every_case
def test_can_be_built_without_memory_and_initialised_later(name, options):
    with torch.device("meta"):
        model = build(name, options)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(float("nan"))
    init_weights(model)
    for key, tensor in model.state_dict().items():
        assert tensor.isfinite().all(), f"{key} is not initialised"
    assert run(model.eval(), image_for(options)).isfinite().all()


@every_model
def test_initial_weights_depend_only_on_the_seed(name):
    options = DEFAULTS | SHAPES[0]
    states = []
    for seed in (1, 1, 2):
        model = build(name, options)
        torch.manual_seed(seed)
        init_weights(model)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


@every_case
def test_every_parameter_lives_in_a_small_module_and_tables_are_flat(name, options):
    model = build(name, options)
    assert not list(model.named_parameters(recurse=False)), "a bare parameter on a model"
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.LayerNorm | nn.modules.conv._ConvNd):
            continue
        for key, parameter in module.named_parameters(recurse=False):
            flat = parameter[:, 0] if isinstance(module, VariableTokens) else parameter
            assert flat.ndim <= 2, f"{key} {list(parameter.shape)}"
            assert parameter.shape[0] > 1, (
                f"{key} {list(parameter.shape)} cannot be split over its first axis"
            )


@image_models
@every_shape
def test_an_image_that_does_not_fit_is_refused(name, shape):
    model = build(name, DEFAULTS | shape)
    image = image_for(DEFAULTS | shape)
    for wrong in (image[:, :, 1:], image.repeat(1, 2, *[1] * (image.ndim - 2)), image[..., None], image[0]):
        with pytest.raises(UserError, match="the model was built for images of"):
            run(model, wrong)


@every_model
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_heads": 5}, "num_heads 5 does not divide"),
        (
            {"pos_embed": "sin"},
            "pos_embed 'sin': expected one of auto, learned, sincos .did you mean 'sincos'",
        ),
        ({"attention": "flsh"}, "did you mean 'flash'"),
        ({"tile_size": (8,)}, "expected 2 sides for images, 3 for volumes"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(name, wrong, message):
    with pytest.raises(UserError, match=message):
        build(name, DEFAULTS | SHAPES[0] | wrong)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *itertools.product(MODELS, [SHAPES[0], SHAPES[4], ADAPTIVE[0], ADAPTIVE[7]]),
        *(case for case in VAREMB_CASES if case[0] in ("mae", "sap")),
    ],
    ids=case_id,
)
def test_runs_in_bfloat16(name, shape):
    """Under autocast, and as weights of that type; both near the float32 result."""
    torch.manual_seed(0)
    model, image = build(name, DEFAULTS | shape | {"feature_size": 8}).eval(), image_for(DEFAULTS | shape)
    patches = patches_for(model, image)
    exact = run(model, image, patches)
    with torch.autocast("cpu", torch.bfloat16):
        assert (run(model, image, patches).float() - exact).norm() < 0.04 * exact.norm()
    low = run(
        model.bfloat16(), image.bfloat16(), patches and replace(patches, values=patches.values.bfloat16())
    )
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).norm() < 0.04 * exact.norm()


@image_models
def test_a_patch_that_does_not_divide_the_tile_is_refused(name):
    with pytest.raises(UserError, match="patch size 3 does not divide"):
        build(name, DEFAULTS | SHAPES[0] | {"patch_size": 3})


@every_model
def test_defaults_are_those_of_vit_b(name):
    with torch.device("meta"):
        model = build(
            name,
            {
                "in_channels": 3,
                "tile_size": (224, 224),
                "num_classes": 1000,
                "fixed_length": 196,
                "conditioning": "add",
            },
        )
    assert sum(p.numel() for p in model.encoder.parameters()) == 85_056_000
