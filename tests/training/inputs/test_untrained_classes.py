"""A class of voxels that only held-out labels have: such a run is refused by name before its first step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runs
from ucf_vit.core.errors import DataError

FLAT = {"tile_size": [16, 16], "depth": 1, "default_vars": ["i"], "patch_size": 4}


def pairs(root: Path, **labels: int) -> Path:
    """Images of noise, each with a label of background and one other class."""
    for name, value in labels.items():
        label = np.zeros((16, 16), np.uint8)
        label[4:9] = value
        for folder, array in (
            ("images", np.random.default_rng([*name.encode()]).random((16, 16))),
            ("labels", label),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            np.save(root / folder / f"{name}.npy", array)
    return root


def config_of(path: Path, root: Path, task: str = "segmentation", **data: Any) -> Path:
    data = {"dataset": "npy_pairs", "num_classes": 4, "dict_end_idx": {"tiny": 0.5}, **data}
    return runs.write_config(path, task, root, trainer={"max_epochs": 1}, model=FLAT, data=data)


def test_a_class_that_no_item_trains_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = pairs(tmp_path / "data", a=1, b=1, c=2, d=1)
    config = config_of(tmp_path / "c.yaml", root)
    with pytest.raises(
        DataError, match=r"1 class\(es\) are in the label of no training item.*: 2 \(item c\)"
    ):
        runs.train(config)
    assert not list((tmp_path / "out").glob("last*"))
    runs.train(config, "trainer.overwrite=true", "data.dict_label_mapping={tiny: {2: 1}}")
    assert "2 of 4 classes are in no label: 2, 3" in caplog.text
    runs.train(config, "trainer.overwrite=true", "data.leak_check=off")


def test_labels_of_items_of_a_pre_training_are_read(tmp_path: Path) -> None:
    root = pairs(tmp_path / "data", a=1, b=1, c=3, d=1)
    before = config_of(tmp_path / "mae/c.yaml", root, "masked")
    runs.train(before)
    config = config_of(tmp_path / "c.yaml", root)
    start = (
        "trainer.use_pretrained_mae_model=true",
        f"trainer.mae_checkpoint_path={tmp_path / 'mae/out'}",
    )
    with pytest.raises(DataError, match=r"3 \(item c\)"):
        runs.train(config, *start)
