import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.embedding.aggregation import CrossAggregation, slots_of
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed
from ucf_vit.nn.init import init_weights
from ucf_vit.options import VariableOptions


def embed(kind, group=3, partial="linear", variables=7):
    torch.manual_seed(0)
    names = [f"v{number}" for number in range(variables)]
    options = VariableOptions(names=names, aggregation=kind or "cross", group=group, partial=partial)
    module = VariableEmbed(options, 4, 12, 3, aggregate=kind is not None)
    init_weights(module)
    return module.double()


def test_is_the_attention_of_torch_with_one_query():
    torch.manual_seed(0)
    ours = CrossAggregation(12, 3)
    init_weights(ours)
    nn.init.normal_(ours.query.token)
    nn.init.normal_(ours.v.bias)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        weights = [torch.eye(12), ours.k.weight, ours.v.weight]
        theirs.in_proj_weight.copy_(torch.cat(weights))
        theirs.in_proj_bias.copy_(torch.cat([torch.zeros(12), torch.randn(12), ours.v.bias]))
        theirs.out_proj.load_state_dict(ours.proj.state_dict())
    tokens, present = torch.randn(5, 4, 12), torch.rand(5, 4) < 0.5
    present[:, 2] = True
    query = ours.query.token.expand(5, 1, -1)
    for mask in (None, present):
        missing = None if mask is None else ~mask
        expected = theirs(query, tokens, tokens, key_padding_mask=missing, need_weights=False)[0][:, 0]
        torch.testing.assert_close(ours(tokens, mask), expected)


def test_heads_must_divide_the_width():
    with pytest.raises(UserError, match="num_heads 5 does not divide"):
        CrossAggregation(12, 5)


@settings(max_examples=30)
@given(st.data(), st.integers(1, 9), st.integers(1, 10))
def test_groups_hold_each_variable_once_and_do_not_depend_on_the_others(data, variables, group):
    numbers = data.draw(st.lists(st.integers(0, variables - 1), min_size=1, unique=True))
    slots = slots_of(numbers, group, torch.device("cpu"))
    present = torch.ones(slots.channel.shape, dtype=torch.bool) if slots.present is None else slots.present
    assert sorted(slots.channel[present].tolist()) == list(range(len(numbers)))
    assert torch.equal(slots.number, torch.tensor(numbers)[slots.channel])
    assert torch.equal(slots.number // group, slots.number[:, :1] // group + 0 * slots.number)
    torch.testing.assert_close(slots.share.sum(1), torch.ones(len(slots.share)))
    assert present.any(1).all() and present.any(0).all()


@pytest.mark.parametrize("numbers", [range(7), (4, 2, 6, 0), (5,)], ids=str)
def test_the_linear_step_is_the_mean_of_tokens_of_a_group(numbers):
    module, one = embed("hierarchical"), embed(None)
    one.tokens.load_state_dict(module.tokens.state_dict())
    patches = torch.randn(2, 5, len(numbers), 4, dtype=torch.float64)
    tokens = one(patches.transpose(1, 2).flatten(1, 2), numbers).unflatten(1, (len(numbers), -1))
    groups = sorted({number // 3 for number in numbers})
    means = [tokens[:, [i for i, n in enumerate(numbers) if n // 3 == g]].mean(1) for g in groups]
    expected = module.aggregation(torch.stack(means, dim=2))
    torch.testing.assert_close(module(patches.flatten(2), numbers), expected)


@pytest.mark.parametrize("numbers", [range(7), (4, 2, 6, 0)], ids=str)
def test_the_attention_step_sees_one_group_at_a_time(numbers):
    module = embed("hierarchical", partial="attention")
    patches = torch.randn(2, 5, len(numbers), 4, dtype=torch.float64)
    parts = []
    for group in sorted({number // 3 for number in numbers}):
        own = [i for i, n in enumerate(numbers) if n // 3 == group]
        tokens = module.tokens(patches[:, :, own], torch.tensor([numbers[i] for i in own]))
        parts.append(module.partial(tokens))
    expected = module.aggregation(torch.stack(parts, dim=2))
    torch.testing.assert_close(module(patches.flatten(2), numbers), expected)


@pytest.mark.parametrize("group", [1, 7, 100])
def test_groups_of_one_and_one_group_of_all(group):
    """Groups of one variable under the linear step are no groups; a group of all is one mean."""
    module, flat = embed("hierarchical", group), embed("cross")
    flat.load_state_dict(module.state_dict())
    patches = torch.randn(2, 5, 7 * 4, dtype=torch.float64)
    same = torch.allclose(module(patches, range(7)), flat(patches, range(7)))
    assert same == (group == 1)
