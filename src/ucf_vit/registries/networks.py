"""Registry of networks, with the facts about each that the checks of a config need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ucf_vit.core.registry import Registry

Output = Literal["class logits", "voxel logits", "token logits", "masked patches", "denoised image"]
"""Result of a network's forward pass, in the words of messages."""

NETWORKS: Registry[Any] = Registry(
    "network",
    "ucf_vit.networks",
    {
        "diffusion": "ucf_vit.models.diffusion:DiffusionVIT",
        "mae": "ucf_vit.models.mae:MAE",
        "sap": "ucf_vit.models.sap:SAP",
        "unetr": "ucf_vit.models.unetr:UNETR",
        "vit": "ucf_vit.models.vit:VIT",
    },
)
"""Networks by the name that `model.name` uses."""


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """Facts about a network that a config is checked by; a network has them as its attribute `facts`.

    Attributes:
        output: what its forward pass returns; None: not said, so any task may train it.
        encoder: has the transformer that `patch_size`, `embed_dim`, `depth`, `num_heads` and so on describe.
        token_decoder: has a transformer after the encoder, as `decoder_embed_dim` and so on describe it.
        grid_decoder: decodes on the grid of patches, also with adaptive patching.
        masks_tokens: its encoder sees only the share of the tokens that `mask_ratio` leaves.
        class_token: can have a class token.
        adaptive_only: takes adaptive patches only.
        positions: position embeddings where `pos_embed` is auto.
    """

    output: Output | None = None
    encoder: bool = False
    token_decoder: bool = False
    grid_decoder: bool = False
    masks_tokens: bool = False
    class_token: bool = False
    adaptive_only: bool = False
    positions: Literal["learned", "sincos"] = "learned"


BUILT_IN: dict[str, NetworkFacts] = {
    "diffusion": NetworkFacts(output="denoised image", encoder=True, token_decoder=True, positions="sincos"),
    "mae": NetworkFacts(
        output="masked patches",
        encoder=True,
        token_decoder=True,
        masks_tokens=True,
        class_token=True,
        positions="sincos",
    ),
    "sap": NetworkFacts(output="token logits", encoder=True, adaptive_only=True),
    "unetr": NetworkFacts(output="voxel logits", encoder=True, grid_decoder=True),
    "vit": NetworkFacts(output="class logits", encoder=True, class_token=True),
}
"""Facts about the networks of the project, which are known before these are imported."""


def network_facts(name: str) -> NetworkFacts:
    """Returns the facts about a network; a network without the attribute `facts` has the defaults.

    Raises UserError if there is no such network.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    facts = getattr(NETWORKS[name], "facts", None)
    return facts if isinstance(facts, NetworkFacts) else NetworkFacts()
