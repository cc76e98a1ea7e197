"""`ucf-vit evaluate`: on which items, how many, and what is said of them."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import runs
from ucf_vit import checkpoint
from ucf_vit.cli.main import app
from ucf_vit.core.errors import CheckpointError, ConfigError, DataError, UserError

FLAT = {"tile_size": [16, 16], "depth": 1, "default_vars": ["i"]}


def images(root: Path, *names: str, seed: int = 0) -> Path:
    """Arrays of noise, each another one; the same seed and name give the same."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name in names:
        noise = np.random.default_rng([seed, *name.encode()])
        np.save(root / f"images/{name}.npy", noise.random((16, 16), np.float32))
    return root


def config_of(path: Path, root: Path, **sections: dict[str, Any]) -> Path:
    """A masked autoencoder on arrays, the first half of which trains."""
    trainer = {"max_epochs": 1} | sections.pop("trainer", {})
    data = {"dataset": "npy_pairs", "dict_end_idx": {"tiny": 0.5}} | sections.pop("data", {})
    return runs.write_config(path, "masked", root, trainer=trainer, model=FLAT, data=data, **sections)


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def results(run: Path, name: str = "validation_best") -> dict[str, Any]:
    return json.loads((run / f"evaluations/{name}.json").read_text())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a run on c0 and c1, validated on c2 and c3."""
    runs.train(config_of(tmp_path / "c.yaml", images(tmp_path / "data", "c0", "c1", "c2", "c3")))
    return tmp_path / "out"


def test_a_run_is_found_by_directory_checkpoint_and_config(run: Path) -> None:
    by_directory = call("evaluate", run)
    assert f"{run}/best (step 1) on validation items" in by_directory
    assert re.search(r"tiny \(.*data\): 2 items: c2, c3", by_directory)
    assert (
        "chosen on these items" in by_directory
        and "None of the 2 items has the path or contents of one" in by_directory
    )
    found = results(run)
    assert found["items"] == {f"tiny ({run.parent / 'data'})": ["c2", "c3"]}
    assert found["facts"]["Items"] == "2 (2 tiles)"
    assert runs.losses(run, "validation", "validation/loss")[1] == pytest.approx(
        found["metrics"]["masked"]["loss"]
    )
    for path in (run / "best", run / "config.yaml", run.parent / "c.yaml"):
        shutil.rmtree(run / "evaluations")
        assert call("evaluate", path) == by_directory
        assert results(run)["metrics"] == found["metrics"]
    assert f"{run}/last_even (step 1)" in call("evaluate", run / "last")
    assert f"{run}/last_even (step 1)" in call("evaluate", run, "--checkpoint", "last")
    report = (run / "report.html").read_text()
    assert "validation items" in report and "c2\n  c3" in report and "Processes" in report


def test_a_path_without_a_run_is_one_message(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint, and no config or directory of a run"):
        call("evaluate", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"no checkpoint in it, and no config\.yaml"):
        call("evaluate", tmp_path / "empty")
    with pytest.raises(CheckpointError, match="no checkpoint 'other'"):
        call("evaluate", run, "--checkpoint", "other")
    with pytest.raises(UserError, match="leave --checkpoint last out"):
        call("evaluate", run / "best", "--checkpoint", "last")
    with pytest.raises(UserError, match="leave one of the two out"):
        call("evaluate", run, "--split", "test", "--data", tmp_path)


def test_without_best_the_newest_is_taken_with_a_warning(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(run / "best")
    assert f"{run}/last_even (step 1)" in call("evaluate", run)
    assert "there is no best checkpoint; taking the newest, last_even" in caplog.text


def test_a_checkpoint_without_config_file_has_the_config(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "best", tmp_path / "given/mine")
    said = call("evaluate", tmp_path / "given/mine")
    assert f"{tmp_path}/given/mine (step 1) on validation items" in said
    assert results(tmp_path / "given", "validation_mine")["metrics"]


def test_other_data_is_evaluated_whole(run: Path, tmp_path: Path) -> None:
    """The fractions of the training would leave the first half of it out."""
    new = images(tmp_path / "new", *"abcdef", seed=1)
    said = call("evaluate", run, "--data", new)
    assert re.search(r"tiny \(.*new\): 6 items: a, b, c, d, e, f", said) and "on all items of new" in said
    assert "chosen" not in said
    more = images(tmp_path / "more", "a", "g", seed=2)
    both = call("evaluate", run, "--data", f"tiny={new}", "--data", more)
    assert "6 items" in both and re.search(r"more\): 2 items: a, g", both)
    names = sorted(path.stem for path in (run / "evaluations").glob("*.json"))
    assert len(names) == 2 and all(name.startswith("data_") and name.endswith("_best") for name in names)
    with pytest.raises(DataError, match="no such directory"):
        call("evaluate", run, "--data", tmp_path / "nowhere")


def test_data_of_several_data_sets_is_named(tmp_path: Path) -> None:
    roots = {name: images(tmp_path / name, *"abcd", seed=seed) for seed, name in enumerate(("one", "two"))}
    data = {
        "dict_root_dirs": {n: str(r) for n, r in roots.items()},
        "dict_end_idx": dict.fromkeys(roots, 0.5),
    }
    runs.train(config_of(tmp_path / "c.yaml", tmp_path, data=data))
    assert "2 items: c, d" in call("evaluate", tmp_path / "out")
    new = images(tmp_path / "new", "x", seed=5)
    with pytest.raises(UserError, match=r"expected NAME=ROOT with a data set of the run: one, two"):
        call("evaluate", tmp_path / "out", "--data", new)
    assert "two (" in call("evaluate", tmp_path / "out", "--data", f"two={new}")


def test_items_that_were_trained_on_are_refused_by_name(run: Path) -> None:
    """Two new files come before the others: what was trained on moves into the held-out half."""
    images(run.parent / "data", "b0", "b1")
    before = (run / "report.html").read_bytes()
    with pytest.raises(UserError, match=r"1 of 3 items were trained on: c1 \(same file\)") as refused:
        call("evaluate", run)
    assert "--allow-trained" in str(refused.value) and "by path, by contents of the file, and by" in str(
        refused.value
    )
    assert (run / "report.html").read_bytes() == before and not (run / "evaluations").exists()
    said = call("evaluate", run, "--allow-trained")
    assert "1 of 3 items were trained on: c1 (same file)." in said
    assert results(run)["items"][f"tiny ({run.parent / 'data'})"] == ["c1", "c2", "c3"]


def test_copies_of_training_items_are_recognised(run: Path, tmp_path: Path) -> None:
    new = images(tmp_path / "new", "x", "c0", seed=1)
    shutil.copy(run.parent / "data/images/c1.npy", new / "images/y.npy")
    with pytest.raises(UserError, match=r"1 of 3 items were trained on: y \(same contents\)"):
        call("evaluate", run, "--data", new)
    (new / "images/y.npy").unlink()
    said = call("evaluate", run, "--data", new)
    assert "1 of 2 items have the name of one that was trained on: c0. They count as others" in said


def test_items_of_the_initial_weights_count_too(run: Path, tmp_path: Path) -> None:
    other = images(tmp_path / "other", *"klmn", seed=3)
    start = {"start_from": str(run / "best"), "checkpoint_path": str(tmp_path / "second")}
    runs.train(config_of(tmp_path / "d.yaml", other, trainer=start))
    with pytest.raises(UserError, match=r"2 of 4 items were trained on: c0 \(same file\), c1 \(same file\)"):
        call("evaluate", tmp_path / "second", "--data", run.parent / "data")
    runs.train(tmp_path / "d.yaml", "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    with pytest.raises(UserError, match=r"4 of 8 items .* k \(same file\), l \(same file\), c0"):
        call("evaluate", tmp_path / "second", "--data", other, "--data", run.parent / "data")


def test_items_of_the_pre_training_are_named(tmp_path: Path, concrete: Path) -> None:
    """An autoencoder saw all four volumes; that says less than training with labels, so it is told."""
    mae = runs.write_config(
        tmp_path / "mae/c.yaml",
        "masked",
        concrete,
        trainer={"max_steps": 1},
        data={"dict_end_idx": {"tiny": 1.0}},
    )
    runs.train(mae)
    trainer = {
        "max_steps": 1,
        "use_pretrained_mae_model": True,
        "mae_checkpoint_path": str(tmp_path / "mae/out"),
    }
    runs.train(runs.write_config(tmp_path / "unetr/c.yaml", "segmentation", concrete, trainer=trainer))
    said = call("evaluate", tmp_path / "unetr/out")
    assert "1 of 1 items were used in the pre-training of the initial weights" in said
    assert "None of the 1 items has the path or contents of one that was trained on." in said
    assert "numbers of items" in said and "only predicted" in said
    assert (
        "0 for a class that is missed" not in said
        and "mean over the items that count" in (tmp_path / "unetr/out/report.html").read_text()
    )


def test_a_test_split_is_looked_at_by_nothing_else(tmp_path: Path) -> None:
    root = images(tmp_path / "data", *"abcdefgh")
    data = {"dict_end_idx": {"tiny": 0.5}, "dict_test_start_idx": {"tiny": 0.75}}
    config = config_of(tmp_path / "c.yaml", root, data=data, trainer={"max_epochs": 2})
    runs.train(config)
    out = tmp_path / "out"
    test = call("evaluate", out, "--split", "test")
    assert re.search(r"on test items\n.*2 items: g, h", test) and "chosen" not in test
    assert "2 items: e, f" in call("evaluate", out)
    kept = checkpoint.load(out / "best").state["items"]
    assert {use: len(rows) for use, rows in kept.items()} == {"trained": 4, "validated": 2}
    assert results(out, "test_best")["metrics"] != results(out)["metrics"]
    report = (out / "report.html").read_text()
    assert "on test items" in report and "on validation items" in report
    whole = images(tmp_path / "whole", "x", "y", "z", seed=1)
    assert "3 items: x, y, z" in call("evaluate", out, "--split", "test", f"data.test={{tiny: {whole}}}")


def test_items_that_chose_the_checkpoint_are_named(tmp_path: Path) -> None:
    root = images(tmp_path / "data", *"abcd")
    runs.train(config_of(tmp_path / "c.yaml", root))
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy/images/a.npy").unlink()
    (tmp_path / "copy/images/b.npy").unlink()
    said = call("evaluate", tmp_path / "out", "--data", tmp_path / "copy")
    assert "2 of 2 items chose the checkpoint as the best: c (same contents), d (same contents)" in said


def test_an_evaluation_without_items_names_the_keys(tmp_path: Path) -> None:
    config = config_of(
        tmp_path / "c.yaml", images(tmp_path / "data", *"ab"), data={"dict_end_idx": {"tiny": 1.0}}
    )
    runs.train(config)
    with pytest.raises(UserError, match=r"no validation items: set data\.validation, .*--data ROOT"):
        call("evaluate", config)
    with pytest.raises(UserError, match=r"no test items: set data\.test, data\.split\.test or "):
        call("evaluate", config, "--split", "test")


def test_data_that_is_elsewhere_now_is_named_by_its_key(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"data.*: no such .*append data\.dict_root_dirs\.tiny=ROOT$"):
        call("evaluate", run)
    call("evaluate", run, f"data.dict_root_dirs.tiny={tmp_path / 'elsewhere'}")
    with pytest.raises(DataError, match=r"nowhere.*: no such directory$"):
        call("evaluate", run, "--data", tmp_path / "nowhere")


def test_a_data_set_may_only_validate(tmp_path: Path) -> None:
    roots = {name: images(tmp_path / name, *"abc", seed=seed) for seed, name in enumerate(("one", "two"))}
    data = {"dict_root_dirs": {n: str(r) for n, r in roots.items()}, "dict_end_idx": {"one": 1, "two": 0}}
    config = config_of(tmp_path / "c.yaml", tmp_path, data=data)
    runs.train(config)
    said = call("evaluate", config)
    assert re.search(r"two \(.*two\): 3 items: a, b, c", said) and "one (" not in said
    call("plan", config)
    with pytest.raises(ConfigError, match="leaves no data set any file to train on"):
        runs.train(
            config, "data.dict_end_idx={one: 0, two: 0}", f"trainer.checkpoint_path={tmp_path / 'other'}"
        )


def test_a_whole_data_set_validates(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, held_out = images(tmp_path / "data", *"abcd"), images(tmp_path / "held_out", *"xyz", seed=1)
    whole = {"dict_end_idx": {"tiny": 1.0}, "validation": {"tiny": str(held_out)}}
    config = config_of(tmp_path / "c.yaml", root, data=whole)
    caplog.set_level("INFO", logger="ucf_vit")
    runs.train(config)
    assert "training items: 4 (tiny: 4)" in caplog.text and "validation items: 3 (tiny: 3)" in caplog.text
    assert "3 items: x, y, z" in call("evaluate", config)
    (held_out / "images/notes.txt").touch()
    caplog.clear()
    runs.train(config, "trainer.overwrite=true")
    assert "data: tiny: 4 items; tiny: 3 items; 1 files passed over" in caplog.text


def test_links_to_training_items_are_refused_for_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder by another way is refused; a link to a file has its contents."""
    root = images(tmp_path / "data", *"abcd")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "some/images").mkdir(parents=True)
    (tmp_path / "some/images/x.npy").symlink_to(root / "images/b.npy")
    config = config_of(tmp_path / "c.yaml", root, data={"dict_end_idx": {"tiny": 1.0}})
    for way in (tmp_path / "link", tmp_path / "data/../data"):
        with pytest.raises(DataError, match=r"4 item\(s\) are used to train and to validate: tiny: a"):
            runs.train(config, f"data.validation={{tiny: {way}}}")
    linked = f"data.validation={{tiny: {tmp_path / 'some'}}}"
    with pytest.raises(DataError, match=r"1 validation item\(s\) have the contents .*: x = b"):
        runs.train(config, linked)
    runs.train(config, linked, "data.leak_check=off", "trainer.overwrite=true")
    assert "1 validation item(s) have the contents of items that train: x = b" in caplog.text
    with pytest.raises(UserError, match=r"1 of 1 items were trained on: x \(same contents\)"):
        call("evaluate", tmp_path / "out")


def test_items_that_train_and_validate_are_refused_at_once(tmp_path: Path) -> None:
    """The second half of one is the first of the other, which is the same folder."""
    root = images(tmp_path / "data", *"abcd")
    data = {
        "dict_root_dirs": {"one": str(root), "two": str(root)},
        "dict_end_idx": {"one": 0.5, "two": 1.0},
        "dict_start_idx": {"one": 0.0, "two": 0.5},
        "dict_val_start_idx": {"one": 0.5, "two": 1.0},
    }
    with pytest.raises(DataError, match=r"2 item\(s\) are used to train and to validate: one: c, one: d"):
        runs.train(config_of(tmp_path / "c.yaml", root, data=data))


def test_other_validation_items_begin_a_new_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = images(tmp_path / "data", *"abcd")
    config = config_of(tmp_path / "c.yaml", root)
    runs.train(config)
    resumed = ["trainer.resume_from_checkpoint=true", "trainer.max_epochs=2"]
    runs.train(config, *resumed, "data.dict_val_start_idx={tiny: 0.75}")
    assert "the validation items changed" in caplog.text
    assert checkpoint.read_meta(tmp_path / "out/best")["step"] == 2


def test_unreadable_items_are_counted_out(run: Path, tmp_path: Path) -> None:
    new = images(tmp_path / "new", *"xyz", seed=1)
    bad = np.load(new / "images/y.npy")
    bad[3, 3] = np.nan
    np.save(new / "images/y.npy", bad)
    said = call("evaluate", run, "--data", new, "data.on_error=skip")
    assert "1 unreadable items are skipped" in said and "y.npy" in said


def test_a_checkpoint_without_items_is_noted(run: Path) -> None:
    state = run / "best/state.pt"
    content = torch.load(state, weights_only=True)
    del content["items"]
    torch.save(content, state)
    meta = json.loads((run / "best/meta.json").read_text())
    meta["sha256"]["state.pt"] = hashlib.sha256(state.read_bytes()).hexdigest()
    (run / "best/meta.json").write_text(json.dumps(meta))
    assert "does not record its training items" in call("evaluate", run)


def test_files_of_the_training_stay(run: Path) -> None:
    files = [
        path for path in run.rglob("*") if path.is_file() and path.name not in ("report.html", "log.txt")
    ]
    before = {path: path.read_bytes() for path in files}
    said = (run / "report.html").read_text()
    call("evaluate", run)
    call("evaluate", run, "--checkpoint", "last")
    assert {path: path.read_bytes() for path in files} == before
    report = (run / "report.html").read_text()
    for heading in ("Validation", "Configuration", "Environment", "Training items"):
        assert heading in said and heading in report
    assert report.count("on validation items") == 2
    runs.train(run / "config.yaml", "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    assert (run / "report.html").read_text().count("on validation items") == 2
    runs.train(run / "config.yaml", "trainer.overwrite=true", "trainer.resume_from_checkpoint=false")
    assert not (run / "evaluations").exists()
    assert "on validation items" not in (run / "report.html").read_text()
