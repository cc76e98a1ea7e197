"""Files that commands write: who may read them, and that nothing is replaced without a word."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_commands import call

import runs
from ucf_vit.cli.main import app, guarded

DIFFUSION = {"embed_dim": 24, "num_time_steps": 50}
STATS = {"dict_normalization": {"tiny": {"kind": "stats"}}}


@pytest.fixture
def umask() -> Iterator[int]:
    """Of somebody who works in a group."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message with which a command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        guarded(app)([*map(str, arguments)])
    assert ended.value.code in (1, 2)
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    return said


def write_all(directory: Path, data: Path) -> None:
    """Everything that the commands write, below `directory`."""
    call(
        "synth",
        "basic_ct",
        str(directory / "ct"),
        "--number",
        "1",
        "--size",
        "32",
        "--picture",
        str(directory / "ct.png"),
    )
    config = str(
        runs.write_config(
            directory / "c.yaml", "diffusion", data, trainer={"max_steps": 2, "pictures": True}, data=STATS
        )
    )
    call("stats", config)
    call("train", config, "data.num_workers=1")
    call("evaluate", config, "--checkpoint", "last")
    call("sample", str(directory / "out"), "--number", "2", "--steps", "1", "--compare")
    call("plan", config, "--report")
    call("checkpoint", "export", str(directory / "out/last"), str(directory / "new/w.safetensors"))
    call("prepare", config, str(directory / "prepared"))
    call(
        "visualize", "patches", str(next((data / "imagesTr").iterdir())), "--output", str(directory / "p.png")
    )


def test_written_files_follow_the_umask(tmp_path: Path, concrete: Path, umask: int) -> None:
    root = tmp_path / "project"
    root.mkdir()
    write_all(root, concrete)
    found = {path.relative_to(root): path.stat().st_mode & 0o777 for path in root.rglob("*")}
    files = {path for path in found if (root / path).is_file()}
    assert len(files) > 30
    wrong = {
        str(path): oct(mode)
        for path, mode in found.items()
        if mode != (0o666 if path in files else 0o777) & ~umask
    }
    assert wrong == {}


def test_an_export_is_replaced_with_overwrite_and_is_safetensors(
    tmp_path: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(config)
    last, file = tmp_path / "out/last", tmp_path / "w.safetensors"
    said = refused(capsys, "checkpoint", "export", last, tmp_path / "w.onnx")
    assert "w.onnx: weights are written as safetensors; call the file w.safetensors" in said
    assert not list(tmp_path.glob("w*"))
    file.write_text("mine")
    assert "exists already; replace it with --overwrite" in refused(
        capsys, "checkpoint", "export", last, file
    )
    assert file.read_text() == "mine"
    call("checkpoint", "export", str(last), str(file), "--overwrite")
    assert file.stat().st_size > 1000
    (tmp_path / "d.safetensors").mkdir()
    said = refused(capsys, "checkpoint", "export", last, tmp_path / "d.safetensors", "--overwrite")
    assert "d.safetensors is a directory; name a file in it" in said


def test_pictures_are_replaced_with_overwrite(
    tmp_path: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((32, 32)))
    mine = tmp_path / "mine.png"
    mine.write_text("mine")
    config = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete)
    several = ["data.dict_root_dirs", "data.dict_end_idx"]
    roots = [f"{several[0]}={{one: {concrete}, two: {concrete}}}", f"{several[1]}={{one: 0.5, two: 0.5}}"]
    (tmp_path / "mine_two.png").write_text("mine")
    for command in (
        ["visualize", "patches", tmp_path / "a.npy", "--output", mine],
        ["visualize", "patches", config, "--output", mine],
        ["visualize", "patches", config, *roots, "--output", mine],
        ["synth", "basic_ct", tmp_path / "ct", "--number", 1, "--size", 32, "--picture", mine],
    ):
        assert "exists already; replace it with --overwrite" in refused(capsys, *command)
    assert {path.read_text() for path in tmp_path.glob("mine*")} == {"mine"}
    assert not (tmp_path / "ct").exists()
    call("visualize", "patches", str(tmp_path / "a.npy"), "--output", str(mine), "--overwrite")
    assert mine.read_bytes()[:4] == b"\x89PNG"


def test_a_plan_is_replaced_with_overwrite(
    tmp_path: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(runs.write_config(tmp_path / "c.yaml", "masked", concrete))
    call("plan", config)
    before = (tmp_path / "out/plan/plan.npz").read_bytes()
    call("plan", config)  # is the same
    said = refused(capsys, "plan", config, "--gpus", 2)
    assert "is another plan; replace it with --overwrite" in said
    assert "the number of data ranks is 2, the plan is for 1" in said
    assert (tmp_path / "out/plan/plan.npz").read_bytes() == before
    assert "2 data ranks" in call("plan", config, "--gpus", "2", "--overwrite")
    (tmp_path / "mine").mkdir()
    for name in ("loads.png", "plan.npz"):
        (tmp_path / "mine" / name).write_text("mine")
        refused(capsys, "plan", config, "--report", "--out", tmp_path / "mine", "--overwrite")
        assert (tmp_path / "mine" / name).read_text() == "mine"


def test_a_conversion_leaves_the_files_of_others_where_they_are(
    tmp_path: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "d/packs/mine/notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / "d/.lock").write_text("mine")
    said = refused(
        capsys, "prepare", concrete, tmp_path / "d", "--dataset", "basic_ct", "--chunk", "16x16x16"
    )
    assert "d/packs is not from a conversion (it has mine); name another directory" in said
    assert mine.read_text() == (tmp_path / "d/.lock").read_text() == "mine"
