"""Files of the established framework do not only load: a small part of each is trained."""

import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

import runs

FILES = sorted((Path(__file__).parents[1] / "config/established").rglob("*.yaml"))
SMALL = {
    "trainer.max_steps": 1,
    "trainer.pictures": False,
    "trainer.device": "cpu",
    "trainer.data_type": "float32",
    "parallelism.mode": "simple",
    "parallelism.fsdp_size": 1,
    "parallelism.simple_ddp_size": -1,
    "model.embed_dim": 24,
    "model.depth": 4,
    "model.num_heads": 2,
    "model.warmup_steps": 1,
    "model.decoder_embed_dim": 24,
    "model.decoder_depth": 1,
    "model.decoder_num_heads": 2,
    "data.batch_size": 2,
    "data.num_workers": 0,
    "data.use_all_data": True,
    "load_balancing.auto_load_balancing": True,
}


def overrides(path: Path, root: Path, out: Path) -> list[str]:
    """The file's own keys but for places, numbers of processes and sizes."""
    data = yaml.safe_load(path.read_text())["data"]
    names = list(data["dict_root_dirs"])
    values = SMALL | {
        "trainer.checkpoint_path": str(out),
        "model.tile_size": [16, 16, 16],
        "model.patch_size": 4,
        "data.leak_check": "off",  # the copies below
    }
    copies = [
        root,
        *(shutil.copytree(root, out.parent / name) for name in names[1:]),
    ]  # no item is in two sets
    values |= {f"data.dict_root_dirs.{name}": str(copy) for name, copy in zip(names, copies, strict=True)}
    if data["dataset"] != "basic_ct":
        values |= {
            "model.tile_size": [16, 16],
            "dataset_options.imagenet_resize": {name: [16, 16] for name in names},
        }
    if data["dataset"] == "imagenet" and "num_classes" in data:
        values["data.num_classes"] = 3
    if path.parent.name == "unetr":  # files of one channel stand for those of three
        values |= {"model.default_vars": ["ct"], "data.dict_in_variables": {name: ["ct"] for name in names}}
        values |= {
            f"data.{key}": dict.fromkeys(names, 1) for key in ("num_channels_available", "num_channels_used")
        }
    values["model.fixed_length"] = 16
    return [
        f"{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}"
        for key, value in values.items()
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_step_of_each(path: Path, tmp_path: Path, concrete: Path, coloured: Path) -> None:
    root = concrete
    if path.parts[-3] == "imagenet":
        root = coloured
    elif path.parts[-3] == "catsdogs":
        root = tmp_path / "pets"
        root.mkdir()
        for number, picture in enumerate(sorted(coloured.glob("*/*.png"))):
            Image.open(picture).save(root / f"{('cat', 'dog')[number % 2]}.{number}.png")
    runs.train(path, *overrides(path, root, tmp_path / "out"))
    assert list(runs.losses(tmp_path / "out")) == [1]
