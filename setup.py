"""Puts examples that lie at the top of the repository into the package; the metadata is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("configs", "launch", "training_scripts")


class BuildWithExamples(build_py):
    """Copies the folders to `ucf_vit/examples`; an editable installation uses them where they are."""

    def run(self) -> None:
        """Copies modules, then the folders."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for folder in FOLDERS:
            place = Path(self.build_lib) / "ucf_vit" / "examples" / folder
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithExamples})
