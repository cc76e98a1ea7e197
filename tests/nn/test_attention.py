from dataclasses import replace

import pytest
import torch

from ucf_vit.core.errors import UserError
from ucf_vit.nn.attention import Attention
from ucf_vit.nn.block import Block
from ucf_vit.nn.init import init_weights
from ucf_vit.options import EncoderOptions


def by_hand(attention: Attention, x: torch.Tensor) -> torch.Tensor:
    """softmax(q kᵀ / √d) v, head by head and sample by sample."""
    d = attention.head_dim
    outputs = []
    for sample in x:
        q, k, v = attention.q(sample), attention.k(sample), attention.v(sample)
        heads = []
        for start in range(0, q.shape[-1], d):
            head = slice(start, start + d)
            weights = torch.softmax(q[:, head] @ k[:, head].T / d**0.5, dim=-1)
            heads.append(weights @ v[:, head])
        outputs.append(attention.proj(torch.cat(heads, dim=-1)))
    return torch.stack(outputs)


@pytest.mark.parametrize(("batch", "length", "dim", "heads"), [(1, 1, 8, 1), (2, 7, 12, 3), (1, 5, 10, 5)])
def test_equals_the_formula(batch, length, dim, heads):
    attention = Attention(EncoderOptions(embed_dim=dim, num_heads=heads)).double()
    x = torch.randn(batch, length, dim, dtype=torch.float64)
    assert torch.allclose(attention(x), by_hand(attention, x))


def test_heads_of_their_own_width():
    attention = Attention(EncoderOptions(embed_dim=6, num_heads=4, head_dim=5)).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    assert attention.q.out_features == attention.proj.in_features == 20
    assert torch.allclose(attention(x), by_hand(attention, x))


def test_the_first_tokens_alone_are_the_first_of_all():
    block = Block(EncoderOptions(embed_dim=12, num_heads=3, mlp_ratio=2.0)).double()
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    assert torch.allclose(block(x, first=2), block(x)[:, :2])


def test_dropout_only_while_training():
    options = EncoderOptions(embed_dim=16, num_heads=2)
    attention = Attention(replace(options, drop_rate=0.5))
    clean = Attention(options)
    clean.load_state_dict(attention.state_dict())
    x = torch.randn(2, 9, 16)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), clean(x))


def test_attention_weights_are_dropped_too():
    """With one token a dropped weight leaves only the bias of the output."""
    attention = Attention(EncoderOptions(embed_dim=4, num_heads=1, drop_rate=0.5))
    init_weights(attention)
    attention.drop.p = 0.0
    x = torch.randn(64, 1, 4)
    silent = torch.isclose(attention(x), attention.proj.bias, atol=1e-7).all(-1)
    assert 10 < silent.sum() < 54


def test_stochastic_depth_skips_samples_only_while_training():
    block = Block(EncoderOptions(embed_dim=8, num_heads=2, mlp_ratio=2.0), drop_path=0.9)
    x = torch.randn(64, 3, 8)
    skipped = (block(x) == x).all(-1).all(-1)
    assert 30 < skipped.sum() < 64
    block.eval()
    assert not (block(x) == x).all(-1).any()


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="num_heads 5 does not divide embed_dim 12; take num_heads 4"):
        Attention(EncoderOptions(embed_dim=12, num_heads=5))


def test_an_unknown_backend_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'flash'"):
        Attention(EncoderOptions(embed_dim=12, num_heads=3, attention="flesh"))
