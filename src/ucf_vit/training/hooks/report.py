"""Hook that writes `report.html`: facts, results, curves and pictures of a run in a single file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

import torch
from pydantic import TypeAdapter, ValidationError

import ucf_vit
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.log import read_warnings
from ucf_vit.core.text import read_text
from ucf_vit.drawing import page
from ucf_vit.training.evaluation_files import read_evaluations
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.hooks.jsonl import METRICS, read_metrics
from ucf_vit.training.hooks.pictures import picture_files
from ucf_vit.training.hooks.run_summary import Best, run_facts, validation_table

REPORT, ABOUT, CONFIG, LOG = "report.html", "report.json", "config.yaml", "log.txt"
CHOSEN = (
    "The checkpoint best is the one with the best validation: it was chosen on these items, so expect "
    "somewhat worse results on others. For results on items that nothing was chosen by, keep some apart "
    "(data.test, data.split.test or data.dict_test_start_idx) and in the end say: "
    "ucf-vit evaluate RUN --split test"
)
_PACKAGES = ("torch", "monai", "timm", "numpy")


@dataclass(frozen=True)
class About:
    """Facts about a training that only the report has; the other files of the directory lack them.

    `summary` is shown first, by name ("Task", "Data set", ...); `best` is the metric that chooses the best
    checkpoint; `definitions` explain how metrics are defined; `titles` are those of metrics that are not
    shown by their name.
    """

    title: str
    summary: Mapping[str, str] = field(default_factory=dict)
    best: Best | None = None
    definitions: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)


class ReportHook(Hook):
    """Writes `directory/report.html` after each validation and at the end; comes after PicturesHook.

    `class_names` are the names of the classes of pixels, by number. Also writes its facts about the training
    to `report.json`, from which later evaluations write the report again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        title: str,
        summary: Mapping[str, str],
        device: torch.device,
        class_names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.directory, self.class_names = directory, class_names
        self.about = About(title, dict(summary), environment=environment(device))

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Writes the report so far."""
        plain = {name.removeprefix("validation/"): value for name, value in metrics.items()}
        self.about = replace(self.about, best=state.task.best_by(plain))
        self._write(state)

    def on_end(self, state: RunState) -> None:
        """Writes the final report."""
        self._write(state)

    def _write(self, state: RunState) -> None:
        about = replace(
            self.about,
            summary={**self.about.summary, "Steps": f"{state.step} of {state.total_steps}"},
            best=self.about.best or state.task.best,
            definitions=state.task.definitions,
            titles=state.task.titles(self.class_names),
        )
        write_atomic(self.directory / ABOUT, json.dumps(asdict(about), indent=1) + "\n")
        write_report(self.directory, about)


_SCHEMA = TypeAdapter(About)


def read_about(directory: Path) -> About | None:
    """Returns the facts that the training in `directory` has written, None if there are none."""
    try:
        return _SCHEMA.validate_json((directory / ABOUT).read_bytes())
    except (OSError, ValidationError):
        return None


def write_report(directory: Path, about: About) -> Path:
    """Writes `directory/report.html` and returns its path; an earlier report is replaced atomically.

    Evaluations, curves, pictures, warnings and the config are read from `directory`; missing ones are left
    out of the report.
    """
    entries = read_metrics(directory / METRICS)
    validations = validation_table(entries, about.best, about.titles)
    notes = [*([CHOSEN] if about.best else []), *about.definitions]
    curves, pictures = _pictures(directory)
    parts = [
        page.facts({**about.summary, **run_facts(entries, about.best, about.titles), **about.summary}),
        *(one.section() for one in read_evaluations(directory)),
        *(page.section("Validation", page.table(one) + page.notes(notes)) for one in validations),
        page.section("Curves", page.gallery(curves)),
        page.section("Pictures", "\n".join(pictures)),
        page.section("Warnings", page.warnings(read_warnings(directory / LOG))),
        page.section("Details", _details(directory / CONFIG, about.environment)),
    ]
    subtitle = f"Written on {time.strftime('%Y-%m-%d at %H:%M:%S')}"
    write_atomic(directory / REPORT, page.page(f"{about.title}: {directory}", subtitle, parts))
    return directory / REPORT


def environment(device: torch.device) -> dict[str, str]:
    """Returns versions of packages, system and device, by name."""
    built = f" (CUDA {torch.version.cuda})" if torch.version.cuda else ""
    built = f" (ROCm {torch.version.hip})" if torch.version.hip else built
    versions = {"ucf_vit": ucf_vit.__version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return {
        **versions,
        "torch": torch.__version__ + built,
        "Python": platform.python_version(),
        "System": platform.platform(),
        "Device": "Apple GPU (MPS)" if device.type == "mps" else name,
        "CPU": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads per process",
    }


def _pictures(directory: Path) -> tuple[list[str], list[str]]:
    """Returns the pictures as parts of the page: the curves in their order, and all others."""
    figures = {
        path.stem: page.image(path.stem, path.read_bytes(), None if dark is None else dark.read_bytes())
        for path, dark in picture_files(directory).items()
    }
    first = ["loss", *(name for name in figures if name.startswith("validation_")), "learning_rate"]
    curves = [figures.pop(name) for name in first if name in figures]
    return curves, list(figures.values())


def _details(config: Path, environment: Mapping[str, str]) -> str:
    text = read_text(config) if config.is_file() else ""
    width = max(map(len, environment), default=0)
    versions = "\n".join(f"{name:<{width}}  {value}" for name, value in environment.items())
    return page.folded("Configuration", text) + page.folded("Environment", versions)
