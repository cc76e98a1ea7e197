"""Example configs, training scripts and launch files that come with the package."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import ucf_vit
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.outputs import check_free

FOLDERS = ("configs", "launch", "training_scripts")
"""Folders at the top of the repository, which setup.py puts into `ucf_vit/examples` of a built package."""
_SUFFIXES = (".yaml", ".sh", ".py")


def examples_root() -> Path:
    """Returns the directory that holds the folders: in the installed package, or the repository.

    Raises UserError if the package has none.
    """
    package = Path(ucf_vit.__file__).parent
    for root in (package / "examples", package.parents[1]):
        if all((root / folder).is_dir() for folder in FOLDERS):
            return root
    raise UserError(f"{package}: was installed without its examples; install it from a wheel or a clone")


def list_examples(pattern: str = "configs/*") -> list[str]:
    """Returns the names of the files that match `pattern`, such as `configs/basic_ct/unetr/demo.yaml`.

    `configs/` may be left out, and `.yaml`; `*` stands for any text, with slashes too.
    """
    root = examples_root()
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in _SUFFIXES]
    names = sorted(path.relative_to(root).as_posix() for path in files)
    forms = {pattern, f"configs/{pattern}", f"{pattern}.yaml", f"configs/{pattern}.yaml"}
    return [name for name in names if any(fnmatchcase(name, form) for form in forms)]


def title_of(name: str) -> str:
    """Returns the first line of a file that says what it is for, without its comment sign."""
    lines = (examples_root() / name).read_text(encoding="utf-8").splitlines()
    return next((line.strip("# \"'") for line in lines if line and not line.startswith("#!")), "")


def copy_examples(pattern: str, directory: Path, overwrite: bool = False) -> list[Path]:
    """Copies the files that match `pattern` below `directory`, under their own names; returns the copies.

    Raises UserError if there is none and, unless `overwrite`, for a file that exists.
    """
    names = list_examples(pattern)
    if not names:
        known = [name.removeprefix("configs/").removesuffix(".yaml") for name in list_examples("*")]
        hint = did_you_mean(pattern, known)
        raise UserError(f"no example named {pattern!r}{hint}; ucf-vit config list '*' shows all")
    copies = {name: directory / name for name in names}
    check_free(copies.values(), overwrite)
    for name, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(examples_root() / name, copy)
    return list(copies.values())
