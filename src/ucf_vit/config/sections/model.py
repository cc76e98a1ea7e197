"""Section `model`: encoder, decoder and head of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from ucf_vit.config.sections.fields import (
    Name,
    Number,
    Options,
    PathOrUrl,
    Section,
    Whole,
    key,
    known_to,
)
from ucf_vit.registries.networks import NETWORKS

NetworkName = Annotated[Name, known_to(NETWORKS)]


class Model(Section):
    """The network: encoder, decoder and head."""

    name: NetworkName | None = key(
        None,
        "The network: vit, mae, unetr, sap, diffusion, a name that another package registers, or a class of "
        "your own. It is built from the keys of the config that its constructor has as parameters.",
        derived="the task's network",
    )
    options: Options = key({}, "Further options for the constructor of a network of your own, by name.")
    embed_dim: Whole = key(768, "Width of the encoder's tokens.", "features", ge=1)
    depth: Whole = key(12, "Blocks of the encoder.", "blocks", ge=1, le=10_000)
    num_heads: Whole = key(
        12, "Attention heads of the encoder; divide embed_dim, unless head_dim is given.", "heads", ge=1
    )
    head_dim: Whole | None = key(
        None, "Width of an attention head.", "features", ge=1, derived="embed_dim / num_heads"
    )
    mlp_ratio: Number = key(4.0, "Hidden width of the encoder's MLPs over embed_dim.", gt=0)
    qkv_bias: bool = key(True, "Bias in the projections to queries, keys and values.")
    drop_rate: Number = key(0.0, "Dropout while training.", "fraction", ge=0, lt=1)
    drop_path: Number = key(
        0.0, "Stochastic depth of the last block; rises linearly from 0.", "fraction", ge=0, lt=1
    )
    attention: Literal["auto", "flash", "efficient", "cudnn", "math", "xformers", "xformers_ck"] = key(
        "auto",
        "Attention kernel; auto lets torch choose, the others force one and fail if it is not available.",
    )
    norm_eps: Number | None = key(
        None, "Epsilon of layer norms.", gt=0, derived="as published: 1e-5 in a UNETR, else 1e-6"
    )
    class_token: bool = key(True, "Put a class token before the patches (VIT and masked autoencoder).")
    num_classes: Whole | None = key(
        None,
        "Classes of segmentation (with background) or classification.",
        "classes",
        ge=1,
        derived="data.num_classes",
    )
    feature_size: Whole = key(16, "UNETR: channels at full resolution of its decoder.", "channels", ge=1)
    skip_connection: bool = key(True, "UNETR: feed encoder layers and the image to the decoder.")
    linear_decoder: bool = key(
        False, "One linear layer as the decoder (masked autoencoder, UNETR, diffusion)."
    )
    decoder_embed_dim: Whole = key(
        512, "Masked autoencoder, diffusion: width of the decoder's tokens.", "features", ge=1
    )
    decoder_depth: Whole = key(
        8, "Masked autoencoder, diffusion: blocks of the decoder.", "blocks", ge=1, le=10_000
    )
    decoder_num_heads: Whole = key(
        16, "Masked autoencoder, diffusion: heads of the decoder; divide decoder_embed_dim.", "heads", ge=1
    )
    mlp_ratio_decoder: Number = key(
        4.0, "Masked autoencoder, diffusion: hidden width of the decoder's MLPs over decoder_embed_dim.", gt=0
    )
    mask_ratio: Number = key(
        0.75, "Masked autoencoder: fraction of patches that is masked.", "fraction", gt=0, lt=1
    )
    loss_fn: Literal["maskMSE", "MSE"] = key(
        "maskMSE", "Loss of the masked autoencoder: over the masked patches, or over all."
    )
    norm_pix_loss: bool = key(
        False, "Masked autoencoder: reconstruct patches normalised to mean 0, variance 1."
    )
    pretrained: PathOrUrl = key(
        "",
        "File of weights that the network starts from: safetensors or torch, of timm, MONAI, the authors of "
        "the masked autoencoder, UCF-VIT or this package, see docs/weights.md. Tensors that fit are taken, "
        "and a report names them; a resumed run ignores it.",
    )
    pretrained_channels: list[str] = key(
        [],
        "Names of the channels that these weights were trained with, in their order; a channel of "
        "default_vars with one of these names takes its weights.",
        derived="not known",
    )
    pretrained_channel_rule: Literal["mean", "repeat"] = key(
        "mean",
        "Weights of channels without such a name, if there are not as many: the mean over those of the file, "
        "or those of the file in turn; scaled so that outputs keep their size.",
    )
    pretrained_inflation: Literal["mean", "centre"] = key(
        "mean",
        "Weights of volumes from those of images: spread over the last axis and divided by its length, or in "
        "its middle with zeros around.",
    )
