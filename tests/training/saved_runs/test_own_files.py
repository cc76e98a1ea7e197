"""Only what a run has written itself is ever replaced."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import runs
from ucf_vit import checkpoint
from ucf_vit.core.errors import UserError
from ucf_vit.training.run_directory.owned import Owned, claim

RESUME, OVERWRITE = "trainer.resume_from_checkpoint=true", "trainer.overwrite=true"
SHORT = {"max_steps": 1, "pictures": True}


def config_of(tmp_path: Path, data: Path, **trainer: Any) -> Path:
    return runs.write_config(tmp_path / "c.yaml", "masked", data, trainer=SHORT | trainer)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "log.txt", "metrics.jsonl", "report.html", "pictures/cat.png", "best/x", "last_odd/x"],
)
def test_files_of_the_user_are_left_alone(tmp_path: Path, concrete: Path, name: str) -> None:
    config = config_of(tmp_path, concrete)
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for how in ((), (RESUME,), (OVERWRITE,)):
        with pytest.raises(UserError, match=rf"out.* {name.partition('/')[0]}|last_odd/meta.json: missing"):
            runs.train(config, *how)
    assert contents(tmp_path / "out") == {name: b"mine"}


def test_a_run_may_begin_beside_files_of_other_names(tmp_path: Path, concrete: Path) -> None:
    mine = {
        "notes.md": b"mine",
        "last/thesis.tex": b"mine",
        "best_model.pt": b"mine",
        ".hidden.old/x": b"mine",
    }
    for name, content in mine.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    config = config_of(tmp_path, concrete)
    for overrides in ((), (OVERWRITE,), (RESUME, "trainer.max_steps=2")):
        runs.train(config, *overrides)
        assert contents(tmp_path / "out").items() >= mine.items()
    assert (tmp_path / "out/pictures/loss.png").is_file()


def test_what_is_put_into_a_run_later_stays_when_it_is_replaced(tmp_path: Path, concrete: Path) -> None:
    config, out = config_of(tmp_path, concrete), tmp_path / "out"
    runs.train(config)
    written = contents(out).keys()
    shutil.copytree(out / "best", out / "best_of_all")
    (out / "pictures/mine.png").write_text("mine")
    mine = contents(out).keys() - written
    runs.train(config, OVERWRITE, "trainer.pictures=false", "trainer.validation_epochs=0")
    left = contents(out)
    assert left.keys() >= mine
    assert not [name for name in left if name.startswith(("best/", "pictures/loss", "pictures/example"))]
    runs.train(config, OVERWRITE)
    assert contents(out).keys() == written | mine


def test_the_config_of_a_run_replaces_no_run(tmp_path: Path, concrete: Path) -> None:
    config, out = config_of(tmp_path, concrete), tmp_path / "out"
    for overrides in ((), (OVERWRITE,), (OVERWRITE, RESUME, "trainer.max_steps=2")):
        runs.train(config, *overrides)
        assert yaml.safe_load((out / "config.yaml").read_text())["trainer"]["overwrite"] is False
        with pytest.raises(UserError, match="holds a run already"):
            runs.train(out / "config.yaml", "trainer.resume_from_checkpoint=false")


def test_a_kill_while_a_run_is_replaced_leaves_nothing_of_it_to_resume(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = config_of(tmp_path, concrete), tmp_path / "out"
    runs.train(config, "trainer.max_steps=3", "trainer.checkpoint_steps=1")

    def killed(path: Path) -> None:
        if path.name == "last_odd":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ucf_vit.training.run_directory.owned.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.train(config, OVERWRITE)
    assert (out / "last_odd").is_dir()
    runs.train(config, RESUME, "trainer.max_steps=2")
    assert list(runs.losses(out)) == [1, 2]
    assert "starting anew" in (out / "log.txt").read_text()


def test_a_run_without_a_list_goes_on_and_is_not_replaced(tmp_path: Path, concrete: Path) -> None:
    config, out = config_of(tmp_path, concrete), tmp_path / "out"
    runs.train(config)
    (out / "run.json").unlink()
    with pytest.raises(
        UserError, match=r"holds a run already\. Continue it with .*=true, or name another directory"
    ):
        runs.train(config, OVERWRITE)
    runs.train(config, RESUME, "trainer.max_steps=2")
    runs.train(config, OVERWRITE)
    assert list(runs.losses(out)) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format": 1}',
        '{"format": 2, "files": [], "checkpoints": [], "leaving": false}',
    ]
    + [
        f'{{"format": 1, "files": {files}, "checkpoints": {names}, "leaving": true}}'
        for files, names in (
            ('["../c.yaml"]', "[]"),
            ('["/etc/x"]', "[]"),
            ("[]", '[".."]'),
            ('["mine"]', "[]"),
            ("1", "[]"),
        )
    ],
)
def test_another_run_json_is_refused_and_kept(tmp_path: Path, concrete: Path, text: str) -> None:
    config, mine = config_of(tmp_path, concrete), tmp_path / "out/run.json"
    mine.parent.mkdir()
    mine.write_text(text)
    for how in ((), (OVERWRITE,), (RESUME,)):
        with pytest.raises(UserError, match=r"run\.json: (cannot be read|no run has written this)"):
            runs.train(config, *how)
    assert contents(tmp_path / "out") == {"run.json": text.encode()}
    assert config.is_file()


def test_what_is_claimed_twice_is_ones_own(tmp_path: Path) -> None:
    claim(tmp_path, "log.txt", checkpoints=["last"])
    (tmp_path / "log.txt").write_text("")
    checkpoint.save(tmp_path / "last_even", {}, {}, {"step": 1})
    claim(tmp_path, "log.txt", "report.html", checkpoints=["last", "best"])
    own = Owned.read(tmp_path)
    assert own is not None and own.files == {"log.txt", "report.html"} and own.checkpoints == {"last", "best"}
    (tmp_path / "metrics.jsonl").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"holds metrics\.jsonl, which no run has written there"):
        claim(tmp_path, "metrics.jsonl")
