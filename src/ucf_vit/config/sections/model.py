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
    option,
)
from ucf_vit.options import DecoderOptions, EncoderOptions
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
    embed_dim: Whole = option(EncoderOptions, "embed_dim", "Width of the encoder's tokens.", "features")
    depth: Whole = option(EncoderOptions, "depth", "Blocks of the encoder.", "blocks")
    num_heads: Whole = option(
        EncoderOptions,
        "num_heads",
        "Attention heads of the encoder; divide embed_dim, unless head_dim is given.",
        "heads",
    )
    head_dim: Whole | None = option(
        EncoderOptions,
        "head_dim",
        "Width of an attention head.",
        "features",
        derived="embed_dim / num_heads",
    )
    mlp_ratio: Number = option(
        EncoderOptions, "mlp_ratio", "Hidden width of the encoder's MLPs over embed_dim."
    )
    qkv_bias: bool = key(True, "Bias in the projections to queries, keys and values.")
    drop_rate: Number = option(EncoderOptions, "drop_rate", "Dropout while training.", "fraction")
    drop_path: Number = option(
        EncoderOptions,
        "drop_path",
        "Stochastic depth of the last block; rises linearly from 0.",
        "fraction",
    )
    attention: Literal["auto", "flash", "efficient", "cudnn", "math", "xformers", "xformers_ck"] = key(
        "auto",
        "Attention kernel; auto lets torch choose, the others force one and fail if it is not available.",
    )
    norm_eps: Number | None = option(
        EncoderOptions,
        "norm_eps",
        "Epsilon of layer norms.",
        derived="as published: 1e-5 in a UNETR, else 1e-6",
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
    decoder_embed_dim: Whole = option(
        DecoderOptions,
        "embed_dim",
        "Masked autoencoder, diffusion: width of the decoder's tokens.",
        "features",
    )
    decoder_depth: Whole = option(
        DecoderOptions, "depth", "Masked autoencoder, diffusion: blocks of the decoder.", "blocks"
    )
    decoder_num_heads: Whole = option(
        DecoderOptions,
        "num_heads",
        "Masked autoencoder, diffusion: heads of the decoder; divide decoder_embed_dim.",
        "heads",
    )
    mlp_ratio_decoder: Number = option(
        DecoderOptions,
        "mlp_ratio",
        "Masked autoencoder, diffusion: hidden width of the decoder's MLPs over decoder_embed_dim.",
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
