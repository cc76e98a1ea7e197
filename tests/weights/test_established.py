"""Checkpoints of UCF-VIT: their names, and what their networks compute, written out here."""

from collections import OrderedDict

import pytest
import torch
from monai.networks import nets
from torch import Tensor

from networks_of_others import authors_mae, mae, randomised, tokens_of, vit
from ucf_vit.core.errors import UserError
from ucf_vit.models import UNETR, VIT
from ucf_vit.nn.attention_backends import attend
from ucf_vit.options import EncoderOptions, InputOptions, VariableOptions
from ucf_vit.weights.pretrained import take
from ucf_vit.weights.recognise import convert, recognise


def state_of_timm(tile: int = 32) -> dict[str, Tensor]:
    from timm.models.vision_transformer import VisionTransformer

    theirs = VisionTransformer(tile, 8, embed_dim=48, depth=3, num_heads=4, num_classes=5)
    return randomised(theirs).state_dict()


def saved(state: dict[str, Tensor]) -> OrderedDict:
    """As a DDP network of UCF-VIT saves it: the projection of patches occurs twice."""
    doubled = {name.replace("patch_embed", "token_embeds"): value for name, value in state.items()}
    return OrderedDict((f"module.{name}", value) for name, value in {**state, **doubled}.items())


def test_a_classifier():
    state = state_of_timm()
    other, ours = vit((32, 32)), vit((32, 32))
    assert not take(other, state).initial
    report = take(ours, saved(state))
    assert recognise(saved(state))[0].name == "UCF-VIT checkpoint"
    assert not report.initial and not report.left
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert torch.equal(ours(image), other(image))


def test_a_masked_autoencoder_without_class_token():
    theirs = authors_mae()
    with torch.no_grad():
        theirs.cls_token.zero_()
    state = theirs.state_dict()
    del state["cls_token"]
    for name in ("pos_embed", "decoder_pos_embed"):
        state[name] = state[name][:, 1:]
    ours = mae(class_token=False)
    report = take(ours, saved(state))
    assert not report.initial and not report.left
    expected = mae(class_token=True)
    take(expected, theirs.state_dict())
    assert torch.equal(ours.decoder.head.weight, expected.decoder.head.weight)
    assert torch.equal(ours.decoder.positions.table, expected.decoder.positions.table)


def test_a_unetr():
    theirs = randomised(nets.UNETR(2, 3, (32, 32), 4, 48, 96, 4, spatial_dims=2, qkv_bias=True)).state_dict()
    names = {
        "vit.patch_embedding.patch_embeddings": "patch_embed.proj",
        "vit.patch_embedding.position_embeddings": "pos_embed",
        "out_proj": "proj",
        "mlp.linear": "mlp.fc",
        "vit.": "",
    }
    state = {}
    for name, value in theirs.items():
        if "cross_attn" not in name:
            for old, new in names.items():
                name = name.replace(old, new)
            state[name] = value

    def unetr() -> UNETR:
        encoder = EncoderOptions(embed_dim=48, num_heads=4, mlp_ratio=2.0)
        seen = InputOptions(in_channels=2, tile_size=(32, 32))
        return UNETR(seen, encoder, num_classes=3, feature_size=4).double().eval()

    ours, other = unetr(), unetr()
    assert not take(ours, saved(state)).initial and not take(other, theirs).initial
    for (name, one), two in zip(ours.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


def variables(names: tuple[str, ...]) -> VIT:
    seen = InputOptions(
        in_channels=len(names), tile_size=(16, 16), patch_size=8, variables=VariableOptions(names=names)
    )
    return VIT(seen, EncoderOptions(embed_dim=48, depth=3, num_heads=4), num_classes=5).double().eval()


def test_named_variables():
    """A projection that all variables share, an embedding of each, and attention of a query over them."""
    state = {name: value for name, value in state_of_timm(16).items() if not name.startswith("patch_embed")}
    draw = torch.Generator().manual_seed(1)

    def new(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64) * 0.1

    state |= {"patch_embed.proj.weight": new(48, 1, 8, 8), "patch_embed.proj.bias": new(48)}
    state |= {"var_embed": new(1, 2, 48), "var_query": new(1, 1, 48), "var_agg.q.weight": new(48, 48)}
    state |= {
        "var_agg.kv.weight": new(96, 48),
        "var_agg.proj.weight": new(48, 48),
        "var_agg.proj.bias": new(48),
    }
    copies = {
        name.replace("patch_embed", f"token_embeds.{number}"): value
        for name, value in state.items()
        for number in range(2)
        if name.startswith("patch_embed")
    }
    ours = variables(("a", "b"))
    report = take(ours, state | copies)
    assert not report.initial and not report.left
    image = torch.randn(1, 2, 16, 16, dtype=torch.float64)
    tokens = torch.nn.functional.conv2d(
        image.transpose(0, 1), state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=8
    )
    tokens = tokens.flatten(2).transpose(1, 2).transpose(0, 1) + state["var_embed"]  # [L, V, D]
    key, value = (tokens @ state["var_agg.kv.weight"].T).chunk(2, -1)
    query = (state["var_query"][0] @ state["var_agg.q.weight"].T).expand(len(tokens), -1, -1)
    heads = [x.unflatten(-1, (4, 12)).transpose(1, 2) for x in (query, key, value)]
    mixed = attend(*heads, None, dropout=0.0, backend="math").transpose(1, 2).flatten(2)[:, 0]
    mixed = mixed @ state["var_agg.proj.weight"].T + state["var_agg.proj.bias"]
    grid = ours.input.split(image, (0, 1)).values
    torch.testing.assert_close(ours.embed(grid, (0, 1))[0], mixed)
    with pytest.raises(UserError, match="weights of 2 named variables"):
        take(variables(("a", "b", "c")), state | copies)


def test_adaptive_patches_leave_what_is_of_another_kind():
    state = {name: value for name, value in state_of_timm().items() if not name.startswith("patch_embed")}
    width = {"token_embeds.0.weight": 192, "token_embeds.2.weight": 48}
    state |= {name: torch.ones(number) for name, number in width.items()}
    state |= {
        "token_embeds.1.weight": torch.ones(48, 192),
        "adaptive_pos_dep_emb.0.weight": torch.ones(48, 3),
    }
    ours = vit((32, 32))
    report = take(ours, state)
    assert {name.partition(".")[0] for name in report.left} == {
        "token_embeds",
        "adaptive_pos_dep_emb",
        "positions",
    }
    assert {name.partition(".")[0] for name in report.initial} == {"embed", "positions"}
    assert convert(state)[1].source.grid == (16,)
    assert tokens_of(ours, torch.zeros(1, 3, 32, 32, dtype=torch.float64)).isfinite().all()
