"""A whole run: the sections together, and what follows from them."""

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
from ucf_vit.config.sections.trainer import Trainer
from ucf_vit.config.sections.variables import Variables
from ucf_vit.core.errors import ConfigError
from ucf_vit.registries.networks import NetworkFacts, network_facts
from ucf_vit.registries.tasks import TASKS, LabelKind, TaskFacts, task_facts


class Run(Section):
    """Everything that a config says; `load` checks it and fills every default in."""

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
    _origins: Origins = PrivateAttr(default_factory=lambda: Origins("config"))

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, wherever it was said."""
        return isinstance(other, Run) and self.model_dump() == other.model_dump()

    @property
    def source_path(self) -> Path:
        """The file that the run was loaded from."""
        return Path(self._origins.name)

    @property
    def task(self) -> str:
        """The task to train, as `load` has filled it in."""
        if self.trainer.task is None:
            raise self.error("trainer.task", f"missing; expected one of {', '.join(TASKS)}")
        return self.trainer.task

    @property
    def network(self) -> str:
        """Name of the network, as `load` has filled it in."""
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
        """Number of classes; ConfigError if it is not given."""
        if self.model.num_classes is None:
            raise self.error("model.num_classes", f"missing; task {self.task} needs the number of classes")
        return self.model.num_classes

    @property
    def label_kind(self) -> LabelKind:
        """Kind of the labels that training needs."""
        return self.task_facts.label_kind(self.diffusion.conditions)

    @property
    def learns_labels(self) -> bool:
        """Whether training needs the labels of its data: in a diffusion model as a condition."""
        return self.label_kind != "none"

    @property
    def fixed_length(self) -> int:
        """Tokens per tree with adaptive patching, as `load` has filled it in."""
        if self.adaptive.fixed_length is None:
            raise self.error("adaptive.fixed_length", "missing; adaptive patching needs the tokens per tree")
        return self.adaptive.fixed_length

    @property
    def in_channels(self) -> int:
        """Channels that the network knows; with use_varemb a batch may have less."""
        single = self.data.single_channel and not self.variables.use_varemb
        return 1 if single else len(self.input.default_vars)

    @property
    def spatial_tile(self) -> tuple[int, ...]:
        """Sides of the tile that the network sees: 2 entries for 2D, 3 for 3D."""
        return tuple(self.input.tile_size[:2] if self.input.twoD else self.input.tile_size)

    @property
    def grid(self) -> tuple[int, ...]:
        """Patches of a tile along each of its axes; adaptive ones, which have no grid, all in a row."""
        if self.adaptive.adaptive_patching:
            trees = self.in_channels if self.adaptive.separate_channels else 1
            return (trees * self.fixed_length,)
        return tuple(side // self.input.patch_size for side in self.spatial_tile)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets, in the order of the file."""
        return tuple(self.data.dict_root_dirs)

    def having(self, split: Split) -> tuple[str, ...]:
        """Those of `datasets` that have files for `split`."""
        parts = {name: self.data.part(name, split) for name in self.datasets}
        return tuple(name for name, (_, start, end) in parts.items() if start < end)

    def stats_file(self, dataset: str) -> Path:
        """Where the statistics of a dataset are, or are to be."""
        default = Path(self.trainer.checkpoint_path or "") / "stats" / f"{dataset}.json"
        return Path(self.data.dict_stats.get(dataset, default))

    def where(self, key: str) -> str:
        """`run.yaml:12`, the override, or the file's name if the key has its default."""
        return self._origins.where(tuple(key.split(".")))

    def from_override(self, key: str) -> bool:
        """Whether the value of `key` comes from an override."""
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
        """Returns the name by which the user gave `key`: files may have keys in their old places."""
        return dotted(self._origins.name_of(tuple(key.split("."))))

    def error(self, key: str, message: str, value: object = NO_VALUE) -> ConfigError:
        """The error that `key` can't be used, with place and value; `message` says what was expected."""
        return report([Problem(tuple(key.split(".")), message, value)], self._origins)

    def report(self, problems: Sequence[Problem]) -> ConfigError:
        """The error that tells all of `problems`, each with its place."""
        return report(problems, self._origins)
