"""Section `model`: the network, its optimizer and learning-rate schedule."""

from __future__ import annotations

from typing import Literal

from ucf_vit.config.sections.fields import REQUIRED, Count, Level, Number, Section, Whole, key


class Model(Section):
    """The network, its optimizer (AdamW) and its learning rate (linear warm-up, then a cosine).

    Network keys may also stand under `model.net.init_args`.
    """

    lr: Number = key(1e-4, "Learning rate after the warm-up.", gt=0)
    beta_1: Number = key(0.9, "Decay of AdamW's mean of gradients.", ge=0, lt=1)
    beta_2: Number = key(0.95, "Decay of AdamW's mean of squared gradients.", ge=0, lt=1)
    weight_decay: Number = key(
        0.05, "Weight decay; norms, biases, positions and tokens are never decayed.", ge=0
    )
    warmup_steps: Whole = key(0, "Length of the linear warm-up.", "optimizer steps", ge=0)
    max_steps: Whole | None = key(
        None,
        "Length of the schedule: from here on the learning rate is eta_min.",
        "optimizer steps",
        ge=1,
        derived="the whole training",
    )
    warmup_start_lr: Number = key(0.0, "Learning rate of the first step of the warm-up.", ge=0)
    eta_min: Number = key(0.0, "Learning rate at the end of the schedule.", ge=0)

    default_vars: list[str] = key(
        REQUIRED, "Names of the variables (channels, modalities) that the model knows.", min_length=1
    )
    tile_size: list[Count] = key(
        REQUIRED,
        "Sides of a tile: 2 entries for images or 2D slices of volumes along their last axis, 3 entries for "
        "volumes. With twoD, 3 entries mean such slices too, and the third is not used.",
        "pixels",
        min_length=2,
        max_length=3,
    )
    twoD: bool | None = key(  # noqa: N815
        None, "The network sees 2D tiles.", derived="true if tile_size has 2 entries"
    )
    patch_size: Whole = key(
        16,
        "Side of a patch; divides every side of the tile. With adaptive patching leaves of all sizes are "
        "brought to it, so that it is free, but in a UNETR: there it is the side of a leaf, which is that of "
        "the cells on which tokens are placed.",
        "pixels",
        ge=1,
    )
    embed_dim: Whole = key(768, "Width of the encoder's tokens.", "features", ge=1)
    depth: Whole = key(12, "Blocks of the encoder.", "blocks", ge=1, le=10_000)
    num_heads: Whole = key(12, "Attention heads of the encoder; divide embed_dim.", "heads", ge=1)
    mlp_ratio: Number = key(4.0, "Hidden width of the encoder's MLPs over embed_dim.", gt=0)
    drop_rate: Number = key(0.0, "Dropout while training.", "fraction", ge=0, lt=1)
    drop_path: Number = key(
        0.0, "Stochastic depth of the last block; rises linearly from 0.", "fraction", ge=0, lt=1
    )
    class_token: bool = key(True, "Put a class token before the patches (VIT and masked autoencoder).")
    pos_embed: Literal["auto", "learned", "sincos"] = key(
        "auto",
        "Position embeddings: learned, fixed sines and cosines; auto: sincos for the tasks masked and "
        "diffusion and for what starts from a masked autoencoder (use_pretrained_mae_model), else learned.",
    )
    attention: Literal["auto", "flash", "efficient", "cudnn", "math", "xformers", "xformers_ck"] = key(
        "auto",
        "Attention kernel; auto lets torch choose, the others force one and fail where it cannot serve.",
    )
    use_varemb: bool = key(
        False,
        "Embed each variable apart and aggregate over those that a batch has: batches may have any of "
        "default_vars, in any order.",
    )
    aggregation: Literal["cross", "hierarchical"] = key(
        "cross",
        "use_varemb: how variables become one: cross: one cross-attention over all; hierarchical: groups of "
        "them first, then one over groups, for many variables. With separate_channels they stay apart.",
    )
    aggregation_group: Whole = key(
        8,
        "Aggregation hierarchical: neighbours in default_vars that make a group.",
        "variables",
        ge=1,
    )
    aggregation_partial: Literal["linear", "attention"] = key(
        "linear",
        "Aggregation hierarchical: what makes one of a group: linear: the mean of its tokens, which are "
        "linear; attention: a cross-attention, the same for all groups.",
    )
    adaptive_patching: bool = key(
        False, "Small patches where there is detail, large ones where there is none."
    )
    fixed_length: Whole | None = key(
        None,
        "Adaptive patching: tokens per tree. A tile of one root has 3n + 1 in 2D (quadtree), 7n + 1 in 3D "
        "(octree); one of R roots, since its sides are no powers of two, R + 3n or R + 7n.",
        "tokens",
        ge=1,
        derived="the most up to 196 in 2D, 512 in 3D",
    )
    min_leaf: Whole = key(
        2, "Adaptive patching: side of the smallest leaf; divides every side of the tile.", "pixels", ge=1
    )
    split_rule: Literal["length", "threshold"] = key(
        "length",
        "Adaptive patching: length: split the leaf with most detail until there are fixed_length; threshold: "
        "split leaves with more detail than split_threshold; what is missing to fixed_length is masked.",
    )
    split_threshold: Number = key(
        0.0,
        "Split rule threshold: detail of a leaf, summed over its pixels.",
        "detail; canny: edge pixels",
        ge=0,
    )
    split_overflow: Literal["coarsen", "drop"] = key(
        "coarsen",
        "Split rule threshold, where it would make too many leaves: coarsen: split only those with most "
        "detail; drop: leave leaves out at random, and with them parts of the tile.",
    )
    separate_channels: bool = key(
        False,
        "Adaptive patching: one tree per channel, each of fixed_length tokens, rather than one for all.",
    )
    use_adaptive_pos_emb: bool = key(
        True, "Adaptive patching: embed centre and size of each patch; without, its place in the sequence."
    )
    detail: str = key(
        "auto",
        "Adaptive patching: what counts as detail: canny (edges), gradient (its magnitude), variance (over a "
        "neighbourhood), or path/to/file.py:function; auto: canny for 2D tiles, gradient for volumes.",
        min_length=1,
    )
    detail_smoothing: list[Count] | None = key(
        None,
        "Adaptive patching: sides of the blur before detail is looked for, odd numbers, 1: none. Of several, "
        "one is drawn for each training sample.",
        "pixels",
        min_length=1,
        derived="for each tile the shortest of 3, 5, 7, 9 (variance: also 1) that its noise asks for",
    )
    canny_low: list[Level] = key(
        [50.0],
        "Detail canny: gradient from which pixels next to an edge belong to it; of two, a number between "
        "them is drawn for each training sample.",
        "levels of 0 to 255",
        min_length=1,
        max_length=2,
    )
    canny_high: list[Level] = key(
        [150.0],
        "Detail canny: gradient from which a pixel is an edge; of two, a number between them is drawn for "
        "each training sample.",
        "levels of 0 to 255",
        min_length=1,
        max_length=2,
    )
    token_placement: Literal["boxes", "square"] = key(
        "boxes",
        "UNETR with adaptive patching: how tokens come back to the grid: boxes: each to the cells that its "
        "leaf covers; square: the token's number is the cell's, wherever its leaf lies.",
    )

    num_time_steps: Whole = key(
        1000, "Diffusion: steps from an image to noise while training.", "steps", ge=1, le=1_000_000
    )
    noise_schedule: Literal["linear", "cosine"] = key(
        "linear",
        "Diffusion: how noise rises; linear, of 25 steps or more, is scaled so that the last one is noise.",
    )
    prediction: Literal["epsilon", "v", "clean"] = key(
        "epsilon",
        "Diffusion: what the network says: epsilon, the noise; v, a mixture of it and the image; clean, the "
        "image, for patches of more pixels than tokens have features.",
    )
    min_snr: Number = key(
        0.0,
        "Diffusion: largest signal-to-noise ratio that counts in the loss, 5 in the paper; 0: all steps "
        "count the same.",
        "variance of signal over noise",
        ge=0,
    )
    conditioning: Literal["adaln", "add"] = key(
        "adaln",
        "Diffusion: how step and labels come in: adaln steers every block, add adds them to the tokens.",
    )
    conditions: list[Literal["class", "dataset"]] = key(
        [], "Diffusion: what samples are told beside their step, so that one can ask for it."
    )
    condition_dropout: Number = key(
        0.1,
        "Diffusion: chance that a training sample is not told one of its conditions, which guidance and "
        "samples without them need.",
        "fraction",
        ge=0,
        lt=1,
    )

    loss_fn: Literal["maskMSE", "MSE"] = key(
        "maskMSE", "Loss of the masked autoencoder: over the masked patches, or over all."
    )
    norm_pix_loss: bool = key(
        False, "Masked autoencoder: reconstruct patches normalised to mean 0, variance 1."
    )
    mask_ratio: Number = key(
        0.75, "Masked autoencoder: share of patches that is hidden.", "fraction", gt=0, lt=1
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
    linear_decoder: bool = key(
        False, "One linear layer as the decoder (masked autoencoder, UNETR, diffusion)."
    )
    feature_size: Whole = key(16, "UNETR: channels at full resolution of its decoder.", "channels", ge=1)
    skip_connection: bool = key(True, "UNETR: feed encoder layers and the image to the decoder.")
    num_classes: Whole | None = key(
        None,
        "Classes of segmentation (with background) or classification.",
        "classes",
        ge=1,
        derived="data.num_classes",
    )
