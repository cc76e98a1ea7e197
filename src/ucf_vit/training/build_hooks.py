"""Builds the hooks of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.registries.hooks import HOOKS
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.hooks.jsonl import JsonlHook
from ucf_vit.training.hooks.pictures import PicturesHook, PicturesPeer
from ucf_vit.training.hooks.progress import ProgressHook
from ucf_vit.training.hooks.report import ReportHook
from ucf_vit.training.hooks.uniform_trees import TreesHook
from ucf_vit.training.inputs.run_data import RunData


def build_hooks(run: Run, world: World, data: RunData, more: Sequence[Hook] = ()) -> list[Hook]:
    """Returns the hooks of this rank: the built-in ones, those that `trainer.hooks` names, and `more`.

    The order matters: the report comes after others, since it reads what they wrote, and only hooks that are
    `last` after it. If the model is sharded, all ranks take part in drawing pictures. Raises UserError for a
    hook that cannot be built.
    """
    directory, names = Path(run.trainer.checkpoint_path), data.record.label_names
    pictures: list[Hook] = []
    if run.trainer.pictures:
        sample = _sample_reader(world, data) if data.has_validation else None
        if world.is_main:
            pictures = [PicturesHook(directory, sample, data.examples, names)]
        elif sample is not None and world.mesh is not None:
            pictures = [PicturesPeer(sample)]
    own = [*_configured_hooks(run, world), *(hook for hook in more if world.is_main or hook.every_rank)]
    last = [hook for hook in own if hook.last]
    own = [hook for hook in own if not hook.last]
    if not world.is_main:
        return [*pictures, *own, *last]
    summary = {"Task": run.task, **data.in_words(), "Processes": str(world.size)}
    report = ReportHook(directory, title=run.task, summary=summary, device=world.device, class_names=names)
    always = [ProgressHook(), JsonlHook(directory), TreesHook(data.examples)]
    return [*always, *pictures, *own, report, *last]


def _configured_hooks(run: Run, world: World) -> Iterator[Hook]:
    """Yields the hooks that `trainer.hooks` names. Every rank looks up all of them and builds its own."""
    offered = {"directory": Path(run.trainer.checkpoint_path), "run": run, "world": world}
    for name in run.trainer.hooks:
        if not (world.is_main or getattr(HOOKS[name], "every_rank", False)):
            continue
        try:
            arguments = HOOKS.arguments(name, {}, offered)
        except UserError as refused:
            raise run.error("trainer.hooks", str(refused), name) from None
        hook = HOOKS[name](**arguments)
        if not isinstance(hook, Hook):
            raise run.error("trainer.hooks", f"expected a subclass of {Hook.__module__}.Hook", name)
        yield hook


def _sample_reader(world: World, data: RunData) -> Callable[[], Batch | None]:
    """Returns a function that reads the held-out batch to draw; with a sharded model, on every rank."""
    first = lambda: next(data.validation(), None)  # noqa: E731
    return first if world.mesh is None else lambda: world.on_main(first)
