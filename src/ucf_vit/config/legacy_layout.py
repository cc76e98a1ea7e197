"""Former places of keys, in `model` or `model.net.init_args`, and keys without use."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.problems import Problem, report
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.core.did_you_mean import did_you_mean

log = logging.getLogger(__name__)

NET: KeyPath = ("model", "net", "init_args")
MOVED: dict[str, str] = {
    name: section
    for section, names in {
        "input": "default_vars tile_size twoD patch_size stem pos_embed",
        "adaptive": "adaptive_patching fixed_length min_leaf split_rule split_threshold split_overflow "
        "separate_channels use_adaptive_pos_emb detail detail_smoothing canny_low canny_high token_placement",
        "variables": "use_varemb aggregation aggregation_group aggregation_partial",
        "diffusion": "num_time_steps noise_schedule prediction min_snr conditioning conditions "
        "condition_dropout",
        "optimizer": "lr beta_1 beta_2 weight_decay warmup_steps max_steps warmup_start_lr eta_min",
    }.items()
    for name in names.split()
}
"""Section of each key that is also accepted in section `model`, the former place of nearly all."""
UNUSED: dict[KeyPath, str] = {
    ("model", "net", "class_path"): "the network follows from the task",
    ("model", "use_grad_scaler"): "float16 always uses a gradient scaler",
    ("trainer", "gpu_type"): "the kind of GPU is found by itself; see model.attention",
}
"""Keys of established files that are ignored, with the reason."""


def without_net(path: KeyPath) -> KeyPath:
    """Returns `model.depth` for `model.net.init_args.depth`, and any other path unchanged."""
    return ("model", *path[3:]) if path[:3] == NET and len(path) > 3 else path


def canonical(path: KeyPath) -> KeyPath:
    """Returns the current place of a key: `input.tile_size` for `model.tile_size`."""
    path = without_net(path)
    if len(path) > 1 and path[0] == "model" and path[1] in MOVED:
        return (MOVED[str(path[1])], *path[1:])
    return path


def in_sections(dumped: Mapping[Any, Any]) -> dict[Any, Any]:
    """Returns a dumped config, perhaps of an earlier version, with every key in its current section."""
    return flatten(dumped, Origins("config"))


def flatten(values: Mapping[Any, Any], origins: Origins) -> dict[Any, Any]:
    """Returns the config with every key in its current section, without `model.net` and unused keys.

    Raises ConfigError if `model.net` or `model.net.init_args` is not a dictionary, or if a key is given in
    two places.
    """
    flat = {name: {} if content is None else content for name, content in values.items()}
    model = flat.get("model")
    if isinstance(model, dict) and "net" in model:
        flat["model"] = _without_net(model, origins)
    for path, reason in UNUSED.items():
        section = flat.get(path[0])
        if isinstance(section, dict) and path[-1] in section:
            flat[path[0]] = {name: value for name, value in section.items() if name != path[-1]}
            log.warning("%s: %s is not used: %s", origins.where(path), dotted(path), reason)
    return _in_sections(flat, origins)


def _in_sections(flat: dict[Any, Any], origins: Origins) -> dict[Any, Any]:
    """Moves the keys of section `model` that belong to other sections now."""
    model = flat.get("model")
    moved = {name: model[name] for name in MOVED if name in model} if isinstance(model, dict) else {}
    problems = []
    for name, value in moved.items():
        place, section = f"{MOVED[name]}.{name}", flat.get(MOVED[name], {})
        if isinstance(section, dict) and name in section:
            message = f"occurs twice (also as {place}); remove one"
            problems.append(Problem(("model", name), message, value))
        elif isinstance(section, dict):
            flat[MOVED[name]] = {**section, name: value}
            origins.names[MOVED[name], name] = ("model", name)
    if problems:
        raise report(problems, origins)
    if moved:
        flat["model"] = {name: value for name, value in flat["model"].items() if name not in moved}
    origins.places = {canonical(path): place for path, place in origins.places.items()}
    return flat


def _without_net(model: dict[Any, Any], origins: Origins) -> dict[Any, Any]:
    remainder = {name: value for name, value in model.items() if name != "net"}
    net = _dictionary(model["net"], NET[:2], origins)
    known = ["init_args", "class_path"]
    problems = [
        Problem((*NET[:2], name), f"unknown key{did_you_mean(str(name), known)}; expected init_args", value)
        for name, value in net.items()
        if name not in known
    ]
    inner = _dictionary(net.get("init_args"), NET, origins)
    problems += [
        Problem((*NET, name), f"occurs twice (also as model.{name}); remove one", inner[name])
        for name in inner
        if name in remainder
    ]
    if problems:
        raise report(problems, origins)
    return {**remainder, **inner, **({"class_path": net["class_path"]} if "class_path" in net else {})}


def _dictionary(value: Any, path: KeyPath, origins: Origins) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise report([Problem(path, "expected keys with values below it", value)], origins)
    return dict(value)
