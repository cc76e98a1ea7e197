"""Registry of tasks, with the facts about each that configs, data and training need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import Registry
from ucf_vit.registries.networks import Output

LabelKind = Literal["none", "image", "voxel"]
"""Labels that a task learns from: none, a class for each image, or a class for each pixel or voxel."""

TASKS: Registry[Any] = Registry(
    "task",
    "ucf_vit.tasks",
    {
        "classification": "ucf_vit.tasks.classification:Classification",
        "diffusion": "ucf_vit.tasks.denoising:Denoising",
        "masked": "ucf_vit.tasks.masked:MaskedAutoencoding",
        "segmentation": "ucf_vit.tasks.segmentation:Segmentation",
        "token_segmentation": "ucf_vit.tasks.token_segmentation:TokenSegmentation",
    },
)
"""Tasks by the name that `trainer.task` uses."""


@dataclass(frozen=True, kw_only=True)
class TellingKeys:
    """Keys that identify the task of a config that names none: all of `given`, none of `absent`."""

    given: frozenset[str]
    absent: frozenset[str] = frozenset()

    def fit(self, keys: set[str]) -> bool:
        """Returns whether a config that gives `keys` may be of the task."""
        return self.given <= keys and not self.absent & keys


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """Facts about a task, apart from how it trains; a task has them as its attribute `facts`.

    Attributes:
        network: name of the network that it trains where the config names none; empty: the config has to.
        network_output: what such a network returns; None: any network will do.
        labels: kind of labels that it learns from.
        condition_labels: kinds of labels that it also needs for some of `diffusion.conditions`.
        background: whether the number of its classes includes the background.
        augmentation: name of the recipe for its training tiles; empty: they stay as they are.
        encoder_from: tasks whose encoder its network can start from.
        whole_items: whether it is evaluated on whole items, instead of on tiles.
        adaptive_only: whether it works on adaptive patches only.
        old_names: other names of the task, in configs, checkpoints and folders of older runs.
        telling_keys: keys of established configs, which name no task.
    """

    network: str = ""
    network_output: Output | None = None
    labels: LabelKind = "none"
    condition_labels: Mapping[str, LabelKind] = field(default_factory=dict)
    background: bool = False
    augmentation: str = ""
    encoder_from: tuple[str, ...] = ("masked",)
    whole_items: bool = False
    adaptive_only: bool = False
    old_names: tuple[str, ...] = ()
    telling_keys: TellingKeys | None = None

    def label_kind(self, conditions: Iterable[str] = ()) -> LabelKind:
        """Returns the kind of labels that the task learns from with these `diffusion.conditions`."""
        needed = [self.condition_labels[name] for name in conditions if name in self.condition_labels]
        return needed[0] if needed else self.labels


BUILT_IN: dict[str, TaskFacts] = {
    "masked": TaskFacts(
        network="mae",
        network_output="masked patches",
        augmentation="masked",
        old_names=("mae",),
        telling_keys=TellingKeys(
            given=frozenset({"mask_ratio"}), absent=frozenset({"feature_size", "num_time_steps"})
        ),
    ),
    "segmentation": TaskFacts(
        network="unetr",
        network_output="voxel logits",
        labels="voxel",
        background=True,
        augmentation="segmentation",
        whole_items=True,
        old_names=("unetr",),
        telling_keys=TellingKeys(given=frozenset({"feature_size"}), absent=frozenset({"num_time_steps"})),
    ),
    "token_segmentation": TaskFacts(
        network="sap",
        network_output="token logits",
        labels="voxel",
        background=True,
        augmentation="segmentation",
        whole_items=True,
        adaptive_only=True,
        old_names=("sap",),
        telling_keys=TellingKeys(
            given=frozenset({"num_classes", "adaptive_patching"}),
            absent=frozenset({"feature_size", "num_time_steps"}),
        ),
    ),
    "classification": TaskFacts(
        network="vit",
        network_output="class logits",
        labels="image",
        augmentation="classification",
        old_names=("vit",),
        telling_keys=TellingKeys(
            given=frozenset({"num_classes"}),
            absent=frozenset({"feature_size", "num_time_steps", "mask_ratio"}),
        ),
    ),
    "diffusion": TaskFacts(
        network="diffusion",
        network_output="denoised image",
        condition_labels={"class": "image"},
        augmentation="diffusion",
        telling_keys=TellingKeys(given=frozenset({"num_time_steps"})),
    ),
}
"""Facts about the tasks of the project, which are known before these are imported."""

OLD_NAMES = {old: name for name, facts in BUILT_IN.items() for old in facts.old_names}


def task_name(name: str) -> str:
    """Returns the current name for the current or a former name of a task; other names are unchanged."""
    return OLD_NAMES.get(name, name)


def task_facts(name: str) -> TaskFacts:
    """Returns the facts about a task. Raises UserError if there is no such task."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    facts = getattr(TASKS[name], "facts", None)
    if not isinstance(facts, TaskFacts):
        raise UserError(f"task {name}: expected a subclass of ucf_vit.tasks.Task, got {TASKS[name]!r:.80}")
    return facts
