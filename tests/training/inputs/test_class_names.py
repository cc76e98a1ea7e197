"""A class has one number wherever its name is met: sites, other folders, prepared data, later runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import runs
from ucf_vit import checkpoint
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError, DataError, UserError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.build import build_task
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task

COLOURS = {"cat": (250, 10, 10), "dog": (10, 250, 10), "owl": (10, 10, 250), "bird": (240, 240, 10)}


def site(root: Path, *names: str, number: int = 6) -> Path:
    """A folder of images of each of these classes, which a child can tell apart; others for another name."""
    noise = np.random.default_rng([*root.name.encode()])
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            pixels = np.clip(COLOURS[name] + noise.normal(0, 4, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def config_of(path: Path, sites: dict[str, Path], **sections: dict[str, Any]) -> Path:
    trainer = {"max_epochs": 8, "validation_epochs": 8} | sections.pop("trainer", {})
    data = {
        "dict_root_dirs": {name: str(root) for name, root in sites.items()},
        "dict_end_idx": dict.fromkeys(sites, 0.7),
        "augmentation": False,
    }
    model = {"lr": 1e-2, "depth": 1} | sections.pop("model", {})
    return runs.write_config(
        path,
        "classification",
        path,
        trainer=trainer,
        model=model,
        data=data | sections.pop("data", {}),
        dataset_options={"imagenet_resize": {}},
        **sections,
    )


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def top1(table: str) -> float:
    return float(next(line for line in table.splitlines() if "Top-1" in line).split("│")[2])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run on two sites, of which dog is the second class and the first."""
    root = tmp_path_factory.mktemp("sites")
    sites = {"one": site(root / "one", "cat", "dog"), "two": site(root / "two", "dog", "owl")}
    runs.train(config_of(root / "run/c.yaml", sites))
    return root / "run/out"


def test_two_sites_share_the_numbers_and_the_checkpoint_keeps_the_names(trained: Path) -> None:
    assert runs.losses(trained, "validation", "validation/top1")[max(runs.losses(trained))] > 0.95
    meta = checkpoint.read_meta(trained / "best")
    assert Record.load(meta, trained).class_names == ("cat", "dog", "owl")
    assert "Classes" in (trained / "report.html").read_text()
    assert "cat, dog, owl" in (trained / "report.html").read_text()


@pytest.mark.deep
def test_folders_without_some_classes_are_evaluated_right(trained: Path, tmp_path: Path) -> None:
    """Positions in these folders would be 0 for owl, and 0 for dog."""
    for names in (("owl",), ("dog", "owl"), ("cat", "owl")):
        root = site(tmp_path / "-".join(names), *names)
        assert top1(call("evaluate", trained, "--data", f"one={root}")) > 0.95


def test_a_class_that_was_not_trained_is_named(trained: Path, tmp_path: Path) -> None:
    root = site(tmp_path / "new", "bird", "cat")
    with pytest.raises(DataError, match="one: unknown class bird; the classes are cat, dog, owl"):
        call("evaluate", trained, "--data", f"one={root}")


def test_a_class_that_came_later_does_not_move_the_others(tmp_path: Path) -> None:
    root = site(tmp_path / "site", "cat", "dog")
    config = config_of(
        tmp_path / "a/c.yaml", {"one": root}, trainer={"max_epochs": 1, "validation_epochs": 1}
    )
    runs.train(config)
    site(root, "bird")
    with pytest.raises(DataError, match="unknown class bird; the classes are cat, dog"):
        runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    start = f"trainer.start_from={tmp_path / 'a/out/best'}"
    runs.train(config, start, f"trainer.checkpoint_path={tmp_path / 'b'}")
    meta = checkpoint.read_meta(tmp_path / "b/best")
    assert Record.load(meta, tmp_path).class_names == ("cat", "dog", "bird")


def test_other_classes_than_those_of_the_weights_are_too_many(tmp_path: Path) -> None:
    """Weights that tell cat from dog would silently begin to tell bird from owl."""
    first = config_of(
        tmp_path / "a/c.yaml",
        {"one": site(tmp_path / "one", "cat", "dog")},
        model={"num_classes": 2},
        trainer={"max_epochs": 1, "validation_epochs": 1},
    )
    runs.train(first)
    second = config_of(
        tmp_path / "b/c.yaml", {"one": site(tmp_path / "two", "bird", "owl")}, model={"num_classes": 2}
    )
    start = f"trainer.start_from={tmp_path / 'a/out/best'}"
    with pytest.raises(ConfigError, match=r"start_from have 4 classes: cat, dog, bird, owl; .*=\[head\]"):
        runs.train(second, start)
    runs.train(second, start, "trainer.start_without=[head]")
    assert Record.load(checkpoint.read_meta(tmp_path / "b/out/best"), tmp_path).class_names == ("bird", "owl")


def test_more_classes_together_than_the_network_has(tmp_path: Path) -> None:
    sites = {"one": site(tmp_path / "one", "cat", "dog"), "two": site(tmp_path / "two", "bird", "owl")}
    with pytest.raises(ConfigError, match="data sets together have 4 classes: cat, dog, bird, owl"):
        runs.train(config_of(tmp_path / "c.yaml", sites))


def test_a_run_weighs_its_classes_by_the_items_it_trains_on(tmp_path: Path) -> None:
    """Of one data set and of both; the class of one item has the largest weight."""
    sites = {"a": site(tmp_path / "a", "cat", "dog"), "b": site(tmp_path / "b", "owl", number=1)}
    options = {"class_weights": "balanced", "mixup": 0.2, "label_smoothing": 0.1}
    split = {"dict_end_idx": {"a": 0.75, "b": 1.0}}
    config = config_of(
        tmp_path / "c.yaml", sites, trainer={"max_epochs": 1, "task_options": options}, data=split
    )
    run = load(config)
    task = build_task(run)
    with start(run) as world:
        train_task(task, run, world)
    assert task._weights.tolist() == pytest.approx([9 / (3 * count) for count in (4, 4, 1)])


def test_prepared_sites_share_the_numbers_too(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="needs the extra zarr")
    sites = {"one": site(tmp_path / "one", "cat", "dog"), "two": site(tmp_path / "two", "dog", "owl")}
    raw = config_of(tmp_path / "c.yaml", sites)
    call("prepare", raw, tmp_path / "fast")
    fast = config_of(
        tmp_path / "d.yaml", {n: tmp_path / "fast" / n for n in sites}, data={"dataset": "prepared"}
    )
    names = ("cat", "dog", "owl")
    for one, two in zip(
        *(build_datasets(load(c), Scratch(), record=Record(names)) for c in (raw, fast)), strict=True
    ):
        assert [item.class_index for item in one.items] == [item.class_index for item in two.items]
        assert {item.stratum for item in two.items if item.class_index == names.index("dog")} == {"dog"}


def test_the_validation_root_has_the_numbers_of_the_training(tmp_path: Path) -> None:
    root, held_out = site(tmp_path / "site", "cat", "dog", "owl"), site(tmp_path / "held_out", "owl")
    runs.train(config_of(tmp_path / "c.yaml", {"one": root}, data={"validation": {"one": str(held_out)}}))
    out = tmp_path / "out"
    assert runs.losses(out, "validation", "validation/top1")[max(runs.losses(out))] > 0.95
