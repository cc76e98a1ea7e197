"""Config of a run: all sections, and values derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import PrivateAttr

from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.problems import NO_VALUE, Problem, report
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.config.sections.data import Data, DatasetOptions, Split
from ucf_vit.config.sections.diffusion import Diffusion
from ucf_vit.config.sections.fields import Section
from ucf_vit.config.sections.input import Input
from ucf_vit.config.sections.load_balancing import LoadBalancing
from ucf_vit.config.sections.model import Model
from ucf_vit.config.sections.optimizer import Optimizer
from ucf_vit.config.sections.parallelism import Parallelism
from ucf_vit.config.sections.tracking import Tracking
from ucf_vit.config.sections.trainer import Trainer
from ucf_vit.config.sections.variables import Variables
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.registries.networks import NetworkFacts, network_facts
from ucf_vit.registries.tasks import TASKS, LabelKind, TaskFacts, task_facts


class Run(Section):
    """Config of a run; `load` checks it and fills in all defaults."""

    trainer: Trainer = Trainer()
    parallelism: Parallelism = Parallelism()
    model: Model = Model()
    input: Input
    adaptive: Adaptive = Adaptive()
    variables: Variables = Variables()
    diffusion: Diffusion = Diffusion()
    optimizer: Optimizer = Optimizer()
    data: Data
    dataset_options: DatasetOptions = DatasetOptions()
    load_balancing: LoadBalancing = LoadBalancing()
    tracking: Tracking = Tracking()
    _origins: Origins = PrivateAttr(default_factory=lambda: Origins("config"))

    def __eq__(self, other: object) -> bool:
        """Returns whether all values are equal, whatever their origins."""
        return isinstance(other, Run) and self.model_dump() == other.model_dump()

    @property
    def source_path(self) -> Path:
        """File that the run was loaded from."""
        return Path(self._origins.name)

    @property
    def task(self) -> str:
        """Name of the task. Raises ConfigError if it is missing."""
        if self.trainer.task is None:
            raise self.error("trainer.task", f"missing; expected one of {', '.join(TASKS)}")
        return self.trainer.task

    @property
    def network(self) -> str:
        """Name of the network."""
        return self.model.name or self.task_facts.network

    @property
    def task_facts(self) -> TaskFacts:
        """Facts about the task."""
        return task_facts(self.task)

    @property
    def network_facts(self) -> NetworkFacts:
        """Facts about the network."""
        return network_facts(self.network)

    @property
    def num_classes(self) -> int:
        """Number of classes. Raises ConfigError if it is missing."""
        if self.model.num_classes is None:
            raise self.error("model.num_classes", f"missing; task {self.task} needs the number of classes")
        return self.model.num_classes

    @property
    def label_kind(self) -> LabelKind:
        """Kind of the labels that training needs."""
        return self.task_facts.label_kind(self.diffusion.conditions)

    @property
    def learns_labels(self) -> bool:
        """Whether training needs labels; a diffusion model may need them as a condition."""
        return self.label_kind != "none"

    @property
    def fixed_length(self) -> int:
        """Number of tokens per tree with adaptive patching. Raises ConfigError if it is missing."""
        if self.adaptive.fixed_length is None:
            raise self.error("adaptive.fixed_length", "missing; adaptive patching needs the tokens per tree")
        return self.adaptive.fixed_length

    @property
    def in_channels(self) -> int:
        """Number of channels of the network; with use_varemb a batch may have fewer."""
        single = self.data.single_channel and not self.variables.use_varemb
        return 1 if single else len(self.input.default_vars)

    @property
    def spatial_tile(self) -> tuple[int, ...]:
        """Sides of the network's input tile: 2 entries for 2D, 3 for 3D."""
        return tuple(self.input.tile_size[:2] if self.input.twoD else self.input.tile_size)

    @property
    def patch(self) -> tuple[int, ...]:
        """Sides of a patch, as many as of `spatial_tile`."""
        return per_axis(self.input.patch_size, len(self.spatial_tile), "patch_size")

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of patches of a tile along each axis; one number of all for adaptive patches."""
        if self.adaptive.adaptive_patching:
            trees = self.in_channels if self.adaptive.separate_channels else 1
            return (trees * self.fixed_length,)
        return tuple(side // patch for side, patch in zip(self.spatial_tile, self.patch, strict=True))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in the order of the file."""
        return tuple(self.data.dict_root_dirs)

    def having(self, split: Split) -> tuple[str, ...]:
        """Returns the names of the data sets that have files for `split`, or may have with `data.split`."""
        parts = {name: self.data.part(name, split) for name in self.datasets}
        return tuple(name for name, (_, start, end) in parts.items() if start < end)

    def stats_file(self, dataset: str) -> Path:
        """Returns the path of a data set's statistics file."""
        default = Path(self.trainer.checkpoint_path or "") / "stats" / f"{dataset}.json"
        return Path(self.data.dict_stats.get(dataset, default))

    def where(self, key: str) -> str:
        """Returns the origin of a key: `run.yaml:12`, an override, or the file if the key has its default."""
        return self._origins.where(tuple(key.split(".")))

    def from_override(self, key: str) -> bool:
        """Returns whether the value of `key` comes from an override."""
        return self._origins.from_override(tuple(key.split(".")))

    def written(self, *keys: str) -> str:
        """Returns the first of `keys` that is overridden, else the first that is given, else the first."""
        overridden = [key for key in keys if self.from_override(key)]
        given = [key for key in keys if self._is_given(key)]
        return [*overridden, *given, *keys][0]

    def _is_given(self, key: str) -> bool:
        section, _, name = key.partition(".")
        return name in getattr(self, section).model_fields_set

    def value(self, key: str) -> object:
        """Returns the value of a key such as `model.depth`."""
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)

    def default(self, key: str) -> object:
        """Returns the default of a key such as `model.depth`."""
        section, _, name = key.partition(".")
        return type(getattr(self, section)).model_fields[name].get_default()

    def name_of(self, key: str) -> str:
        """Returns the name by which the user gave `key`: files may have keys in their former places."""
        return dotted(self._origins.name_of(tuple(key.split("."))))

    def error(self, key: str, message: str, value: object = NO_VALUE) -> ConfigError:
        """Returns the error for the `value` of `key`, with its origin; `message` says what was expected."""
        return report([Problem(tuple(key.split(".")), message, value)], self._origins)

    def report(self, problems: Sequence[Problem]) -> ConfigError:
        """Returns one error for all `problems`, each with its origin."""
        return report(problems, self._origins)
