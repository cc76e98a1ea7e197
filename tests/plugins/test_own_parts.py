"""A network, a task, a source and a hook of a user's own, each in a file outside the package, in one run.

The files are those of docs/extending.md.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import runs
import ucf_vit
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.tasks import Segmentation
from ucf_vit.training.build import build_network
from ucf_vit.training.describe_mesh import describe_mesh
from ucf_vit.training.own_task import naming_task
from ucf_vit.training.saved_runs.open_trained import open_trained

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text()
CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
FILES = dict(re.findall(r"`(my_\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
SMALL = ["trainer.log_steps=1", "trainer.pictures=false"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page beside eight images of disks."""
    assert sorted(FILES) == ["my_hook.py", "my_network.py", "my_script.py", "my_source.py", "my_task.py"]
    for name, text in {**FILES, "run.yaml": CONFIG}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "images").mkdir()
    noise, (rows, columns) = np.random.default_rng(0), np.indices((20, 24))
    for number in range(8):
        label = ((rows - 8) ** 2 + (columns - 6 - number) ** 2 < 25).astype(np.uint8)
        image = label + noise.normal(0, 0.1, label.shape).astype(np.float32)
        np.savez(tmp_path / "images" / f"{number}.npz", image=image, label=label)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_of_a_users_own_in_one_run(folder: Path) -> None:
    runs.train(Path("run.yaml"), *SMALL)
    saved = yaml.safe_load(Path("out/config.yaml").read_text())
    assert saved["trainer"]["task"] == "my_task.py:MeanTeacher"
    assert saved["trainer"]["task_options"] == {"rate": 0.1}
    assert (saved["model"]["name"], saved["model"]["options"]) == ("my_network.py:Convolutions", {"width": 6})
    seen = json.loads(Path("out/losses_0.json").read_text())
    logged = runs.losses(Path("out"))
    assert seen == pytest.approx(list(logged.values())) and len(seen) > 4
    assert runs.losses(Path("out"), key="agreement")[len(seen)] > 0
    assert runs.losses(Path("out"), "validation", "validation/dice_1")

    task, run = open_trained(Path("out"))
    assert run == load("out") and type(task).__name__ == "MeanTeacher" and task.rate == 0.1
    assert task.model[0].weight.shape == (6, 1, 3, 3)
    assert not torch.equal(task.model[0].weight, task.teacher[0].weight)
    assert task.predict_whole(torch.zeros(1, 1, 20, 24)).shape == (1, 2, 20, 24)

    assert "2 ranks on 1 node: ddp 2" in describe_mesh(run, 2, 8)
    split = load("run.yaml", ["parallelism.tensor_par_size=2", "parallelism.simple_ddp_size=1"])
    with pytest.raises(UserError, match="does not say how many tokens"):
        describe_mesh(split, 2, 8)


def test_a_hook_hears_of_the_error_that_ends_a_run(folder: Path) -> None:
    text = FILES["my_task.py"].replace("return Loss(loss + ", "return Loss(loss / 0 + ")
    Path("my_task.py").write_text(text)
    with pytest.raises(UserError, match="not finite in 2 steps in a row"):
        runs.train(Path("run.yaml"), *SMALL, "trainer.max_bad_losses=2")
    assert len(json.loads(Path("out/losses_0.json").read_text())) == 2


def test_wrong_plan_files_are_errors(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"my_network.py:Convolutions takes no option 'widht' \(did you mean 'width'"
    ):
        runs.train(Path("run.yaml"), "model.options={widht: 3}")
    with pytest.raises(
        ConfigError, match=r"trainer.task_options = .*MeanTeacher takes no option 'rat' \(did you mean 'rate'"
    ):
        runs.train(Path("run.yaml"), "trainer.task_options={rat: 0.2}")
    with pytest.raises(
        ConfigError, match=r"model.name = 'my_network.py:Convolution': .*did you mean 'Convolutions'"
    ):
        load("run.yaml", ["model.name=my_network.py:Convolution"])
    with pytest.raises(
        ConfigError, match=r"trainer.task = 'my_network.py:Convolutions': .*expected a subclass of"
    ):
        load("run.yaml", ["trainer.task=my_network.py:Convolutions"])
    with pytest.raises(ConfigError, match=r"trainer.hooks.0: no hook named 'losses'"):
        load("run.yaml", ["trainer.hooks=[losses]"])
    with pytest.raises(
        ConfigError, match=r"trainer.hooks = 'my_source.py:Pairs': hook .* needs root, without a"
    ):
        runs.train(Path("run.yaml"), "trainer.hooks=[my_source.py:Pairs]")
    with pytest.raises(
        ConfigError, match=r"trainer.hooks = 'my_source.py:Path': expected a subclass of .*Hook"
    ):
        runs.train(Path("run.yaml"), "trainer.hooks=[my_source.py:Path]", "trainer.overwrite=true")
    with pytest.raises(
        ConfigError, match=r"data.label_geometry = 'accept': .*takes no option 'label_geometry'"
    ):
        runs.train(Path("run.yaml"), "data.label_geometry=accept", "trainer.overwrite=true")


@pytest.mark.deep
def test_parts_that_an_installed_package_offers(folder: Path) -> None:
    site = folder / "site"
    package = site / "my_parts"
    meta = site / "my_parts-1.0.dist-info"
    package.mkdir(parents=True)
    meta.mkdir()
    (package / "__init__.py").write_text("")
    names = {"network": "Convolutions", "task": "MeanTeacher", "source": "Pairs", "hook": "LossesOfRanks"}
    for kind in names:
        (folder / f"my_{kind}.py").rename(package / f"{kind}.py")
    points = [f"[ucf_vit.{kind}s]\nmine = my_parts.{kind}:{name}\n" for kind, name in names.items()]
    (meta / "entry_points.txt").write_text("".join(points))
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    values = ["trainer.task=mine", "trainer.hooks=[mine]", "model.name=mine", "data.dataset=mine"]
    command = [sys.executable, "-m", "ucf_vit", "train", "run.yaml", *SMALL, *values, "trainer.max_steps=2"]
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment)
    assert len(json.loads(Path("out/losses_0.json").read_text())) == 2
    assert yaml.safe_load(Path("out/config.yaml").read_text())["trainer"]["task"] == "mine"


@pytest.mark.deep
def test_a_training_script_builds_the_network_that_the_config_names(folder: Path) -> None:
    script = Path(__file__).parents[2] / "training_scripts/train_unetr.py"
    values = ["trainer.task=segmentation", "trainer.hooks=[]", "trainer.max_steps=1"]
    task_options = "trainer.task_options={windows: 2}"
    command = [sys.executable, str(script), "run.yaml", *SMALL, *values, task_options]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    task, _ = open_trained(Path("out"))
    assert type(task.model).__name__ == "Convolutions" and task.windows == 2


@pytest.mark.deep
def test_a_metric_of_a_script_is_one_of_every_command(folder: Path) -> None:
    """Also where the script goes on with the directory of the run, whose config names its class."""
    values = ["trainer.task=segmentation", "trainer.hooks=[]", "trainer.task_options={gamma: 1.5}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "my_script.py", "run.yaml", *SMALL, *values]
    subprocess.run(command, check=True, env=environment)
    saved = yaml.safe_load(Path("out/config.yaml").read_text())
    assert saved["trainer"]["task"] == f"{folder}/my_script.py:Focal"
    logged = runs.losses(Path("out"), "validation", "validation/accuracy")
    found = ucf_vit.evaluate("out")
    (metrics,) = found.metrics.values()
    assert "dice_1" in metrics
    best = checkpoint.read_meta(Path("out/best"))["step"]
    assert metrics["accuracy"] == pytest.approx(logged[best])
    task = ucf_vit.load("out").task
    assert task.gamma == 1.5 and type(task).__name__ == "Focal"
    assert load("out", task="segmentation").task == saved["trainer"]["task"]
    with pytest.raises(ConfigError, match="but masked was requested"):
        load("out", task="masked")


@pytest.mark.deep
def test_a_script_on_two_processes_gives_the_run_of_one_and_may_move(folder: Path) -> None:
    values = [*SMALL, "trainer.task=segmentation", "trainer.hooks=[]", "trainer.task_options={gamma: 1.5}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, start, batch in (("one", [], 2), ("two", launcher, 1)):
        place = [f"trainer.checkpoint_path={name}", f"data.batch_size={batch}"]
        command = [sys.executable, *start, "my_script.py", "run.yaml", *values, *place]
        subprocess.run(command, check=True, env=environment)
    assert runs.losses(Path("two")) == pytest.approx(runs.losses(Path("one")), rel=1e-5)
    assert runs.losses(Path("two"), key="certainty") == pytest.approx(
        runs.losses(Path("one"), key="certainty"), rel=1e-5
    )
    expected = ucf_vit.evaluate("two").metrics
    (folder / "moved").mkdir()
    Path("my_script.py").rename("moved/my_script.py")
    with pytest.raises(
        ConfigError, match=r"my_script.py: no such file .*override the key with its new place"
    ):
        ucf_vit.evaluate("two")
    there = "trainer.task=moved/my_script.py:Focal"
    (found,) = ucf_vit.evaluate("two", [there]).metrics.values()
    assert found == pytest.approx(next(iter(expected.values())))
    assert type(ucf_vit.load("two", [there]).task).__name__ == "Focal"
    resumed = [
        "two",
        "trainer.resume_from_checkpoint=true",
        "trainer.max_epochs=3",
        "trainer.task=segmentation",
    ]
    command = [sys.executable, *launcher, "moved/my_script.py", *resumed]
    subprocess.run(command, check=True, env=environment)
    assert len(runs.losses(Path("two"))) > len(runs.losses(Path("one")))
    assert ucf_vit.evaluate("two").metrics.keys() == {f"{folder}/moved/my_script.py:Focal"}


@pytest.mark.deep
def test_a_task_in_a_file_on_two_processes(folder: Path) -> None:
    for name, options in (("one", []), ("two", ["--nproc", "2", "data.batch_size=1"])):
        place = f"trainer.checkpoint_path={name}"
        command = [sys.executable, "-m", "ucf_vit", "train", "run.yaml", *SMALL, place, *options]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert runs.losses(Path("two")) == pytest.approx(runs.losses(Path("one")), rel=1e-5)
    assert {path.name for path in Path("two").glob("losses_*.json")} == {"losses_0.json", "losses_1.json"}


class Elsewhere(Segmentation):
    """A task in a module of the tests."""


def test_the_class_of_a_task_is_named_where_it_can_be_found(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = load("run.yaml", ["trainer.task=segmentation", "trainer.task_options={}"])
    network = build_network(run)

    class Inside(Segmentation):
        """A task that no other program can build."""

    assert naming_task(run, Segmentation(network, 2, run.spatial_tile)) is run
    elsewhere = naming_task(run, Elsewhere(network, 2, run.spatial_tile))
    assert elsewhere.task == f"{Path(__file__).resolve()}:Elsewhere"
    assert naming_task(run, Inside(network, 2, run.spatial_tile)) is run
    assert "Inside is in no file, so that other commands take segmentation for this run" in caplog.text
