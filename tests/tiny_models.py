"""Every registered network in tiny form, over 2D and 3D, odd shapes and all options.

A new network is covered as soon as it is registered; `run` gives it what its `forward` wants beside an image,
or in place of it.
"""

import inspect
import itertools
from dataclasses import fields, replace
from math import gcd

import torch
from torch import Tensor, nn

from ucf_vit.models import MODELS
from ucf_vit.models.tree_input import TreeInput
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions, VariableOptions, pick
from ucf_vit.patching.tree.cut import cut
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.patching.tree.patches import Patches

DEFAULTS = {
    "in_channels": 2,
    "num_classes": 3,
    "embed_dim": 12,
    "depth": 2,
    "num_heads": 3,
    "mlp_ratio": 2.0,
    "decoder_embed_dim": 8,
    "decoder_depth": 1,
    "decoder_num_heads": 2,
    "mlp_ratio_decoder": 2.0,
    "feature_size": 2,
    "mask_ratio": 0.5,
    "fixed_length": 32,
}

SHAPES = [
    {"tile_size": (8, 8), "patch_size": 4},
    {"tile_size": (6, 18), "patch_size": 6},
    {"tile_size": (3, 4), "patch_size": 1},
    {"tile_size": (16, 32), "patch_size": 16, "in_channels": 1},
    {"tile_size": (8, 4, 12), "patch_size": 4},
    {"tile_size": (12, 8), "patch_size": (6, 2)},
    {"tile_size": (8, 16, 4), "patch_size": (4, 8, 2)},
    {"tile_size": (6, 2, 4), "patch_size": 2, "in_channels": 1},
    {"tile_size": (16, 16, 32), "patch_size": 16, "in_channels": 1},
]

OPTIONS = [
    {"class_token": False, "pos_embed": "learned"},
    {"class_token": True, "pos_embed": "sincos"},
    {"embed_dim": 20, "num_heads": 5, "decoder_embed_dim": 14, "pos_embed": "sincos"},
    {"linear_decoder": True},
    {"skip_connection": False},
    {"drop_rate": 0.2, "drop_path": 0.2},
    {"conditioning": "add"},
    {"depth": 5, "feature_size": 3, "num_classes": 1},
    {"attention": "math", "mask_ratio": 0.25, "qkv_bias": False},
    {"stem": "conv", "patch_size": 2, "head_dim": 5},
]


def takes(name: str, options: dict) -> bool:
    """Whether the network has such options, of its constructor or of its input and encoder."""
    groups = {field.name for kind in (InputOptions, EncoderOptions) for field in fields(kind)}
    if "stem" in options and not has_input(name, options):
        return False
    return options.keys() <= inspect.signature(MODELS[name]).parameters.keys() | groups | DEFAULTS.keys()


def has_input(name: str, options: dict) -> bool:
    """Whether the network can have such an input: SAP has adaptive patches, MAE embeds a part of them."""
    if options.get("stem") == "conv":
        return name not in ("mae", "sap")
    return name != "sap" or "adaptive_patching" in options


CASES = [(name, DEFAULTS | shape) for name, shape in itertools.product(MODELS, SHAPES)] + [
    (name, DEFAULTS | shape | options)
    for name, shape, options in itertools.product(MODELS, (SHAPES[1], SHAPES[4]), OPTIONS)
    if takes(name, options)
]


ADAPTIVE_IMAGE = {"adaptive_patching": True, "tile_size": (16, 24), "patch_size": 4, "fixed_length": 23}
ADAPTIVE_VOLUME = {"adaptive_patching": True, "tile_size": (8, 8, 16), "patch_size": 4, "fixed_length": 24}
ADAPTIVE_SLAB = {
    "adaptive_patching": True,
    "tile_size": (8, 16, 4),
    "patch_size": (4, 4, 2),
    "fixed_length": 30,
}
"""Leaves have the shape of a patch."""
ADAPTIVE = [
    DEFAULTS | shape | {"separate_channels": separate, "use_adaptive_pos_emb": boxes}
    for shape, separate, boxes in itertools.product(
        (ADAPTIVE_IMAGE, ADAPTIVE_VOLUME), (False, True), (True, False)
    )
] + [DEFAULTS | ADAPTIVE_IMAGE | {"patch_size": (2, 4)}, DEFAULTS | ADAPTIVE_SLAB]
ADAPTIVE_CASES = list(itertools.product(MODELS, ADAPTIVE)) + [
    (name, ADAPTIVE[number] | options)
    for name, number, options in itertools.product(
        MODELS,
        (0, 7),
        (
            {"class_token": False, "pos_embed": "learned"},
            {"class_token": True, "pos_embed": "sincos", "embed_dim": 20, "num_heads": 5},
            {"linear_decoder": True},
            {"skip_connection": False, "patch_size": 2},
            {"depth": 5, "feature_size": 3, "num_classes": 1},
        ),
    )
    if takes(name, options)
]

NAMES = ("a", "b", "c")
VAREMB = [
    DEFAULTS | {"in_channels": 3, "use_varemb": True, "default_vars": NAMES} | options
    for options in (
        {"tile_size": (8, 8), "patch_size": 4},
        {"tile_size": (8, 4, 12), "patch_size": 4, "aggregation": "hierarchical", "aggregation_group": 2},
        {
            "tile_size": (6, 18),
            "patch_size": 6,
            "aggregation": "hierarchical",
            "aggregation_group": 2,
            "aggregation_partial": "attention",
            "linear_decoder": True,
        },
        ADAPTIVE_IMAGE,
        ADAPTIVE_IMAGE | {"separate_channels": True, "use_adaptive_pos_emb": False},
        ADAPTIVE_VOLUME | {"aggregation": "hierarchical", "aggregation_group": 2},
        ADAPTIVE_VOLUME | {"separate_channels": True},
    )
]


VAREMB_CASES = [
    (name, options) for name, options in itertools.product(MODELS, VAREMB) if has_input(name, options)
]


def case_id(case: object) -> str:
    if isinstance(case, str):
        return case
    text = "x".join(map(str, case["tile_size"])) + f"/{case['patch_size']}"
    changed = (f"{key}={value}" for key, value in case.items() if DEFAULTS.get(key, value) != value)
    options = (f"{key}={value}" for key, value in case.items() if key not in DEFAULTS and "size" not in key)
    return ",".join([text, *changed, *options])


def network_options(options: dict) -> dict:
    """Options in one flat dictionary, named as in a config, as the arguments of constructors."""
    variables = None
    if options.get("use_varemb"):
        kinds = {"aggregation": "aggregation", "group": "aggregation_group", "partial": "aggregation_partial"}
        chosen = {field: options[key] for field, key in kinds.items() if key in options}
        variables = VariableOptions(names=options["default_vars"], **chosen)
    decoder = {key.removeprefix("decoder_"): options[key] for key in options if key.startswith("decoder_")}
    if "mlp_ratio_decoder" in options:
        decoder["mlp_ratio"] = options["mlp_ratio_decoder"]
    return options | {
        "input": pick(InputOptions, options | {"variables": variables}),
        "encoder": pick(EncoderOptions, options),
        "decoder": DecoderOptions(**decoder),
    }


def build(name: str, options: dict) -> nn.Module:
    """The network of a flat dictionary of options, of which it takes those that it knows."""
    adaptive = {"adaptive_patching": True} if name == "sap" else {}
    return MODELS.build(name, {}, network_options(options | adaptive))


def image_for(options: dict, batch: int = 2) -> Tensor:
    return torch.randn(batch, options["in_channels"], *options["tile_size"])


def patches_for(model: nn.Module, image: Tensor, threshold: float | None = None) -> Patches | None:
    """The patches that an adaptive model wants, from trees whose detail is the size of values.

    Where it wants more than the tile can have, and with a threshold, the rest is padding.
    """
    if not isinstance(model.input, TreeInput):
        return None
    trees, space = image.shape[1] if model.input.separate_channels else 1, image.shape[2:]
    detail = image.abs().unflatten(1, (trees, -1)).mean(2).flatten(0, 1).float()
    forest = Forest(tuple(space), [side // gcd(*model.input.patch_size) for side in model.input.patch_size])
    leaves = replace(grow_trees(detail, forest, model.input.length, threshold), trees=trees)
    return Patches(cut(image, leaves, model.input.patch_size), leaves)


def run(
    model: nn.Module,
    image: Tensor,
    patches: Patches | None = None,
    variables: tuple[str, ...] | None = None,
) -> Tensor:
    """The model's first result, with the same fixed noise for every sample where it asks for noise.

    An adaptive model gets patches: those of the image if none are given. `variables` are the image's.
    """
    wanted = inspect.signature(model.forward).parameters
    patches = patches_for(model, image) if patches is None else patches
    if patches is None:
        given = [image]
    else:
        given = [image, patches] if {"image", "patches"} <= wanted.keys() else [patches]
    if "noise" in wanted:
        count = model.count_tokens(image.shape[1])
        noise = torch.rand(count, generator=torch.Generator().manual_seed(0))
        given.append(noise.expand(len(image), -1).to(image.device))
    if "time" in wanted:
        given.append(torch.full((len(image),), 3, device=image.device))
    result = model(*given, variables=variables)
    return result[0] if isinstance(result, tuple) else result
