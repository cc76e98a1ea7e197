"""The examples of docs/python.md and of the public functions run, and the page has every public name."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch

import ucf_vit

PAGE = Path(__file__).parents[2] / "docs/python.md"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = ("features", "networks", "sizes")


def test_the_page_lists_the_public_names_and_no_others() -> None:
    listed = re.findall(r"^\| `ucf_vit\.(\w+)", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(ucf_vit.__all__)
    for name in ucf_vit.__all__:
        assert getattr(ucf_vit, name).__doc__


def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=OPTIONS, globs={"ucf_vit": ucf_vit}
    )
    assert (failed, tried > 15) == (0, True)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_functions(name: str) -> None:
    module = import_module(f"ucf_vit.api.{name}")
    names = {"torch": torch, **{public: getattr(ucf_vit, public) for public in ucf_vit.__all__}}
    failed, tried = doctest.testmod(module, extraglobs=names, optionflags=OPTIONS)
    assert (failed, tried > 0) == (0, True)
