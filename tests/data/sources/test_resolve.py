"""A source is found by name, in an installed package, or in a file."""

import pickle
import sys

import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources import SOURCES, BasicCT, ImageNet

FILE = '''
import numpy as np
from ucf_vit.data.batch import Sample
from ucf_vit.data.sources import Item, Source

class Numbers(Source):
    """Images whose every pixel is their number."""

    spatial_dims = 2
    variables = ("number",)

    def __init__(self, root, count=5):
        self.root, self.count = root, count

    def items(self):
        return [Item(str(i), f"{self.root}/{i}") for i in range(self.count)]

    def shape(self, item):
        return (1, 8, 8)

    def read(self, item, region=None, channels=None):
        image = np.full((1, 8, 8), float(item.key))[(slice(None), *(region or ()))]
        return Sample(image, None, self.variables, item.image)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_by_name():
    assert SOURCES["basic_ct"] is BasicCT
    assert SOURCES["imagenet"] is ImageNet


def test_in_a_file(file, scratch):
    data = build_dataset(
        "n",
        f"{file}:Numbers",
        "somewhere",
        tile_size=(4, 4),
        labels=False,
        options={"count": 3},
        scratch=scratch,
        normalization={"kind": "none"},
    )
    assert len(data) == 12 and data.variables == ("number",)
    assert SOURCES[f"{file}:Numbers"] is type(data.source)


def test_a_source_in_a_file_is_made_again_in_another_process(file, scratch):
    data = build_dataset("n", f"{file}:Numbers", "x", tile_size=(4, 4), labels=False, scratch=scratch)
    packed = pickle.dumps(data)
    for name in [name for name in sys.modules if name.startswith("ucf_vit_plugin_")]:
        del sys.modules[name]
    again = pickle.loads(packed)
    assert [item.key for item in again.source.items()] == list("01234")


def test_in_an_installed_package(file, tmp_path, monkeypatch):
    meta = tmp_path / "mine-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[ucf_vit.sources]\nnumbers = mine:Numbers\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert SOURCES["numbers"].__name__ == "Numbers"
    with pytest.raises(DataError, match="did you mean 'numbers'"):
        SOURCES["nubers"]


def test_what_is_not_there_is_named(file):
    with pytest.raises(
        DataError, match=r"no data source named 'basic-ct' \(did you mean 'basic_ct'\?\); known: basic_ct"
    ):
        SOURCES["basic-ct"]
    with pytest.raises(DataError, match=r"no 'Number' \(did you mean 'Numbers'\?\)"):
        SOURCES[f"{file}:Number"]
    with pytest.raises(DataError, match=r"gone\.py: no such file"):
        SOURCES["gone.py:Numbers"]


def test_a_file_that_fails_is_one_message(tmp_path):
    (tmp_path / "mine.py").write_text("import numpy\nimport nmpy\n")
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"mine\.py: this data source can't be loaded: line 2: ModuleNotF"
        ):
            SOURCES[f"{tmp_path / 'mine.py'}:Numbers"]
