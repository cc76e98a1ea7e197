"""Names are registered, built in, installed or in a file; options are refused in one place."""

import sys

import pytest

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.registry import Registry

BUILT_IN = {"fraction": "fractions:Fraction", "broken": "no_such_module:Thing"}


class Shape:
    def __init__(self, width: int, height: int = 1) -> None:
        self.width, self.height = width, height


class Named(Shape):
    def __init__(self, name: str, **options: int) -> None:
        super().__init__(width=3, **options)
        self.name = name


def shapes(**options: object) -> Registry[Shape]:
    registry: Registry[Shape] = Registry("shape", "ucf_vit.shapes", **options)
    registry.register("shape")(Shape)
    registry.register("named")(Named)
    return registry


def test_built_in_entries_are_imported_when_they_are_asked_for():
    registry = Registry("number", built_in=BUILT_IN)
    assert list(registry) == ["broken", "fraction"] and "fraction" in registry
    assert registry.build("fraction", {"numerator": 3}).numerator == 3
    registry.check("broken")
    with pytest.raises(ModuleNotFoundError):
        registry["broken"]


def test_a_name_has_one_entry():
    registry = shapes(built_in=BUILT_IN)
    registry.register("shape")(Shape)
    for name in ("shape", "fraction"):
        with pytest.raises(ValueError, match="registered twice"):
            registry.register(name)(Named)


@pytest.mark.parametrize("error", [UserError, DataError])
def test_unknown_names(error):
    with pytest.raises(
        error, match=r"no shape named 'shap' \(did you mean 'shape'\?\); known: named, shape, or pa"
    ):
        shapes(error=error)["shap"]
    with pytest.raises(UserError, match=r"no number named 'x\.py:Y'; known: broken, fraction$"):
        Registry("number", built_in=BUILT_IN)["x.py:Y"]


def test_options_that_the_constructor_does_not_take():
    registry = shapes()
    assert registry.build("shape", {"width": 2}, {"height": 5, "depth": 7}).height == 5
    assert registry.build("shape", {"width": 2, "height": 3}, {"height": 5}).height == 3
    with pytest.raises(
        UserError, match=r"shape shape takes no option 'widht' \(did you mean 'width'\?\); it takes width, h"
    ):
        registry.build("shape", {"widht": 2})
    with pytest.raises(UserError, match="shape shape needs width, without a default"):
        registry.build("shape", {"height": 2})


def test_further_options_are_those_of_the_class_below():
    registry = shapes()
    made = registry.build("named", {"name": "n", "height": 4}, {"depth": 3})
    assert (made.name, made.width, made.height) == ("n", 3, 4)
    with pytest.raises(UserError, match=r"takes no option 'depth' .*; it takes name, width, height"):
        registry.build("named", {"name": "n", "depth": 4})


def test_a_function_with_any_options_takes_any():
    registry = shapes()
    registry.register("any")(lambda **options: options)
    assert registry.build("any", {"a": 1}, {"b": 2}) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import nmpy",
            r"shape 'mine' \(mine_shapes:Mine of the package mine-shapes\) can't be loaded: ModuleNotF",
        ),
        ("Mine = 3", "mine: expected a class or a function"),
        ("", "can't be loaded: AttributeError"),
    ],
)
def test_installed_packages_that_fail(tmp_path, monkeypatch, text, said):
    meta = tmp_path / "mine_shapes-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-shapes\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[ucf_vit.shapes]\nmine = mine_shapes:Mine\n")
    (tmp_path / "mine_shapes.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        shapes().check("mine")
        with pytest.raises(UserError, match=said):
            shapes()["mine"]
    finally:
        sys.modules.pop("mine_shapes", None)
