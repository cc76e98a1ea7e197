"""Randomly initialised networks of other programs, and the networks here that they fit."""

from functools import partial

import timm
import torch
from monai.networks import nets
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ucf_vit.models import MAE, VIT
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions


def randomised(model: nn.Module) -> nn.Module:
    """The network with every weight drawn, also those that begin as zeros or ones, in float64."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model.double().eval()


def vit(tile: tuple[int, ...], patch: int = 8, channels: int = 3, classes: int = 5, **options) -> VIT:
    """A VIT of the usual small size of these tests."""
    token = options.pop("class_token", True)
    chosen = {"embed_dim": 48, "depth": 3, "num_heads": 4} | options
    seen = InputOptions(in_channels=channels, tile_size=tile, patch_size=patch)
    return VIT(seen, EncoderOptions(**chosen), num_classes=classes, class_token=token).double().eval()


def tokens_of(model: VIT, image: Tensor) -> Tensor:
    """All tokens after the encoder, `[B, (1 +) L, D]`."""
    tokens = model.positions(model.embed(model.input.split(image).values))
    tokens = tokens if model.class_token is None else model.class_token(tokens)
    return model.encoder(tokens)[0]


class AuthorsMAE(nn.Module):
    """A masked autoencoder with the modules and names of the published one (He et al. 2022)."""

    def __init__(self, side: int = 32, patch: int = 8, channels: int = 3) -> None:
        super().__init__()
        dim, inner, tokens = 48, 32, (side // patch) ** 2
        self.patch = patch
        self.patch_embed = timm.layers.PatchEmbed(side, patch, channels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens + 1, dim), requires_grad=False)
        norm = {"qkv_bias": True, "norm_layer": partial(nn.LayerNorm, eps=1e-6)}
        self.blocks = nn.ModuleList(Block(dim, 4, **norm) for _ in range(2))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.decoder_embed = nn.Linear(dim, inner)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, inner))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, tokens + 1, inner), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(Block(inner, 2, **norm) for _ in range(1))
        self.decoder_norm = nn.LayerNorm(inner, eps=1e-6)
        self.decoder_pred = nn.Linear(inner, patch**2 * channels)

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Pixels `[B, L, P * P * C]`, the channels of a pixel side by side."""
        x = self.patch_embed(image) + self.pos_embed[:, 1:]
        order = noise.argsort(1)
        kept = order[:, : x.shape[1] // 4]
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x], 1)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        masked = self.mask_token.expand(len(x), noise.shape[1] - kept.shape[1], -1)
        rest = torch.cat([x[:, 1:], masked], 1)
        rest = rest.gather(1, order.argsort(1)[..., None].expand(-1, -1, x.shape[-1]))
        x = torch.cat([x[:, :1], rest], 1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]


def authors_mae() -> AuthorsMAE:
    """One with random weights; a class token has no position in its decoder, as published."""
    model = randomised(AuthorsMAE())
    with torch.no_grad():
        model.decoder_pos_embed[:, 0] = 0
    return model


def mae(**options) -> MAE:
    """The network here of the size of `AuthorsMAE`."""
    return (
        MAE(
            InputOptions(in_channels=3, tile_size=(32, 32), patch_size=8, pos_embed="learned"),
            EncoderOptions(embed_dim=48, depth=2, num_heads=4),
            DecoderOptions(embed_dim=32, depth=1, num_heads=2),
            **options,
        )
        .double()
        .eval()
    )


def monai_vit(tile: tuple[int, ...], **options) -> nn.Module:
    """MONAI's ViT, of width 48 and depth 3."""
    chosen = {"patch_size": 8, "hidden_size": 48, "mlp_dim": 192, "num_layers": 3, "num_heads": 4} | options
    return randomised(nets.ViT(in_channels=3, img_size=tile, spatial_dims=len(tile), **chosen))
