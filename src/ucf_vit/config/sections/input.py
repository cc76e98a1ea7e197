"""Section `input`: channels, tile and patches of the network's input."""

from __future__ import annotations

from typing import Literal

from ucf_vit.config.sections.fields import REQUIRED, Count, Section, Sides, key


class Input(Section):
    """The network's input: channels, tile and patches."""

    default_vars: list[str] = key(
        REQUIRED, "Names of the network's variables (channels, modalities).", min_length=1
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
    patch_size: Sides = key(
        16,
        "Side of a patch along all axes, or a list with one for each, such as [16, 16, 8] for thick slices; "
        "divides the tile. With adaptive patching leaves of all sizes are brought to it, so that it is free, "
        "but in a UNETR: there it has the sides of a leaf, which are those of the cells on which tokens are "
        "placed.",
        "pixels",
    )
    stem: Literal["patch", "conv"] = key(
        "patch",
        "From pixels to tokens: patch projects each patch by itself; conv: three 3 x 3 convolutions with "
        "norm and ReLU at full resolution, then one for each halving until a patch is one token. Sides of "
        "patches are powers of two. Not for masked autoencoders, adaptive patches and use_varemb.",
    )
    pos_embed: Literal["auto", "learned", "sincos"] = key(
        "auto",
        "Position embeddings: learned, fixed sines and cosines; auto: sincos for the tasks masked and "
        "diffusion and for what starts from a masked autoencoder (use_pretrained_mae_model), else learned.",
    )
