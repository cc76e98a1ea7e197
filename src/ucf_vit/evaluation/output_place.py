"""Output directory of an evaluation, checked before the work begins so that no results are lost."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.report.write_cases import write_cases
from ucf_vit.training.evaluation_files import FOLDER, Evaluation
from ucf_vit.training.hooks.report import REPORT, About, read_about, write_report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputPlace:
    """Directory that results can be written to; None if they are only shown on the terminal."""

    directory: Path | None

    @classmethod
    def choose(cls, run: Path, output: Path | None) -> OutputPlace:
        """Returns `output`, or else the directory of the run if it can be written.

        Raises UserError if `output` cannot be written or holds another report.
        """
        directory = output or run
        if output is not None and (output / REPORT).exists() and not (output / FOLDER).is_dir():
            raise UserError(
                f"--output {output} holds a {REPORT} that is not of an evaluation; name another directory"
            )
        try:
            if output is not None:
                output.mkdir(parents=True, exist_ok=True)
            _probe(directory)
        except OSError as cause:
            why = f"{directory} cannot be written ({cause.strerror or cause})"
            if output is not None:
                raise UserError(f"--output: {why}; name another directory") from None
            log.warning("%s: results go to the terminal only; --output DIR puts them into a directory", why)
            return cls(None)
        return cls(directory)

    def write(
        self, evaluation: Evaluation, name: str, title: str, scored: Scored | None = None
    ) -> list[Path]:
        """Writes results, scores of cases and report, and returns their paths.

        Raises UserError if they cannot be written.
        """
        if self.directory is None:
            return []
        file = self.directory / FOLDER / f"{name}.json"
        try:
            further = (
                [] if scored is None else write_cases(self.directory / FOLDER / name, evaluation, scored)
            )
            replace(evaluation, name=name, files=tuple(path.name for path in further)).write(file)
            about = read_about(self.directory) or About(title)
            return [file, *further[:2], write_report(self.directory, about)]
        except OSError as cause:
            why = cause.strerror or cause
            raise UserError(
                f"{self.directory}: cannot be written ({why}); the results above are complete"
            ) from None


def _probe(directory: Path) -> None:
    """Raises OSError if no file can be written in `directory`, or in its folder of results."""
    folder = directory / FOLDER
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{FOLDER} is not a directory")
    with tempfile.TemporaryFile(dir=folder if folder.is_dir() else directory):
        pass
