"""The established file layout: the network under `model.net.init_args`, and keys that have no use here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.problems import Problem, report
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.core.registry import did_you_mean

log = logging.getLogger(__name__)

NET: KeyPath = ("model", "net", "init_args")
UNUSED: dict[KeyPath, str] = {
    ("model", "net", "class_path"): "the network follows from the task",
    ("model", "use_grad_scaler"): "float16 always uses a gradient scaler",
    ("trainer", "gpu_type"): "the kind of GPU is found by itself; see model.attention",
}
"""Keys of established files that are read over, and why."""


def canonical(path: KeyPath) -> KeyPath:
    """`model.net.init_args.depth` is `model.depth`."""
    return ("model", *path[3:]) if path[:3] == NET and len(path) > 3 else path


def flatten(values: Mapping[Any, Any], origins: Origins) -> dict[Any, Any]:
    """The same config with every key in its section, none of them in `model.net`, and without unused keys.

    Raises ConfigError if `model.net` or `model.net.init_args` is not a dictionary, or if a key stands in both
    places.
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
    origins.places = {canonical(path): place for path, place in origins.places.items()}
    return flat


def _without_net(model: dict[Any, Any], origins: Origins) -> dict[Any, Any]:
    rest = {name: value for name, value in model.items() if name != "net"}
    net = _dictionary(model["net"], NET[:2], origins)
    known = ["init_args", "class_path"]
    problems = [
        Problem((*NET[:2], name), f"unknown key{did_you_mean(str(name), known)}; expected init_args", value)
        for name, value in net.items()
        if name not in known
    ]
    inner = _dictionary(net.get("init_args"), NET, origins)
    problems += [
        Problem((*NET, name), f"is there twice (also as model.{name}); remove one", inner[name])
        for name in inner
        if name in rest
    ]
    if problems:
        raise report(problems, origins)
    return {**rest, **inner, **({"class_path": net["class_path"]} if "class_path" in net else {})}


def _dictionary(value: Any, path: KeyPath, origins: Origins) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise report([Problem(path, "expected keys with values below it", value)], origins)
    return dict(value)
