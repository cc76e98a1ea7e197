"""`report.html`: what a run was, what it reached and what that looks like, in one file to pass on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

import ucf_vit
from ucf_vit.core.durable import write_atomic
from ucf_vit.core.log import read_warnings
from ucf_vit.core.text import read_text
from ucf_vit.train.hooks import page
from ucf_vit.train.hooks.hook import Hook, RunState
from ucf_vit.train.hooks.jsonl import METRICS, read_metrics
from ucf_vit.train.hooks.page import Table
from ucf_vit.train.hooks.pictures import PICTURES
from ucf_vit.train.hooks.results import Best, run_facts, validation_table

REPORT, CONFIG, LOG = "report.html", "config.yaml", "log.txt"
_PACKAGES = ("torch", "monai", "timm", "numpy")


class ReportHook(Hook):
    """Writes `directory/report.html` after each validation and at the end; comes after PicturesHook."""

    def __init__(
        self, directory: Path, *, title: str, summary: Mapping[str, str], device: torch.device
    ) -> None:
        self.directory = directory
        self.title = title
        self.summary = dict(summary)
        self.environment = environment(device)

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Write the report so far."""
        self._write(state)

    def on_end(self, state: RunState) -> None:
        """Write the final report."""
        self._write(state)

    def _write(self, state: RunState) -> None:
        write_report(
            self.directory,
            title=self.title,
            summary={**self.summary, "Steps": f"{state.step} of {state.total_steps}"},
            best=state.task.best,
            environment=self.environment,
        )


def write_report(
    directory: Path,
    *,
    title: str,
    summary: Mapping[str, str],
    tables: Sequence[Table] = (),
    best: Best | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Write `directory/report.html` and return its path; replaces an earlier one at once or not at all.

    `summary` is shown first, by name ("Task", "Data set", ...); `tables` are results, such as those of an
    evaluation beside a simple baseline; `best` is the metric that chooses the best checkpoint. Curves,
    pictures, warnings and the resolved config are those found in `directory`; what is missing is left out.
    """
    entries = read_metrics(directory / METRICS)
    results = [*tables, *validation_table(entries, best)]
    curves, pictures = _pictures(directory / PICTURES)
    parts = [
        page.facts({**summary, **run_facts(entries, best), **summary}),
        *(page.section(result.title, page.table(result)) for result in results),
        page.section("Curves", page.gallery(curves)),
        page.section("Pictures", "\n".join(page.image(name, data) for name, data in pictures.items())),
        page.section("Warnings", page.warnings(read_warnings(directory / LOG))),
        page.section("Details", _details(directory / CONFIG, environment or {})),
    ]
    subtitle = f"Written on {time.strftime('%Y-%m-%d at %H:%M:%S')}"
    write_atomic(directory / REPORT, page.page(title, subtitle, parts))
    return directory / REPORT


def environment(device: torch.device) -> dict[str, str]:
    """What a run was computed with: versions, system and device."""
    built = f" (CUDA {torch.version.cuda})" if torch.version.cuda else ""
    built = f" (ROCm {torch.version.hip})" if torch.version.hip else built
    versions = {"ucf_vit": ucf_vit.__version__, **{name: version(name) for name in _PACKAGES}}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return {
        **versions,
        "torch": versions["torch"] + built,
        "Python": platform.python_version(),
        "System": platform.platform(),
        "Device": "Apple GPU (MPS)" if device.type == "mps" else name,
        "CPU": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads per process",
    }


def _pictures(directory: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """PNG files by name: the curves in their order, and all others."""
    files = {path.stem: path.read_bytes() for path in sorted(directory.glob("*.png"))}
    names = ["loss", *(name for name in files if name.startswith("validation_")), "learning_rate"]
    curves = {name: files.pop(name) for name in names if name in files}
    return curves, files


def _details(config: Path, environment: Mapping[str, str]) -> str:
    text = read_text(config) if config.is_file() else ""
    width = max(map(len, environment), default=0)
    versions = "\n".join(f"{name:<{width}}  {value}" for name, value in environment.items())
    return page.folded("Configuration", text) + page.folded("Environment", versions)
