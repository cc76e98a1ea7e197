"""The source `files`: one item per file, read as other sources read theirs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runs
from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources.imagenet import ImageNet
from ucf_vit.data.sources.layouts.image_masks import ImageMasks
from ucf_vit.data.sources.layouts.separate_files import SeparateFiles, stem_of


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (12, 10, 3), dtype=np.uint8)).save(path)
    return path


def test_items_are_the_files_of_one_kind(tmp_path: Path, concrete: Path) -> None:
    for name in ("b.png", "a.PNG", "sub/c.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    source = SeparateFiles(tmp_path, ("red", "green", "blue"))
    assert [item.key for item in source.items()] == ["a.PNG", "b.png"]
    assert str(source.passed_over) == "1 other files (notes.txt), 1 folders (sub/)"
    deep = SeparateFiles(tmp_path, ("red", "green", "blue"), recursive=True)
    assert [item.key for item in deep.items()] == ["a.PNG", "b.png", "sub/c.png"]
    (one,) = SeparateFiles(tmp_path / "b.png").items()
    assert (one.key, one.image, one.label) == ("b.png", str(tmp_path / "b.png"), None)
    (tmp_path / "scan.nii.gz").touch()
    with pytest.raises(DataError, match=r"files of different kinds, .*a\.PNG and .*scan\.nii\.gz"):
        SeparateFiles(tmp_path)
    with pytest.raises(DataError, match=r"no volume or picture found; passed over: 2 folders"):
        SeparateFiles(concrete.parent / concrete.name, ("ct",)).items()


def test_values_are_those_of_the_source_that_it_stands_for(tmp_path: Path) -> None:
    path = picture(tmp_path / "x/a.png")
    names = ("red", "green", "blue")
    for source, options in (
        (ImageMasks(tmp_path / "x", names), {}),
        (ImageNet(tmp_path, names), {}),
        (ImageNet(tmp_path, names, [6, 5]), {"resize": [6, 5]}),
    ):
        (item,) = source.items()
        separate = SeparateFiles(path, names, **options, **type(source).file_options)
        (other,) = separate.items()
        assert separate.shape(other) == source.shape(item)
        for region, channels in (((slice(1, 5), slice(0, 3)), [2, 0]), (None, None)):
            expected = source.read(item, region, channels)
            found = separate.read(other, region, channels)
            assert found.image.dtype == expected.image.dtype and np.array_equal(found.image, expected.image)
            assert found.variables == expected.variables


def test_files_without_labels_train_an_autoencoder(tmp_path: Path, concrete: Path) -> None:
    """The values of tiles are those that the layout with labels gives."""
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        concrete / "imagesTr",
        trainer={"max_steps": 1},
        data={"dataset": "files"},
    )
    runs.train(config)
    assert list(runs.losses(tmp_path / "out")) == [1]
    one, other = (
        build_dataset("ct", source, root, tile_size=(16, 16, 16), labels=False)
        for source, root in (("files", concrete / "imagesTr"), ("basic_ct", concrete))
    )
    assert [item.image for item in one.items] == [item.image for item in other.items]
    assert one.normalization == other.normalization


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.nii.gz", "a"), ("a.b.NII", "a.b"), ("x/y.png", "x/y"), ("case.1", "case.1"), ("m.mha", "m")],
)
def test_stems_lack_the_whole_suffix(name: str, stem: str) -> None:
    assert stem_of(name) == stem
