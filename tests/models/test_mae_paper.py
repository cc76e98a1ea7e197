"""MAE against a plain reading of He et al. (2022), "Masked Autoencoders Are Scalable Vision Learners"."""

import pytest
import torch
import torch.nn.functional as F

from ucf_vit.core.errors import UserError
from ucf_vit.models import MAE
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions
from ucf_vit.training.describe_mesh import encoder_lengths


def layer(x, linear):
    return x @ linear.weight.T + linear.bias


def transformer(x, encoder):
    for block in encoder.blocks:
        y = F.layer_norm(x, x.shape[-1:], block.norm1.weight, block.norm1.bias, 1e-6)
        shape = (*y.shape[:2], -1, block.attn.head_dim)
        q, k, v = (
            layer(y, part).view(shape).transpose(1, 2) for part in (block.attn.q, block.attn.k, block.attn.v)
        )
        weights = (q @ k.transpose(-2, -1) / block.attn.head_dim**0.5).softmax(-1)
        x = x + layer((weights @ v).transpose(1, 2).flatten(2), block.attn.proj)
        y = F.layer_norm(x, x.shape[-1:], block.norm2.weight, block.norm2.bias, 1e-6)
        x = x + layer(F.gelu(layer(y, block.mlp.fc1)), block.mlp.fc2)
    return F.layer_norm(x, x.shape[-1:], encoder.norm.weight, encoder.norm.bias, 1e-6)


def published(model, image, noise, mask_ratio):
    """Mask and loss as the paper has them: pixels of a patch before channels, noise sorted and unsorted."""
    batch, channels = image.shape[:2]
    p, dims, length = model.input.grid.patch_size[0], image.ndim - 2, model.num_tokens
    patches = image
    for axis in range(dims):
        patches = patches.unfold(2 + axis, p, p)
    patches = patches.movedim(1, -1).reshape(batch, length, p**dims * channels)

    kernel = model.embed.weight.view(-1, channels, p**dims).transpose(1, 2).flatten(1)
    x = patches @ kernel.T + model.embed.bias + model.positions.table
    shuffle = noise.argsort(dim=1)
    restore = shuffle.argsort(dim=1)
    keep = int(length * (1 - mask_ratio))
    x = torch.stack([sample[order[:keep]] for sample, order in zip(x, shuffle, strict=True)])
    mask = torch.ones(batch, length)
    mask[:, :keep] = 0
    mask = mask.gather(1, restore)

    cls = [model.class_token.token.expand(batch, 1, -1)] if model.class_token is not None else []
    x = layer(transformer(torch.cat([*cls, x], 1), model.encoder), model.decoder.embed)
    first, x = x[:, : len(cls)], x[:, len(cls) :]
    x = torch.cat([x, model.decoder.mask_token.token.expand(batch, length - keep, -1)], 1)
    x = torch.stack([sample[order] for sample, order in zip(x, restore, strict=True)])
    x = torch.cat([first, x + model.decoder.positions.table], 1)
    prediction = layer(transformer(x, model.decoder.encoder), model.decoder.head)[:, len(cls) :]
    prediction = prediction.unflatten(-1, (channels, -1)).transpose(-2, -1).flatten(2)
    per_patch = (prediction - patches).square().mean(-1)
    return mask, (per_patch * mask).sum() / mask.sum()


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize(
    ("tile", "patch", "ratio"), [((32, 48), 8, 0.75), ((8, 12, 16), 4, 0.6), ((30, 30), 5, 0.5)]
)
def test_same_noise_same_mask_and_loss(tile, patch, ratio, class_token):
    torch.manual_seed(0)
    model = MAE(
        InputOptions(in_channels=3, tile_size=tile, patch_size=patch),
        EncoderOptions(embed_dim=24, depth=2, num_heads=2),
        DecoderOptions(embed_dim=16, depth=1, num_heads=2),
        mask_ratio=ratio,
        class_token=class_token,
    )
    image, noise = torch.randn(2, 3, *tile), torch.rand(2, model.num_tokens)
    expected_mask, expected_loss = published(model, image, noise, ratio)
    prediction, mask = model(image, noise)
    per_patch = (prediction - model.patches(image)).square().mean(-1)
    assert torch.equal(mask, expected_mask)
    torch.testing.assert_close((per_patch * mask).sum() / mask.sum(), expected_loss, rtol=1e-6, atol=1e-6)


@pytest.fixture(params=[False, True], ids=["transformer", "linear"])
def model(request):
    torch.manual_seed(0)
    return MAE(
        InputOptions(in_channels=1, tile_size=(16, 16), patch_size=4),
        EncoderOptions(embed_dim=24, depth=2, num_heads=2),
        DecoderOptions(embed_dim=16, num_heads=2),
        linear_decoder=request.param,
    ).double()


def test_removed_pixels_cannot_be_seen(model):
    image = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    noise = torch.rand(1, model.num_tokens, dtype=torch.float64)
    prediction, mask = model(image, noise)
    hidden = model.image(mask[..., None].expand_as(prediction))
    other, _ = model(image + 7 * hidden, noise)
    assert torch.equal(other, prediction)


def test_every_prediction_depends_on_the_kept_pixels(model):
    """Also those of removed patches: a decoder that cannot see neighbours would not learn anything."""
    image = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    noise = torch.rand(1, model.num_tokens, dtype=torch.float64)
    prediction, mask = model(image, noise)
    seen = 1 - model.image(mask[..., None].expand_as(prediction))
    other, _ = model(image + seen * torch.randn_like(image), noise)
    assert ((other - prediction).abs().amax(-1) > 1e-6).all()


def test_patches_and_image_are_inverse(model):
    image = torch.randn(2, 1, 16, 16)
    assert torch.equal(model.image(model.patches(image)), image)


@pytest.mark.parametrize("ratio", [1.0, 0.99, -0.1])
def test_a_ratio_that_leaves_nothing_is_refused(ratio):
    with pytest.raises(UserError, match=f"mask_ratio {ratio} leaves"):
        small((16, 16), ratio, patch=4)


def small(tile, ratio, patch=2):
    sizes = {"embed_dim": 12, "num_heads": 2, "depth": 1}
    seen = InputOptions(in_channels=1, tile_size=tile, patch_size=patch)
    return MAE(seen, EncoderOptions(**sizes), DecoderOptions(**sizes), mask_ratio=ratio)


@pytest.mark.parametrize(
    ("side", "ratio", "kept", "of_half"), [(10, 0.9, 10, 5), (10, 0.7, 30, 15), (14, 0.75, 49, 24)]
)
def test_the_number_of_kept_tokens_follows_the_ratio(side, ratio, kept, of_half):
    """Ten of 100 tokens are kept at ratio 0.9, which is 9.999999999999998 in floating point."""
    network = small((2 * side, 2 * side), ratio)
    tokens = side * side
    noise = torch.rand(2, tokens)
    _, mask = network(torch.randn(2, 1, 2 * side, 2 * side), noise)
    assert (mask == 0).sum(dim=1).tolist() == [kept, kept]
    assert encoder_lengths(network) == {"encoder": kept + 1, "decoder.encoder": tokens + 1}
    valid = torch.arange(tokens) < torch.tensor([[tokens], [tokens // 2]])
    seen = torch.zeros_like(valid).scatter(1, network._kept(noise, valid), True) & valid
    assert seen.sum(dim=1).tolist() == [kept, of_half]


def test_a_ratio_that_leaves_one_token_is_good():
    assert encoder_lengths(small((4, 10), 0.9))["encoder"] == 1 + 1
