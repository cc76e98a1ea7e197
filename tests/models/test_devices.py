"""Every network on every device: the same result and the same gradients as on the CPU."""

import pytest
import torch

from devices import each_device
from tiny_models import ADAPTIVE, DEFAULTS, SHAPES, build, case_id, has_input, image_for, patches_for, run
from ucf_vit.models import MODELS
from ucf_vit.patching.tree.patches import Patches

CASES = [
    (name, options)
    for name in MODELS
    for options in (DEFAULTS | SHAPES[1], DEFAULTS | SHAPES[4], ADAPTIVE[0], ADAPTIVE[4])
    if has_input(name, options)
]


def gradients(model, image, patches):
    run(model, image, patches).square().sum().backward()
    return {name: parameter.grad.cpu() for name, parameter in model.named_parameters()}


@each_device
@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_gradients_are_those_of_the_cpu(name, options, device):
    torch.manual_seed(0)
    model = build(name, options).double()
    other = build(name, options).double()
    other.load_state_dict(model.state_dict())
    image = image_for(options).double()
    patches = patches_for(model, image)
    moved = patches and Patches(patches.values.to(device), patches.leaves.to(device))
    expected = gradients(model, image, patches)
    found = gradients(other.to(device), image.to(device), moved)
    # Places of adaptive patches are float32.
    rtol, atol = (1e-9, 1e-9) if patches is None else (1e-4, 1e-4)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)
